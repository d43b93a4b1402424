import type { ViewReader, ViewStore } from '../ports/view-store.js';
import { parseCollection, SERVING_MARK, type AnyView } from './view.js';

/** A collection of a view, as its name tells. */
export interface ViewCollection {
  readonly name: string;
  readonly version: number;
  readonly build: number;
}

/** A view's collections, the newest first. Those that a newer version of the code has made are not for this one. */
export async function collectionsOf(view: AnyView, store: ViewReader): Promise<ViewCollection[]> {
  const own = (await store.collections()).flatMap((name) => {
    const parsed = parseCollection(view, name);
    return parsed && parsed.version <= view.version ? [{ name, ...parsed }] : [];
  });
  return own.sort((a, b) => (isOlder(a, b) ? 1 : -1));
}

function isOlder(a: ViewCollection, b: ViewCollection): boolean {
  return a.version === b.version ? a.build < b.build : a.version < b.version;
}

/** The newest collection that answers queries, whoever folds it. */
export async function servingCollection(view: AnyView, store: ViewReader): Promise<ViewCollection | undefined> {
  for (const collection of await collectionsOf(view, store)) {
    if ((await store.load(collection.name, [SERVING_MARK])).length > 0) return collection;
  }
  return undefined;
}

/** Drops what is older than what serves. What is newer is somebody else's: of newer code, or of another process. */
export async function dropOlder(view: AnyView, serving: string | undefined, store: ViewStore): Promise<void> {
  const own = await collectionsOf(view, store);
  const current = own.find(({ name }) => name === serving);
  if (!current) return;
  for (const each of own) if (isOlder(each, current)) await store.drop(each.name);
}
