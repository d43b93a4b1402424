import { expect } from '@jest/globals';
import type {
  CollectionShape,
  JsonObject,
  StoredDocument,
  ViewQuery,
  ViewStore,
} from '../../src/kernel/ports/view-store.js';
import type { ViewStoreHarness } from './view-store.suite.js';

/** What the parts of the suite share. A restart puts other views in their place. */
export interface Context {
  harness: ViewStoreHarness;
  views: ViewStore;
  /** A prepared collection for one test. */
  collection: string;
}

/** How the collection of a test is prepared. */
export const shape: CollectionShape = {
  indexes: [
    { fields: ['status', 'at'] },
    { fields: ['at'] },
    { fields: ['count'] },
    { fields: ['status', 'count', 'at'] },
    { fields: ['flag'] },
  ],
  arrays: ['tags'],
};

/** Writes to and reads from the collection of the test that runs, or another one. */
export function toolsOf(context: Context) {
  async function write(documents: readonly StoredDocument[], into = context.collection): Promise<void> {
    await context.views.write([{ collection: into, documents }]);
  }

  /** Stores documents by key, all at position 1. */
  async function fill(docs: { readonly [key: string]: JsonObject }, into = context.collection): Promise<void> {
    await write(
      Object.entries(docs).map(([key, doc]) => ({ key, position: 1, doc })),
      into,
    );
  }

  async function load(key: string, from = context.collection): Promise<StoredDocument | undefined> {
    return (await context.views.load(from, [key]))[0];
  }

  async function found(query: ViewQuery, from = context.collection): Promise<string[]> {
    return keysOf((await context.views.find(from, query)).documents);
  }

  /** All keys of a query, page by page, and what is done between the pages. */
  async function paged(
    query: ViewQuery,
    between: (page: number) => Promise<void> = async () => undefined,
  ): Promise<string[]> {
    const keys: string[] = [];
    let after: string | undefined;
    for (let page = 1; ; page++) {
      const { documents, next } = await context.views.find(context.collection, {
        ...query,
        ...(after === undefined ? {} : { after }),
      });
      expect(documents.length).toBeLessThanOrEqual(query.limit ?? 100);
      keys.push(...keysOf(documents));
      if (page > 1_000) throw new Error('The pages do not end');
      if (next === undefined) return keys;
      after = next;
      await between(page);
    }
  }

  return { write, fill, load, found, paged };
}

export function keysOf(documents: readonly StoredDocument[]): string[] {
  return documents.map(({ key }) => key);
}

/** In order of the key. */
export function byKey(documents: readonly StoredDocument[]): StoredDocument[] {
  return [...documents].sort((a, b) => compare(a.key, b.key));
}

/** What is missing comes before all else. */
export function compare(a: unknown, b: unknown): number {
  const [left, right] = [a ?? null, b ?? null];
  if (left === right) return 0;
  if (left === null || right === null) return left === null ? -1 : 1;
  return (left as string) < (right as string) ? -1 : 1;
}
