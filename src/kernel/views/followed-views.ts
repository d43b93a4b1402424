import type { Clock } from '../ports/clock.js';
import { START, type Position } from '../ports/event-log.js';
import type { ViewStore } from '../ports/view-store.js';
import { CHECKPOINT_MARK, SERVING_MARK, type AnyView } from './view.js';
import { servingCollection } from './view-collections.js';
import { loadReport } from './view-reports.js';
import { stateOf, type ViewStatus } from './view-status.js';

export interface Followed {
  readonly collection: string;
  readonly position: Position;
  /** When it was found to be the newest that answers, in steady time. */
  readonly locatedAt: number;
}

/** How often a read that waits looks how far the view has come; doubles up to the longest. */
const MIN_LOOK_MS = 2;
const MAX_LOOK_MS = 50;
/** How long a collection is taken for the newest: one that was replaced and could not be dropped still answers. */
const TRUSTED_MS = 1_000;

/** Views that other processes fold, as the store shows them: which collection answers, and how far it is. */
export class FollowedViews {
  private readonly known = new Map<string, Followed>();
  private readonly looks = new Map<string, Promise<Followed | undefined>>();

  constructor(
    private readonly store: ViewStore,
    private readonly clock: Clock,
  ) {}

  /** As it was when it was last looked at; undefined while nothing answers. */
  serving(name: string): Followed | undefined {
    return this.known.get(name);
  }

  /** Looks now. Those who ask at the same time share one look. @throws Unavailable */
  look(view: AnyView): Promise<Followed | undefined> {
    const running = this.looks.get(view.name);
    if (running) return running;
    const look = this.lookAnew(view).finally(() => this.looks.delete(view.name));
    this.looks.set(view.name, look);
    return look;
  }

  /** Waits until the collection that answers has reached `position`, at most `timeoutMs`. @returns whether it has. */
  async reached(view: AnyView, position: Position, timeoutMs: number): Promise<boolean> {
    const known = this.known.get(view.name);
    if (known && known.position >= position && this.isTrusted(known)) return true;
    const until = this.clock.steady() + timeoutMs;
    for (let pauseMs = MIN_LOOK_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_LOOK_MS)) {
      const seen = await this.look(view);
      if (seen && seen.position >= position) return true;
      const leftMs = until - this.clock.steady();
      if (leftMs <= 0) return false;
      await this.clock.sleep(Math.min(pauseMs, leftMs));
    }
  }

  /** As the store shows it, and as whoever folds it has told. */
  async status(view: AnyView, head: Position): Promise<ViewStatus> {
    const seen = await this.look(view);
    const report = await loadReport(this.store, view.name);
    const errors = report?.errors ?? [];
    const rebuild = report?.rebuild ?? null;
    return {
      name: view.name,
      version: view.version,
      state: stateOf({ poisoned: errors.length > 0, serves: seen !== undefined, building: rebuild }),
      collection: seen?.collection ?? null,
      position: seen?.position ?? START,
      head,
      poison: errors[0] ?? null,
      errors,
      rate: report?.rate ?? null,
      rebuild: rebuild && { ...rebuild, position: await this.checkpoint(rebuild.collection) },
    };
  }

  private async checkpoint(collection: string): Promise<Position> {
    return (await this.store.load(collection, [CHECKPOINT_MARK]))[0]?.position ?? START;
  }

  private async lookAnew(view: AnyView): Promise<Followed | undefined> {
    const known = this.known.get(view.name);
    const trusted = known && this.isTrusted(known) ? await this.marks(known.collection, known.locatedAt) : undefined;
    const seen = trusted ?? (await this.locate(view));
    if (seen) this.known.set(view.name, seen);
    else this.known.delete(view.name);
    return seen;
  }

  private async locate(view: AnyView): Promise<Followed | undefined> {
    const locatedAt = this.clock.steady();
    const found = await servingCollection(view, this.store);
    return found && this.marks(found.name, locatedAt);
  }

  private isTrusted({ locatedAt }: Followed): boolean {
    return this.clock.steady() - locatedAt < TRUSTED_MS;
  }

  /** @returns undefined where the collection does not answer queries: it was dropped, or lost. */
  private async marks(collection: string, locatedAt: number): Promise<Followed | undefined> {
    const marks = await this.store.load(collection, [SERVING_MARK, CHECKPOINT_MARK]);
    if (!marks.some(({ key }) => key === SERVING_MARK)) return undefined;
    const position = marks.find(({ key }) => key === CHECKPOINT_MARK)?.position ?? START;
    return { collection, position, locatedAt };
  }
}
