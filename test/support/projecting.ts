import type { ViewStore } from '../../src/kernel/ports/view-store.js';
import { Projector } from '../../src/kernel/views/projector.js';
import { SERVING_MARK, type AnyView } from '../../src/kernel/views/view.js';
import type { ViewStatus } from '../../src/kernel/views/view-status.js';
import { Views } from '../../src/kernel/views/views.js';
import type { CounterDoc } from './counter.js';
import { eventually } from './eventually.js';
import { fold } from './fold.js';
import type { TestLedger } from './test-ledger.js';

/** A process that folds views of a test's ledger, and answers from them. */
export class Projecting {
  readonly projector: Projector;
  readonly views: Views;

  constructor(
    private readonly ledger: TestLedger,
    private readonly registered: readonly AnyView[],
    private readonly store: ViewStore = ledger.store.views,
  ) {
    const { log, catalog, clock, logger, freshness } = ledger;
    this.projector = new Projector(log, store, catalog, clock, logger);
    for (const view of registered) this.projector.register(view);
    this.views = new Views(this.projector, store, freshness);
  }

  static async start(ledger: TestLedger, views: readonly AnyView[], store?: ViewStore): Promise<Projecting> {
    const process = new Projecting(ledger, views, store);
    await process.projector.start();
    return process;
  }

  async status(view: AnyView): Promise<ViewStatus> {
    const found = (await this.projector.status()).find(({ name }) => name === view.name);
    if (!found) throw new Error(`No view ${view.name}`);
    return found;
  }

  /** Resolves when all views (or those named) serve in their newest version, live, and hold the whole log. */
  async caughtUp(views: readonly AnyView[] = this.registered): Promise<void> {
    const there = async (): Promise<boolean> => {
      const all = await this.projector.status();
      const wanted = all.filter(({ name }) => views.some((view) => view.name === name));
      return wanted.every(({ state, position, head }) => state === 'live' && position === head);
    };
    await eventually(there, () => this.ledger.pass(100));
  }

  /** Looks until it sees what it looks for, while time passes. */
  until(look: () => boolean | Promise<boolean>): Promise<true> {
    return eventually(look, () => this.ledger.pass(100));
  }

  /** All documents of the serving collection as they are stored, by key. */
  async docs(view: AnyView): Promise<Record<string, object>> {
    const collection = this.projector.serving(view.name)?.collection;
    if (collection === undefined) throw new Error(`${view.name} serves nothing`);
    if ((await this.store.load(collection, [SERVING_MARK])).length === 0) throw new Error(`${collection} is lost`);
    const { documents } = await this.store.find(collection, { limit: 100_000 });
    return Object.fromEntries(documents.map(({ key, doc }) => [key, doc ?? {}]));
  }

  /** What they must be after the whole log. */
  async expected(view: AnyView): Promise<Record<string, object>> {
    return fold(view, this.ledger.catalog, await this.ledger.events());
  }

  get(view: AnyView, counter: string, tenant?: string): Promise<CounterDoc | undefined> {
    return this.views.get<CounterDoc>(view, counter, tenant);
  }

  close(): Promise<void> {
    return this.projector.close();
  }
}
