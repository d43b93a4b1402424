import { canonicalJson } from '../../src/kernel/canonical-json.js';
import { systemOf, type EventCatalog } from '../../src/kernel/event-catalog.js';
import { START, type EventLog, type Position, type StoredEvent } from '../../src/kernel/ports/event-log.js';
import type { ViewStore } from '../../src/kernel/ports/view-store.js';
import { registryOf as registryWith, type Registry } from '../../src/kernel/registry.js';
import type { SystemDefinition } from '../../src/kernel/system.js';
import { ledgerParts } from '../../src/ledger/parts.js';
import { parseCollection, SERVING_MARK, type AnyView } from '../../src/kernel/views/view.js';

const PAGE = 1_000;

/** What a service with these systems folds. */
export function registryOf(systems: readonly SystemDefinition[]): Registry {
  return registryWith(systems, ledgerParts);
}

/** The whole log. */
export async function allEvents(log: EventLog): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  let from: Position = START;
  for (;;) {
    const page = await log.readAll(from, { limit: PAGE });
    const last = page.at(-1);
    if (!last) return events;
    events.push(...page);
    from = last.position;
  }
}

/** What a view is, folded from the first event in memory: canonical JSON by key. */
export function fold(view: AnyView, events: readonly StoredEvent[], catalog: EventCatalog): Map<string, string> {
  const system = systemOf(view.name);
  const documents = new Map<string, object | null>();
  for (const stored of events) {
    if (!view.types.includes(stored.type)) continue;
    if (system !== 'runledger' && systemOf(stored.stream) !== system) continue;
    // Parsed from its text each time, so that no two documents share what one of them may change.
    const reading = catalog.read(stored);
    for (const key of view.keys(reading)) {
      documents.set(key, view.evolve(documents.get(key) ?? undefined, reading, key) as object | null);
    }
  }
  const present = [...documents].filter((entry): entry is [string, object] => entry[1] !== null);
  return new Map(present.map(([key, doc]) => [key, canonicalJson(doc)]));
}

/** The documents that answer queries: canonical JSON by key. Undefined when no collection of the view serves. */
export async function served(view: AnyView, store: ViewStore): Promise<Map<string, string> | undefined> {
  const collection = await servingCollection(view, store);
  if (collection === undefined) return undefined;
  const documents = new Map<string, string>();
  let after: string | undefined;
  for (;;) {
    const page = await store.find(collection, { limit: PAGE, ...(after === undefined ? {} : { after }) });
    for (const { key, doc } of page.documents) documents.set(key, canonicalJson(doc));
    if (page.next === undefined) return documents;
    after = page.next;
  }
}

/** The newest collection that has answered queries. */
export async function servingCollection(view: AnyView, store: ViewStore): Promise<string | undefined> {
  let best: { name: string; rank: number } | undefined;
  for (const name of await store.collections()) {
    const parsed = parseCollection(view, name);
    if (!parsed || (await store.load(name, [SERVING_MARK])).length === 0) continue;
    const rank = parsed.version * 1e6 + parsed.build;
    if (!best || rank > best.rank) best = { name, rank };
  }
  return best?.name;
}

export interface Comparison {
  /** Documents of all views that were compared. */
  readonly documents: number;
  /** One line for each difference; none when every view equals its rebuild. */
  readonly differences: readonly string[];
}

/** Compares what is stored of every view with a rebuild from the first event. */
export async function compareWithRebuild(
  stores: { readonly log: EventLog; readonly views: ViewStore },
  systems: readonly SystemDefinition[],
): Promise<Comparison> {
  const { catalog, views } = registryOf(systems);
  const events = await allEvents(stores.log);
  const differences: string[] = [];
  let documents = 0;
  for (const view of views) {
    const wanted = fold(view, events, catalog);
    const stored = await served(view, stores.views);
    if (!stored) differences.push(`${view.name}: no collection serves`);
    for (const key of new Set([...wanted.keys(), ...(stored?.keys() ?? [])])) {
      documents += 1;
      if (wanted.get(key) === stored?.get(key)) continue;
      differences.push(
        `${view.name} ${key}: stored ${stored?.get(key) ?? 'nothing'}, rebuilt ${wanted.get(key) ?? 'nothing'}`,
      );
    }
  }
  return { documents, differences };
}
