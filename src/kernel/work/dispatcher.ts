import type { Logger } from 'pino';
import type { Cursors } from '../cursors.js';
import { Effect } from '../effect.js';
import { systemOf } from '../event-catalog.js';
import type { Clock } from '../ports/clock.js';
import type { EventLog, StoredEvent } from '../ports/event-log.js';
import type { Condition } from '../ports/view-store.js';
import type { Job, WorkQueue } from '../ports/work-queue.js';
import type { ReadableEvents } from '../readable-events.js';
import { inContext } from '../request-context.js';
import type { Views } from '../views/views.js';
import type { View } from '../views/view.js';
import type { WorkRules } from './executor.js';
import type { OpenWorkDoc } from './open-work.view.js';

const NAME = 'dispatcher';
const RECONCILE_MS = 30_000;
const RETRY_MS = 500;
/** Work opened more recently than this may still be on its way to the queue. */
const GRACE_MS = 10_000;

/**
 * Puts the work that the log opens on the queue, and takes cancelled runs' waiting work off it. From time to time, and at
 * the start, it compares the two, and puts back what the queue has lost.
 */
export class Dispatcher {
  private readonly effect: Effect;
  private readonly stop = new AbortController();
  private reconciling: Promise<void> = Promise.resolve();

  constructor(
    private readonly log: EventLog,
    cursors: Cursors,
    private readonly queue: WorkQueue,
    private readonly views: Views,
    private readonly events: ReadableEvents,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly rules: ReadonlyMap<string, WorkRules>,
    private readonly openWork: View<OpenWorkDoc>,
  ) {
    this.effect = new Effect(log, cursors, clock, logger, {
      name: NAME,
      // Without a cursor the queue is filled by comparison: dispatching all of history again would be work for nothing.
      begin: () => log.head(),
      handle: (batch) => this.dispatch(batch),
    });
  }

  async start(): Promise<void> {
    await this.effect.start();
    this.reconciling = this.reconcileForEver();
  }

  async close(): Promise<void> {
    this.stop.abort();
    await Promise.all([this.effect.close(), this.reconciling]);
  }

  /** Puts every open job that the queue does not hold back on it. @returns how many that were. */
  async reconcile(graceMs: number = GRACE_MS): Promise<number> {
    const now = this.clock.now();
    const [before, ahead] = [now - graceMs, now + graceMs].map((ms) => new Date(ms).toISOString()) as [string, string];
    // What is yet to come was opened by a process whose clock is ahead: nobody knows how long ago.
    const restored = (await this.restore({ lt: before })) + (await this.restore({ gte: ahead }));
    if (restored > 0) this.logger.warn({ restored }, 'open work was not on the queue, put back');
    return restored;
  }

  private async restore(since: Condition): Promise<number> {
    let restored = 0;
    let after: string | undefined;
    do {
      const page = await this.views.find(this.openWork, {
        where: { since },
        orderBy: ['since'],
        limit: 500,
        ...(after === undefined ? {} : { after }),
      });
      const jobs = page.docs.flatMap((doc) => doc.jobs);
      const held = await this.queue.holds(jobs.map(({ id }) => id));
      const missing = jobs.filter(({ id }) => !held.has(id));
      await this.queue.put(missing);
      restored += missing.length;
      after = page.next;
    } while (after !== undefined);
    return restored;
  }

  /** What one event opens and a later one cancels never gets on the queue; what is opened after that does. */
  private async dispatch(batch: readonly StoredEvent[]): Promise<void> {
    let jobs: Job[] = [];
    const cancelled = new Set<string>();
    for (const stored of batch) {
      const rules = this.rules.get(systemOf(stored.stream));
      if (!rules?.types.includes(stored.type)) continue;
      const recorded = this.events.read(stored, NAME);
      if (!recorded) continue;
      const group = rules.cancels(recorded);
      if (group !== undefined) {
        cancelled.add(group);
        jobs = jobs.filter((job) => job.group !== group);
      }
      jobs.push(...rules.opens(recorded));
    }
    for (const group of cancelled) await this.queue.cancel(group);
    if (jobs.length > 0) await this.queue.put(jobs);
  }

  private async reconcileForEver(): Promise<void> {
    const { signal } = this.stop;
    const head = await this.log.head();
    // The first comparison covers all that was open when this process started, so that it goes on at once.
    let first = true;
    while (!signal.aborted) {
      let pauseMs = RECONCILE_MS;
      try {
        if (first) await inContext({ correlationId: 'start', minPosition: head }, () => this.reconcile(0));
        else await this.reconcile();
        first = false;
      } catch (error) {
        this.logger.warn({ err: error }, 'open work could not be compared with the queue');
        pauseMs = RETRY_MS;
      }
      await this.clock.sleep(pauseMs, signal);
    }
  }
}
