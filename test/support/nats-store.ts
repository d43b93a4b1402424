import { connect } from 'nats';
import { createLogger } from '../../src/kernel/logger.js';
import { SystemClock } from '../../src/adapters/system/system-clock.js';
import type { PassingTime } from './passing-time.js';
import { startNatsServer } from './servers/nats.mjs';

/** A NATS server for one file of tests: the one that `TEST_NATS_URL` names, or one of its own. */
export class NatsStore {
  /** Leases and delays go by the server's time, which nobody can move: so tests wait. */
  readonly clock: SystemClock & PassingTime = Object.assign(new SystemClock(), {
    advance: (ms: number): Promise<void> => this.clock.sleep(ms),
  });

  private constructor(
    readonly url: string,
    private readonly end: () => Promise<void>,
  ) {}

  static async open(): Promise<NatsStore> {
    const named = process.env['TEST_NATS_URL'];
    if (named !== undefined && named !== '') return new NatsStore(named, async () => undefined);
    const server = await startNatsServer();
    return new NatsStore(server.url, () => server.close());
  }

  /** How an adapter is opened on it. */
  get options() {
    return { url: this.url, clock: this.clock, logger: createLogger('silent') };
  }

  /** Removes the streams that the tests have made, and ends the server if it is our own. */
  async close(...streams: readonly string[]): Promise<void> {
    const connection = await connect({ servers: this.url });
    const manager = await connection.jetstreamManager();
    for (const stream of streams) await manager.streams.delete(stream);
    await connection.close();
    await this.end();
  }
}
