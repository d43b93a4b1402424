import type { Logger } from 'pino';
import type { EventCatalog } from '../event-catalog.js';
import type { Clock } from '../ports/clock.js';
import type { EventLog, Position, StoredEvent } from '../ports/event-log.js';
import type { ViewStore } from '../ports/view-store.js';
import { Signal } from '../signal.js';
import { orderedView, readOrders, type Orders } from './projection-orders.js';
import type { Projector, ProjectorWatch } from './projector.js';
import { loadReport, ViewReports } from './view-reports.js';
import type { ViewStatus } from './view-status.js';

const RETRY_MS = 500;
const REPORT_EVERY_MS = 1_000;
const MIN_LOOK_MS = 2;
const MAX_LOOK_MS = 50;

export interface ViewOperatorOptions {
  /** Whether other processes look at the same views: then they are told how those of this one stand. */
  readonly isShared: boolean;
}

/**
 * Carries out what operators order of the views that this process folds. The orders are events; which of them are left
 * to be carried out shows in the collections themselves, so whoever takes a view over goes on where the other was:
 *
 * - a rebuild, where no collection was begun after the order;
 * - a pause, where the collection is being built;
 * - a skip, where the collection has stopped at that very event;
 * - a drop, where the collection is there, was begun before the order, and neither serves nor is being built.
 */
export class ViewOperator implements ProjectorWatch {
  private readonly due = new Set<string>();
  private readonly more = new Signal();
  private readonly done = new Signal();
  private readonly carriedOut = new Map<string, Position>();
  private readonly reports: ViewReports;
  private readonly stop = new AbortController();
  private loops: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly projector: Projector,
    private readonly log: EventLog,
    private readonly store: ViewStore,
    private readonly catalog: EventCatalog,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly options: ViewOperatorOptions,
  ) {
    this.reports = new ViewReports(store);
    projector.watch = this;
  }

  async taking(name: string): Promise<string | null> {
    try {
      return (await readOrders(this.log, this.catalog, name)).paused;
    } catch (error) {
      // Orders that cannot be read must not keep a view from being folded.
      this.logger.warn({ err: error, view: name }, 'whether a rebuild is paused could not be read');
      return null;
    }
  }

  taken(name: string): void {
    this.carriedOut.delete(name);
    this.reports.forget(name);
    this.lookAt(name);
  }

  recorded(batch: readonly StoredEvent[]): void {
    for (const { stream } of batch) {
      const name = orderedView(stream);
      if (name !== undefined) this.lookAt(name);
    }
  }

  stopped(name: string): void {
    this.lookAt(name);
  }

  start(): void {
    this.loops = Promise.all([this.carryOutForEver(), this.options.isShared ? this.reportForEver() : undefined]);
  }

  async close(): Promise<void> {
    this.stop.abort();
    this.more.fire();
    this.done.fire();
    await this.loops;
  }

  /** Waits until whoever folds the view has carried out its orders up to there. @returns whether it has in time. */
  async reached(name: string, position: Position, timeoutMs: number): Promise<boolean> {
    const until = this.clock.steady() + timeoutMs;
    for (let pauseMs = MIN_LOOK_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_LOOK_MS)) {
      const changed = this.done.next();
      if ((await this.carriedOutUpTo(name)) >= position) return true;
      const leftMs = until - this.clock.steady();
      if (leftMs <= 0 || this.stop.signal.aborted) return false;
      // What this process carries out itself is seen at once.
      const rested = new AbortController();
      await Promise.race([changed, this.clock.sleep(Math.min(pauseMs, leftMs), rested.signal)]);
      rested.abort();
    }
  }

  private async carriedOutUpTo(name: string): Promise<Position> {
    if (this.projector.holds(name)) return this.carriedOut.get(name) ?? -1;
    return (await loadReport(this.store, name))?.carriedOut ?? -1;
  }

  private lookAt(name: string): void {
    this.due.add(name);
    this.more.fire();
  }

  private async carryOutForEver(): Promise<void> {
    const { signal } = this.stop;
    const known = new Set(this.projector.views.map(({ name }) => name));
    while (!signal.aborted) {
      const wanted = this.more.next();
      const [name] = this.due;
      if (name === undefined) {
        await wanted;
        continue;
      }
      this.due.delete(name);
      if (!known.has(name) || !this.projector.holds(name)) continue;
      try {
        await this.carryOut(name);
      } catch (error) {
        this.logger.warn({ err: error, view: name }, 'orders of a view could not be carried out, trying again');
        this.due.add(name);
        await this.clock.sleep(RETRY_MS, signal);
      }
    }
  }

  private async carryOut(name: string): Promise<void> {
    const orders = await readOrders(this.log, this.catalog, name);
    await this.apply(name, orders);
    this.carriedOut.set(name, orders.position);
    this.done.fire();
    const status = (await this.projector.status()).find((each) => each.name === name);
    if (this.options.isShared && status) await this.report(status);
  }

  private async apply(name: string, { rebuild, paused, skips, drops }: Orders): Promise<void> {
    const { projector } = this;
    if (rebuild > 0) await projector.rebuild(name, rebuild);
    const building = (await projector.status()).find((each) => each.name === name)?.rebuild;
    if (building) projector.pause(name, building.collection === paused);
    for (const skip of skips) await projector.skip(name, skip);
    for (const { collection, ordered } of drops) await projector.drop(name, collection, ordered);
  }

  private async reportForEver(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      await this.clock.sleep(REPORT_EVERY_MS, signal);
      if (signal.aborted) return;
      try {
        for (const status of await this.projector.status()) await this.report(status);
      } catch (error) {
        this.logger.warn({ err: error }, 'how the views stand could not be told, trying again');
      }
    }
  }

  private async report({ name, errors, rate, rebuild }: ViewStatus): Promise<void> {
    const carriedOut = this.carriedOut.get(name);
    if (carriedOut === undefined) return;
    await this.reports.tell(name, {
      carriedOut,
      errors,
      rate: rounded(rate),
      rebuild: rebuild && { collection: rebuild.collection, paused: rebuild.paused, rate: rounded(rebuild.rate) },
    });
  }
}

/** To two digits: what hardly changes is not written again. */
function rounded(rate: number | null): number | null {
  return rate === null ? null : Number(rate.toPrecision(2));
}
