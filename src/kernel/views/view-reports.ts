import type { Position } from '../ports/event-log.js';
import type { JsonObject, ViewStore } from '../ports/view-store.js';
import type { RebuildStatus, StoppedAt } from './view-status.js';

const COLLECTION = 'runledger.projections';

/** What the process that folds a view tells the others of it. What the collections themselves show is not in it. */
export interface ViewReport {
  /** Orders up to here are carried out. */
  readonly carriedOut: Position;
  readonly errors: readonly StoppedAt[];
  readonly rate: number | null;
  readonly rebuild: Omit<RebuildStatus, 'position'> | null;
}

/** @returns undefined when nobody has told anything yet. @throws Unavailable */
export async function loadReport(store: ViewStore, view: string): Promise<ViewReport | undefined> {
  const [document] = await store.load(COLLECTION, [view]);
  return (document?.doc ?? undefined) as ViewReport | undefined;
}

/** Writes what has changed, and nothing else. */
export class ViewReports {
  private readonly told = new Map<string, string>();
  private prepared = false;

  constructor(private readonly store: ViewStore) {}

  /** @throws Unavailable */
  async tell(view: string, report: ViewReport): Promise<void> {
    const text = JSON.stringify(report);
    if (this.told.get(view) === text) return;
    if (!this.prepared) await this.store.prepare(COLLECTION, { indexes: [] });
    this.prepared = true;
    // Of two that fold the view for a moment, one after the other, the later tells the truth in the end.
    const [before] = await this.store.load(COLLECTION, [view]);
    const document = { key: view, position: (before?.position ?? 0) + 1, doc: report as unknown as JsonObject };
    await this.store.write([{ collection: COLLECTION, documents: [document] }]);
    this.told.set(view, text);
  }

  /** Another process tells of it now: what this one knows of the store is old. */
  forget(view: string): void {
    this.told.delete(view);
  }
}
