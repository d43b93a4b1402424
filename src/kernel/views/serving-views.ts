import type { EventLog, Position } from '../ports/event-log.js';
import type { StoredDocument } from '../ports/view-store.js';
import type { FollowedViews } from './followed-views.js';
import type { Projector } from './projector.js';
import type { ViewStatus } from './view-status.js';

/** Where queries are answered from. */
export interface ViewSource {
  /** What answers now; undefined while nothing does. */
  serving(name: string): { readonly collection: string } | undefined;
  /** Waits until what answers has reached `position`, at most `timeoutMs`. @returns whether it has. */
  reached(name: string, position: Position, timeoutMs: number): Promise<boolean>;
  /** As `reached`, for what `recall` gives: it need not be stored yet. */
  folded(name: string, position: Position, timeoutMs: number): Promise<boolean>;
  /** A document as it was folded last; undefined where only the store knows. */
  recall(name: string, key: string): StoredDocument | undefined;
  /** Looks whether what answers is still there. @throws Unavailable */
  inspectView(name: string): Promise<void>;
}

/** All views: those that this process folds, and those that others fold in the same store. */
export class ServingViews implements ViewSource {
  constructor(
    private readonly projector: Projector,
    private readonly followed: FollowedViews,
    private readonly log: EventLog,
  ) {}

  serving(name: string): { readonly collection: string } | undefined {
    return this.projector.holds(name) ? this.projector.serving(name) : this.followed.serving(name);
  }

  reached(name: string, position: Position, timeoutMs: number): Promise<boolean> {
    return this.projector.holds(name)
      ? this.projector.reached(name, position, timeoutMs)
      : this.followed.reached(this.projector.view(name), position, timeoutMs);
  }

  folded(name: string, position: Position, timeoutMs: number): Promise<boolean> {
    return this.projector.holds(name)
      ? this.projector.folded(name, position, timeoutMs)
      : this.reached(name, position, timeoutMs);
  }

  recall(name: string, key: string): StoredDocument | undefined {
    return this.projector.holds(name) ? this.projector.recall(name, key) : undefined;
  }

  async inspectView(name: string): Promise<void> {
    if (this.projector.holds(name)) await this.projector.inspectView(name);
    else await this.followed.look(this.projector.view(name));
  }

  /** @throws Unavailable */
  async status(): Promise<ViewStatus[]> {
    const head = await this.log.head();
    const own = new Map((await this.projector.status()).map((status) => [status.name, status]));
    return Promise.all(
      this.projector.views.map(async (view) => own.get(view.name) ?? (await this.followed.status(view, head))),
    );
  }
}
