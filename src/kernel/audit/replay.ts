import { aggregateOf, type AggregateDefinition } from '../aggregate.js';
import { canonicalJson } from '../canonical-json.js';
import { differences, type Difference } from '../differences.js';
import { Unavailable } from '../errors.js';
import { systemOf, type EventCatalog, type StoredReading } from '../event-catalog.js';
import { START, type LogReader, type Position } from '../ports/event-log.js';
import type { StoredDocument, ViewReader } from '../ports/view-store.js';
import { CHECKPOINT_MARK, SERVING_MARK, type AnyView } from '../views/view.js';
import { servingCollection, type ViewCollection } from '../views/view-collections.js';

/** Which part of the log is of interest. Folds begin at its first event all the same: they would be wrong otherwise. */
export interface Slice {
  /** Only what events after this position have touched last. @default START */
  readonly from?: Position | undefined;
  /** Nothing after this position. @default the head */
  readonly to?: Position | undefined;
}

/** An event that the present code cannot read or fold. */
export interface Failure {
  readonly position: Position;
  readonly stream: string;
  readonly revision: number;
  readonly type: string;
  readonly error: string;
}

/** A document that is not what the present code makes of the log. */
export interface DocumentDifference {
  readonly key: string;
  /** `missing` in the store, `extra` there, or `different`. */
  readonly problem: 'missing' | 'extra' | 'different';
  /** From what is stored to what the log says. */
  readonly differences: readonly Difference[];
}

export interface ViewReplay {
  readonly view: string;
  readonly version: number;
  /** What it was compared with; null when nothing of this view is stored. */
  readonly collection: string | null;
  /** Version of the code that has folded it. */
  readonly storedVersion: number | null;
  /** How far the store says that it is. What it holds past that is compared with what was true then. */
  readonly storedPosition: Position | null;
  readonly equal: number;
  readonly missing: number;
  readonly extra: number;
  readonly different: number;
  /** Stored documents that lie past the part of the log that was folded: nothing is known of them. */
  readonly ahead: number;
  /** The first of them. */
  readonly differences: readonly DocumentDifference[];
  /** The event that the fold cannot pass. */
  readonly stopped: Failure | null;
}

export interface DeciderReplay {
  readonly events: number;
  readonly streams: number;
  readonly failed: number;
  /** The first of them. In a stream nothing is folded after an event that failed. */
  readonly failures: readonly Failure[];
}

type Progress = (position: Position) => void;

const PAGE = 1_000;
/** Enough to see what kind of difference it is. */
const SHOWN = 20;
const EVERY_SYSTEM = 'runledger';

/** Every event of the log up to `to`, a page at a time. */
async function* pages(log: LogReader, catalog: EventCatalog, to: Position): AsyncGenerator<StoredReading[]> {
  for (let from = START; from < to;) {
    const page = await log.readAll(from, { limit: PAGE });
    const last = page.at(-1);
    if (!last) return;
    yield page.filter(({ position }) => position <= to).map((stored) => catalog.read(stored));
    from = last.position;
  }
}

/**
 * Folds the log through the views of the present code, in memory, and compares what comes out with what is stored.
 * Writes nothing.
 *
 * @throws Unavailable when a store cannot be reached, or a collection was replaced meanwhile.
 */
export async function replayViews(
  { log, views: store }: { readonly log: LogReader; readonly views: ViewReader },
  { catalog, views }: { readonly catalog: EventCatalog; readonly views: readonly AnyView[] },
  slice: Slice = {},
  progress: Progress = () => undefined,
): Promise<ViewReplay[]> {
  const to = Math.min(slice.to ?? Infinity, await log.head());
  const folds: ViewFold[] = [];
  for (const view of views) folds.push(await ViewFold.open(view, store));
  for await (const page of pages(log, catalog, to)) {
    for (const reading of page) for (const fold of folds) fold.take(reading);
    progress(page.at(-1)?.position ?? to);
  }
  const replays: ViewReplay[] = [];
  for (const fold of folds) replays.push(await fold.compare({ from: slice.from ?? START, to }));
  return replays;
}

/** What a document was after an event that changed it: canonical JSON, null where it was deleted. */
interface Version {
  readonly position: Position;
  readonly doc: object | null;
}

/** One view folded in memory, beside what the store holds of it. */
class ViewFold {
  private readonly documents = new Map<string, Version>();
  /** What documents were after each event past the store's checkpoint: it may hold any of these, or the one before. */
  private readonly recent = new Map<string, Version[]>();
  private readonly system: string;
  private readonly types: ReadonlySet<string>;
  private stopped: Failure | null = null;

  private constructor(
    private readonly view: AnyView,
    private readonly store: ViewReader,
    private readonly collection: ViewCollection | undefined,
    private readonly checkpoint: Position,
  ) {
    this.system = systemOf(view.name);
    this.types = new Set(view.types);
  }

  static async open(view: AnyView, store: ViewReader): Promise<ViewFold> {
    const collection = await servingCollection(view, store);
    const [mark] = collection ? await store.load(collection.name, [CHECKPOINT_MARK]) : [];
    return new ViewFold(view, store, collection, mark?.position ?? START);
  }

  take(reading: StoredReading): void {
    const { stored, position } = reading;
    if (this.stopped || !this.types.has(stored.type)) return;
    if (this.system !== EVERY_SYSTEM && systemOf(stored.stream) !== this.system) return;
    try {
      for (const key of this.view.keys(reading)) this.evolve(key, reading, position);
    } catch (error) {
      this.stopped = failureOf(reading, error);
    }
  }

  private evolve(key: string, reading: StoredReading, position: Position): void {
    const before = this.documents.get(key);
    const doc = (this.view.evolve(before?.doc ?? undefined, reading, key) ?? null) as object | null;
    if (doc === (before?.doc ?? null)) return;
    const version = { position, doc };
    this.documents.set(key, version);
    if (position <= this.checkpoint) return;
    // What was there at the checkpoint stands first, also where it was nothing.
    const versions = this.recent.get(key) ?? [before ?? { position: START, doc: null }];
    versions.push(version);
    this.recent.set(key, versions);
  }

  async compare({ from, to }: { readonly from: Position; readonly to: Position }): Promise<ViewReplay> {
    const counts = { equal: 0, missing: 0, extra: 0, different: 0, ahead: 0 };
    const found: DocumentDifference[] = [];
    const seen = new Set<string>();
    const judge = (key: string, stored: StoredDocument | undefined): void => {
      const verdict = this.judge(key, stored, from, to);
      if (verdict === undefined) return;
      if (typeof verdict === 'string') {
        counts[verdict] += 1;
        return;
      }
      counts[verdict.problem] += 1;
      if (found.length < SHOWN) found.push(verdict);
    };
    for await (const stored of this.storedDocuments()) {
      seen.add(stored.key);
      judge(stored.key, stored);
    }
    const unseen = [...this.documents.keys()].filter((key) => !seen.has(key));
    for (let at = 0; at < unseen.length; at += PAGE) {
      const keys = unseen.slice(at, at + PAGE);
      // Deleted documents are found by their keys only.
      const loaded = this.collection ? await this.store.load(this.collection.name, keys) : [];
      const byKey = new Map(loaded.map((document) => [document.key, document]));
      for (const key of keys) judge(key, byKey.get(key));
    }
    await this.assertStillThere();
    return {
      view: this.view.name,
      version: this.view.version,
      collection: this.collection?.name ?? null,
      storedVersion: this.collection?.version ?? null,
      storedPosition: this.collection ? this.checkpoint : null,
      ...counts,
      differences: found,
      stopped: this.stopped,
    };
  }

  /** Documents that went while they were read are missing nowhere. @throws Unavailable */
  private async assertStillThere(): Promise<void> {
    if (!this.collection) return;
    const { name } = this.collection;
    if ((await this.store.load(name, [SERVING_MARK])).length > 0) return;
    throw new Unavailable(`${name} was dropped while it was read: replay again`);
  }

  private async *storedDocuments(): AsyncGenerator<StoredDocument> {
    if (!this.collection) return;
    for (let after: string | undefined; ;) {
      const page = await this.store.find(this.collection.name, {
        limit: PAGE,
        ...(after === undefined ? {} : { after }),
      });
      yield* page.documents;
      if (page.next === undefined) return;
      after = page.next;
    }
  }

  /** Undefined where there is nothing to compare, or it lies outside of the slice. */
  private judge(
    key: string,
    stored: StoredDocument | undefined,
    from: Position,
    to: Position,
  ): 'equal' | 'ahead' | DocumentDifference | undefined {
    // Past the event that stopped the fold, nothing is known either.
    const known = this.stopped ? Math.min(to, this.stopped.position - 1) : to;
    if (stored && stored.position > known) return 'ahead';
    const folded = this.documents.get(key);
    if (Math.max(folded?.position ?? START, stored?.position ?? START) <= from) return undefined;
    const wanted = this.versionOf(key, stored, folded);
    const before = stored?.doc ?? undefined;
    const after = wanted?.doc ?? undefined;
    if (before === undefined && after === undefined) return undefined;
    if (before && after && canonicalJson(before) === canonicalJson(after)) return 'equal';
    const problem = before === undefined ? 'missing' : after === undefined ? 'extra' : 'different';
    return { key, problem, differences: differences(before, after === undefined ? undefined : plain(after)) };
  }

  /** What the store must hold: the newest, or what it was when the store was written last. */
  private versionOf(key: string, stored: StoredDocument | undefined, folded: Version | undefined): Version | undefined {
    const versions = this.collection && this.recent.get(key);
    if (!versions) return folded;
    const position = stored?.position ?? START;
    return versions.findLast((version, index) => version.position <= position || index === 0);
  }
}

/** As a store gives it back. */
function plain(doc: object): unknown {
  return JSON.parse(JSON.stringify(doc));
}

/** Folds every stream through the decider of the present code, and reports the events that it cannot read or fold. */
export async function replayDeciders(
  log: LogReader,
  { catalog, aggregates }: { readonly catalog: EventCatalog; readonly aggregates: readonly AggregateDefinition[] },
  slice: Slice = {},
  progress: Progress = () => undefined,
): Promise<DeciderReplay> {
  const to = Math.min(slice.to ?? Infinity, await log.head());
  const from = slice.from ?? START;
  const states = new Map<string, unknown>();
  const broken = new Set<string>();
  const failures: Failure[] = [];
  let events = 0;
  let failed = 0;
  for await (const page of pages(log, catalog, to)) {
    for (const reading of page) {
      const { stream, position } = reading;
      events += position > from ? 1 : 0;
      if (broken.has(stream)) continue;
      try {
        states.set(stream, evolve(aggregates, states, reading));
      } catch (error) {
        broken.add(stream);
        states.delete(stream);
        if (position <= from) continue;
        failed += 1;
        if (failures.length < SHOWN) failures.push(failureOf(reading, error));
      }
    }
    progress(page.at(-1)?.position ?? to);
  }
  return { events, streams: states.size + broken.size, failed, failures };
}

function evolve(
  aggregates: readonly AggregateDefinition[],
  states: ReadonlyMap<string, unknown>,
  { stream, event, at }: StoredReading,
): unknown {
  const aggregate = aggregateOf(aggregates, stream);
  if (!aggregate) throw new Error('No decider of this version knows such a stream');
  const { decider } = aggregate;
  return decider.evolve(states.has(stream) ? states.get(stream) : decider.initial, event, at);
}

function failureOf({ stored }: StoredReading, error: unknown): Failure {
  const { position, stream, revision, type } = stored;
  return { position, stream, revision, type, error: error instanceof Error ? error.message : String(error) };
}
