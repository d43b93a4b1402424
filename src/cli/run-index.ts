import { isReadableFrom } from '../kernel/readable-from.js';
import { START, type Position } from '../kernel/ports/event-log.js';
import type { StoredDocument, ViewQuery } from '../kernel/ports/view-store.js';
import { runKey, type RunIndexDoc } from '../kernel/runs/run-index.view.js';
import { CHECKPOINT_MARK } from '../kernel/views/view.js';
import { servingCollection } from '../kernel/views/view-collections.js';
import { Failed, WrongUsage } from './cli.js';
import type { OpenLedger } from './open-ledger.js';
import { Progress } from './progress.js';
import type { Screen } from './screen.js';

const PAGE = 1_000;

export interface RunPage {
  readonly runs: readonly RunIndexDoc[];
  /** Where the next page begins; null on the last. */
  readonly next: string | null;
}

/** The index of runs as of the head of the log: what is stored, and what the events since then have made of it. */
interface Index {
  /** Undefined where none is stored that this code can go on with. */
  readonly collection: string | undefined;
  /** By key: what is not as it is stored. */
  readonly changed: ReadonlyMap<string, RunIndexDoc>;
}

/**
 * What the index says of a run as of the head of the log.
 *
 * @throws Failed when there is no such run.
 */
export async function findRun(ledger: OpenLedger, screen: Screen, system: string, runId: string): Promise<RunIndexDoc> {
  const key = runKey(system, runId);
  const { collection, changed } = await indexOf(ledger, screen, (each) => each === key);
  const [stored] = collection === undefined ? [] : await ledger.views.load(collection, [key]);
  const doc = changed.get(key) ?? (stored?.doc as RunIndexDoc | null | undefined);
  if (!doc) throw new Failed(`There is no run ${runId} of ${system} in this ledger`);
  return doc;
}

/**
 * A page of the index as of the head of the log.
 *
 * @param query Newest first; `after` is the `next` of another page.
 * @throws WrongUsage for an `after` that is none.
 */
export async function listRuns(ledger: OpenLedger, screen: Screen, query: ViewQuery): Promise<RunPage> {
  const { where = {}, limit = PAGE, after } = query;
  const from = after === undefined ? undefined : parseCursor(after);
  const { collection, changed } = await indexOf(ledger, screen, () => true);
  const fresh = [...changed.values()].filter((doc) => matches(doc, where)).sort(newestFirst);
  const runs: RunIndexDoc[] = [];
  /** @returns whether the page is full. */
  const take = (doc: RunIndexDoc): boolean => {
    if (from === undefined || newestFirst(from, doc) < 0) runs.push(doc);
    return runs.length > limit;
  };
  const stored = collection === undefined ? [] : storedRuns(ledger, collection, { ...where }, from);
  let full = false;
  for await (const doc of stored) {
    if (changed.has(keyOf(doc))) continue;
    while (!full && fresh[0] && newestFirst(fresh[0], doc) < 0) full = take(fresh.shift() as RunIndexDoc);
    full ||= take(doc);
    if (full) break;
  }
  while (!full && fresh[0]) full = take(fresh.shift() as RunIndexDoc);
  const last = runs[limit - 1];
  return { runs: runs.slice(0, limit), next: runs.length > limit && last ? writeCursor(last) : null };
}

async function indexOf(
  { log, views, registry }: OpenLedger,
  screen: Screen,
  wanted: (key: string) => boolean,
): Promise<Index> {
  const { runIndex, catalog } = registry;
  const serving = await servingCollection(runIndex, views);
  const own = serving?.version === runIndex.version ? serving.name : undefined;
  const [mark] = own === undefined ? [] : await views.load(own, [CHECKPOINT_MARK]);
  const checkpoint = mark?.position ?? START;
  // What was folded from another store's log, and at its positions, says nothing of this one.
  const isOfThisLog = await isReadableFrom(log, checkpoint);
  const collection = isOfThisLog ? own : undefined;
  const load = async (keys: readonly string[]): Promise<readonly StoredDocument[]> =>
    collection === undefined ? [] : views.load(collection, keys);
  let from = isOfThisLog ? checkpoint : START;
  const known = new Map<string, { readonly doc: RunIndexDoc | undefined; readonly position: Position }>();
  const changed = new Map<string, RunIndexDoc>();
  const progress = new Progress(screen, 'looking through the log', await log.head());
  for (;;) {
    const page = await log.readAll(from, { limit: PAGE });
    const last = page.at(-1);
    if (!last) break;
    const steps = page
      .filter(({ type }) => runIndex.types.includes(type))
      .map((stored) => catalog.read(stored))
      .map((reading) => ({ reading, keys: runIndex.keys(reading).filter(wanted) }));
    const unknown = [...new Set(steps.flatMap(({ keys }) => keys))].filter((key) => !known.has(key));
    for (const key of unknown) known.set(key, { doc: undefined, position: START });
    for (const { key, doc, position } of await load(unknown))
      known.set(key, { doc: (doc ?? undefined) as RunIndexDoc | undefined, position });
    for (const { reading, keys } of steps) {
      for (const key of keys) {
        const before = known.get(key);
        // The view may be further than its checkpoint says.
        if (before && reading.position <= before.position) continue;
        const doc = runIndex.evolve(before?.doc, reading, key) ?? undefined;
        known.set(key, { doc, position: reading.position });
        if (doc) changed.set(key, doc);
      }
    }
    from = last.position;
    progress.at(from);
  }
  progress.end();
  return { collection, changed };
}

async function* storedRuns(
  { views }: OpenLedger,
  collection: string,
  where: NonNullable<ViewQuery['where']>,
  from: RunIndexDoc | undefined,
): AsyncGenerator<RunIndexDoc> {
  const range = rangeOf(where);
  // Those of the same moment come again: which of them were shown is told by their keys.
  const moment = from && `${from.createdAt} `;
  const lt = moment !== undefined && (range.lt === undefined || moment < range.lt) ? moment : range.lt;
  const bounds = { ...range, ...(lt === undefined ? {} : { lt }) };
  const limited = Object.keys(bounds).length > 0 ? { ...where, createdAt: bounds } : where;
  for (let after: string | undefined; ;) {
    const query = { where: limited, orderBy: ['createdAt'], descending: true, limit: PAGE };
    const page = await views.find(collection, { ...query, ...(after === undefined ? {} : { after }) });
    for (const { doc } of page.documents) yield doc as unknown as RunIndexDoc;
    if (page.next === undefined) return;
    after = page.next;
  }
}

/** As a store does it: see `runQuery`. */
function matches(doc: RunIndexDoc, where: NonNullable<ViewQuery['where']>): boolean {
  const { gte, lt } = rangeOf(where);
  if (gte !== undefined && doc.createdAt < gte) return false;
  if (lt !== undefined && doc.createdAt >= lt) return false;
  return (['system', 'tenant', 'state'] as const).every(
    (name) => where[name] === undefined || where[name] === doc[name],
  );
}

function rangeOf({ createdAt }: NonNullable<ViewQuery['where']>): { readonly gte?: string; readonly lt?: string } {
  return (createdAt ?? {}) as { gte?: string; lt?: string };
}

/** The order of the index; ties are broken by key, by its bytes, as in a store. */
function newestFirst(a: RunIndexDoc, b: RunIndexDoc): number {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? 1 : -1;
  return Buffer.compare(Buffer.from(keyOf(b)), Buffer.from(keyOf(a)));
}

function keyOf({ system, runId }: RunIndexDoc): string {
  return runKey(system, runId);
}

function writeCursor({ createdAt, system, runId }: RunIndexDoc): string {
  return Buffer.from(JSON.stringify([createdAt, system, runId])).toString('base64url');
}

/** A run that stands where the page before has ended. */
function parseCursor(cursor: string): RunIndexDoc {
  const [createdAt, system, runId] = textsOf(Buffer.from(cursor, 'base64url').toString());
  if (createdAt === undefined || system === undefined || runId === undefined)
    throw new WrongUsage('--after is the "next" of another page of this list');
  return { createdAt, system, runId, tenant: '', state: null, stateSince: createdAt, streams: [], mentions: [] };
}

function textsOf(json: string): readonly string[] {
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) && value.every((each) => typeof each === 'string') ? value : [];
  } catch {
    // Whoever asks says what was wrong.
    return [];
  }
}
