import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HypershiftClient } from '../support/hypershift-client.js';
import { audit, type Account } from '../support/hypershift-ledger.js';
import { ServerProcess } from '../support/server-process.js';
import { openStores } from '../support/stores.js';
import { WebhookReceiver } from '../support/webhook-receiver.js';
import { REFUSED_FIRST } from './scenarios.js';

/** A bound on waiting only: where the tests share slow cores with others, one slow start proves nothing. */
const RECOVERY_LIMIT_MS = 30_000;

/** A server that dies and comes back, a client that never gives up, and a receiver, over one folder. */
export class Stage {
  private constructor(
    readonly server: ServerProcess,
    readonly client: HypershiftClient,
    readonly receiver: WebhookReceiver,
    readonly dataDir: string,
  ) {}

  static async open(env: Readonly<Record<string, string>> = {}): Promise<Stage> {
    const dataDir = await mkdtemp(join(tmpdir(), 'runledger-fault-'));
    const refused = new Set<string>();
    const receiver = await WebhookReceiver.start(({ deliveryId, body }) => {
      if (!body.includes(REFUSED_FIRST) || refused.has(deliveryId)) return 200;
      refused.add(deliveryId);
      return 500;
    });
    const server = await ServerProcess.start({
      dataDir,
      env: { WEBHOOK_URL: receiver.url, ...env },
      recoveryLimitMs: RECOVERY_LIMIT_MS,
    });
    return new Stage(server, new HypershiftClient(server), receiver, dataDir);
  }

  /** Stops the server in peace. @returns what its ledger holds, compared with what was observed from outside. */
  async settle(): Promise<Account> {
    const { client, receiver, server } = this;
    await server.ready();
    const different = await client.repeatAll();
    await server.quiet();
    const code = await server.stop();
    const stores = await openStores({ RUNLEDGER_DATA_DIR: this.dataDir });
    const { created, positions, codenames } = client;
    const observed = { created, positions, codenames, received: receiver.received, executions: server.executions };
    const account = await audit(stores.ports, observed).finally(() => stores.close());
    const problems = [
      ...account.problems,
      ...client.complaints,
      ...server.errors,
      ...(different > 0 ? [`idempotency: ${different} requests were answered differently the second time`] : []),
      ...(code === 0 ? [] : [`the server stopped with ${code}`]),
    ];
    return { ...account, problems };
  }

  /** Ends everything, and removes the folder. */
  async close(): Promise<void> {
    await this.server.stop();
    await this.receiver.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
