import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { EventDefinition } from '../../contracts/define-event.js';
import { ledgerEvents } from '../../contracts/runledger/ledger.events.js';
import { webhookEvents } from '../../contracts/webhook.events.js';
import { InProcessEventBus } from '../../src/adapters/memory/in-process-event-bus.js';
import { SqliteStore } from '../../src/adapters/sqlite/sqlite-store.js';
import type { Decider } from '../../src/kernel/decider.js';
import { EventCatalog } from '../../src/kernel/event-catalog.js';
import { createLogger } from '../../src/kernel/logger.js';
import { Metrics } from '../../src/kernel/metrics.js';
import type { EventBus } from '../../src/kernel/ports/event-bus.js';
import type { EventLog, StoredEvent } from '../../src/kernel/ports/event-log.js';
import { Streams, type CacheLimits } from '../../src/kernel/streams.js';
import { Freshness } from '../../src/kernel/views/freshness.js';
import { counterDecider, counterEvents, counterStream, type CounterEvent } from './counter.js';
import { eventually } from './eventually.js';
import { TestClock } from './test-clock.js';
import { CountingIds } from './test-ids.js';

/** A real store in a folder of its own, with what the kernel needs to write to it, and time that the test moves. */
export class TestLedger {
  readonly ids = new CountingIds();
  readonly metrics = new Metrics();
  readonly freshness = new Freshness();
  readonly logger: Logger = createLogger('silent');
  readonly catalog = catalogOf(counterEvents);

  private constructor(
    readonly clock: TestClock,
    readonly folder: string,
    private current: SqliteStore,
  ) {}

  static async open(): Promise<TestLedger> {
    const folder = await mkdtemp(join(tmpdir(), 'runledger-ledger-'));
    const clock = new TestClock();
    return new TestLedger(clock, folder, await SqliteStore.open({ folder, clock }));
  }

  get store(): SqliteStore {
    return this.current;
  }

  get log(): EventLog {
    return this.current.log;
  }

  /** What another process would write with: a cache of its own, over the same log. */
  streams(log: EventLog = this.log, catalog: EventCatalog = this.catalog, limits?: CacheLimits): Streams {
    const { clock, ids, metrics, freshness } = this;
    const wrote = freshness.wrote.bind(freshness);
    return new Streams(log, catalog, clock, ids, metrics, wrote, limits);
  }

  /** A bus of its own, which ends with its process. */
  openBus(): EventBus {
    return new InProcessEventBus({ clock: this.clock, logger: this.logger });
  }

  /** Adds to a counter as many times, by 1. */
  async count(counter: string, times = 1, streams: Streams = this.streams()): Promise<void> {
    for (let done = 0; done < times; done++) {
      await streams.transact(counterDecider, counterStream(counter), { type: 'add', counter, by: 1 });
    }
  }

  /** Lets time pass until `work` is settled: what it waits for may be the clock, or the disk. */
  async whileTimePasses<Result>(work: Promise<Result>): Promise<Result> {
    let settled = false;
    const end = (): void => void (settled = true);
    work.then(end, end);
    await eventually(
      () => settled,
      () => this.pass(50),
    );
    return work;
  }

  /** Lets some time pass, and gives files and sockets a moment to answer. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
    await pause(1);
  }

  /** The whole log. */
  async events(): Promise<StoredEvent[]> {
    const all: StoredEvent[] = [];
    for (;;) {
      const page = await this.log.readAll(all.at(-1)?.position ?? 0);
      if (page.length === 0) return all;
      all.push(...page);
    }
  }

  /** Adds by 1 to so many counters, `0` and on, so many times each; all counters at the same time. */
  async fill(counters: number, times: number, streams: Streams = this.streams()): Promise<void> {
    const add: Decider<null, string, CounterEvent> = {
      initial: null,
      decide: (counter) =>
        Array.from({ length: times }, () => ({
          type: 'counter.added',
          data: { system: 'sample', tenant: 'acme', counter, by: 1 },
        })),
      evolve: () => null,
    };
    const names = Array.from({ length: counters }, (_, number) => String(number));
    await Promise.all(names.map((counter) => streams.transact(add, counterStream(counter), counter)));
  }

  /** Changes a file behind the service's back, while nothing has it open. */
  async alter(sql: string, file: 'runledger.db' | 'views.db' = 'runledger.db'): Promise<void> {
    await this.current.close();
    const database = new DatabaseSync(join(this.folder, file));
    database.exec(sql);
    database.close();
    this.current = await SqliteStore.open({ folder: this.folder, clock: this.clock });
  }

  /** Closes the store and opens it again, as a restart does. */
  async reopen(): Promise<void> {
    await this.current.close();
    this.current = await SqliteStore.open({ folder: this.folder, clock: this.clock });
  }

  async close(): Promise<void> {
    await this.current.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** The sample system's events beside those that every service has. */
export function catalogOf(definitions: readonly EventDefinition[]): EventCatalog {
  const catalog = new EventCatalog();
  catalog.register('runledger', ledgerEvents);
  catalog.register('sample', [...definitions, ...webhookEvents]);
  return catalog;
}
