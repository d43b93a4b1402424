import type { EventLog, Position, StoredEvent } from '../../src/kernel/ports/event-log.js';
import { until } from '../support/until.js';

/** A subscription that somebody listens to, and all that it has given so far. */
export class Collected {
  readonly events: StoredEvent[] = [];
  private readonly stop = new AbortController();
  private readonly running: Promise<void>;

  constructor(log: EventLog, after: Position, batchSize = 1_000) {
    this.running = this.follow(log, after, batchSize);
    // Whoever ends it meets the failure.
    this.running.catch(() => undefined);
  }

  get ids(): string[] {
    return this.events.map(({ id }) => id);
  }

  /** Waits until there are so many. */
  async count(count: number): Promise<void> {
    await until(`${count} events have come`, () => this.events.length >= count);
  }

  async end(): Promise<void> {
    this.stop.abort();
    await this.running;
  }

  private async follow(log: EventLog, after: Position, batchSize: number): Promise<void> {
    for await (const batch of log.subscribe(after, { signal: this.stop.signal, batchSize })) this.events.push(...batch);
  }
}
