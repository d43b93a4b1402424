import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../../src/kernel/canonical-json.js';
import type {
  CollectionShape,
  JsonObject,
  StoredDocument,
  ViewQuery,
  ViewStore,
} from '../../src/kernel/ports/view-store.js';
import { unique } from '../support/unique.js';

/** A view store that may hold collections of others. */
export interface ViewStoreHarness {
  readonly views: ViewStore;
  /** Closes the views and opens the same store again, as a restart would. */
  reopen(): Promise<ViewStore>;
  close(): Promise<void>;
}

const shape: CollectionShape = {
  indexes: [
    { fields: ['status', 'at'] },
    { fields: ['at'] },
    { fields: ['count'] },
    { fields: ['status', 'count', 'at'] },
    { fields: ['flag'] },
  ],
  arrays: ['tags'],
};

/** What every view store promises, under repetition, reordering, odd names and restarts. */
export function describeViewStore(adapter: string, open: () => Promise<ViewStoreHarness>): void {
  describe(`ViewStore: ${adapter}`, () => {
    let harness: ViewStoreHarness;
    let views: ViewStore;
    /** A prepared collection for one test. */
    let collection: string;

    beforeAll(async () => {
      harness = await open();
      views = harness.views;
    });
    afterAll(() => harness.close());
    beforeEach(async () => {
      collection = `sample.${unique('things')}.v1`;
      await views.prepare(collection, shape);
    });

    async function write(documents: readonly StoredDocument[], into = collection): Promise<void> {
      await views.write([{ collection: into, documents }]);
    }

    /** Stores documents by key, all at position 1. */
    async function fill(docs: { readonly [key: string]: JsonObject }, into = collection): Promise<void> {
      await write(
        Object.entries(docs).map(([key, doc]) => ({ key, position: 1, doc })),
        into,
      );
    }

    async function load(key: string, from = collection): Promise<StoredDocument | undefined> {
      return (await views.load(from, [key]))[0];
    }

    async function found(query: ViewQuery, from = collection): Promise<string[]> {
      return keysOf((await views.find(from, query)).documents);
    }

    /** All keys of a query, page by page, and what is done between the pages. */
    async function paged(
      query: ViewQuery,
      between: (page: number) => Promise<void> = async () => undefined,
    ): Promise<string[]> {
      const keys: string[] = [];
      let after: string | undefined;
      for (let page = 1; ; page++) {
        const { documents, next } = await views.find(collection, {
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

    describe('prepare', () => {
      it('makes a collection that is empty', async () => {
        expect(await views.collections()).toContain(collection);
        expect(await views.find(collection, {})).toEqual({ documents: [] });
        expect(await views.count(collection)).toBe(0);
      });

      it('may be called again, and leaves what is stored', async () => {
        await fill({ a: { status: 'open', tags: ['x'] } });
        await views.prepare(collection, shape);
        await views.prepare(collection, shape);
        expect(await found({ where: { status: 'open', tags: 'x' } })).toEqual(['a']);
      });

      it('may be called many times in parallel, for one collection and for many', async () => {
        const names = Array.from({ length: 5 }, () => `sample.${unique('parallel')}.v1`);
        await Promise.all(Array.from({ length: 20 }, (_, index) => views.prepare(names[index % 5] as string, shape)));
        for (const name of names) {
          await fill({ a: { tags: ['x'] } }, name);
          expect(await found({ where: { tags: 'x' } }, name)).toEqual(['a']);
        }
        expect((await views.collections()).filter((name) => names.includes(name))).toEqual([...names].sort());
      });

      it('makes a collection without indexes', async () => {
        const bare = `sample.${unique('bare')}.v1`;
        await views.prepare(bare, { indexes: [] });
        await fill({ b: { n: 2 }, a: { n: 1 } }, bare);
        expect(await found({}, bare)).toEqual(['a', 'b']);
      });
    });

    describe('write and load', () => {
      it('gives back what was written, by key and in any order', async () => {
        const documents = Array.from({ length: 50 }, (_, n) => ({ key: `k${n}`, position: n + 1, doc: { n } }));
        await write(documents);
        expect(byKey(await views.load(collection, ['k3', 'k49', 'k0']))).toEqual(
          byKey([documents[3], documents[49], documents[0]] as StoredDocument[]),
        );
        expect(
          await views.load(
            collection,
            documents.map(({ key }) => key),
          ),
        ).toHaveLength(50);
      });

      it('gives nothing for keys that are not there, for no keys, and of an unknown collection', async () => {
        await fill({ a: {} });
        expect(keysOf(await views.load(collection, ['missing', 'a', 'A', 'a ']))).toEqual(['a']);
        expect(await views.load(collection, [])).toEqual([]);
        expect(await views.load(`sample.${unique('unknown')}.v1`, ['a'])).toEqual([]);
      });

      it('loads and writes thousands of documents at once', async () => {
        const documents = Array.from({ length: 5_000 }, (_, n) => ({ key: `k${n}`, position: 1, doc: { count: n } }));
        await write(documents);
        expect(await views.count(collection)).toBe(5_000);
        const some = await views.load(
          collection,
          Array.from({ length: 4_000 }, (_, n) => `k${n * 2}`),
        );
        expect(some).toHaveLength(2_500);
      });

      it('writes to several collections in one batch', async () => {
        const other = `sample.${unique('other')}.v2`;
        await views.prepare(other, { indexes: [] });
        await views.write([
          { collection, documents: [{ key: 'a', position: 5, doc: { n: 1 } }] },
          { collection: other, documents: [{ key: 'a', position: 7, doc: { n: 2 } }] },
          { collection, documents: [{ key: 'b', position: 6, doc: { n: 3 } }] },
        ]);
        expect(await load('a')).toEqual({ key: 'a', position: 5, doc: { n: 1 } });
        expect(await load('b')).toEqual({ key: 'b', position: 6, doc: { n: 3 } });
        expect(await load('a', other)).toEqual({ key: 'a', position: 7, doc: { n: 2 } });
      });

      it('takes a batch of nothing', async () => {
        await views.write([]);
        await views.write([{ collection, documents: [] }]);
        expect(await views.count(collection)).toBe(0);
      });

      it('replaces a document as a whole', async () => {
        await write([{ key: 'a', position: 1, doc: { old: 1, both: { x: 1, y: 1 } } }]);
        await write([{ key: 'a', position: 2, doc: { both: { y: 2 } } }]);
        expect(await load('a')).toEqual({ key: 'a', position: 2, doc: { both: { y: 2 } } });
      });

      it('survives content of every kind', async () => {
        const texts = [
          '{}',
          '{"__proto__":{"a":1},"constructor":2,"toString":null}',
          '{"":0,"$set":{"a":1},"$where":"1","a.b":{"c.d":1,"$x":2},"\'\\"`":3}',
          '{"key":"not the key","position":99,"doc":{"doc":null},"_id":"not the id"}',
          '{"byTest":{"src/a.spec.ts › works":{"passed":1},"100%":{"passed":2}}}',
          '{"ключ 漢字":"ünïcödé 😀 \\u0000 \\u001f \\\\ \\" \\n","é":"e\u0301"}',
          '{"numbers":[0,-1,0.1,1e+21,5e-324,9007199254740991,1.7976931348623157e+308]}',
          '{"date":"2026-01-01T00:00:00.000Z","empty":[[],{},"",null,false],"objectId":"507f1f77bcf86cd799439011"}',
          `{"deep":${'{"d":['.repeat(40)}1${']}'.repeat(40)}}`,
        ];
        await write(texts.map((text, n) => ({ key: `k${n}`, position: 1, doc: JSON.parse(text) as JsonObject })));
        for (const [n, text] of texts.entries()) {
          expect(canonicalJson((await load(`k${n}`))?.doc)).toBe(canonicalJson(JSON.parse(text)));
        }
        const { documents } = await views.find(collection, {});
        expect(documents.map(({ doc }) => canonicalJson(doc))).toEqual(
          texts.map((text) => canonicalJson(JSON.parse(text))),
        );
      });

      it('takes a document of a megabyte', async () => {
        const doc = { text: 'ä'.repeat(500_000) };
        await write([{ key: 'large', position: 1, doc }]);
        expect((await load('large'))?.doc).toEqual(doc);
      });

      it('takes positions up to the largest safe integer', async () => {
        const position = Number.MAX_SAFE_INTEGER;
        await write([{ key: 'a', position: position - 1, doc: { n: 1 } }]);
        await write([{ key: 'a', position, doc: { n: 2 } }]);
        await write([{ key: 'a', position: position - 1, doc: { n: 3 } }]);
        expect(await load('a')).toEqual({ key: 'a', position, doc: { n: 2 } });
      });
    });

    describe('the position of a document', () => {
      it('lets later writes through, and no earlier or equal one', async () => {
        await write([{ key: 'a', position: 10, doc: { n: 10 } }]);
        await write([{ key: 'a', position: 9, doc: { n: 9 } }]);
        await write([{ key: 'a', position: 10, doc: { n: 'again' } }]);
        expect(await load('a')).toEqual({ key: 'a', position: 10, doc: { n: 10 } });
        await write([{ key: 'a', position: 11, doc: { n: 11 } }]);
        expect(await load('a')).toEqual({ key: 'a', position: 11, doc: { n: 11 } });
      });

      it('guards each document of a batch by itself', async () => {
        await write([
          { key: 'a', position: 5, doc: { n: 'a5' } },
          { key: 'b', position: 2, doc: { n: 'b2' } },
        ]);
        await write([
          { key: 'a', position: 4, doc: { n: 'a4' } },
          { key: 'b', position: 4, doc: { n: 'b4' } },
          { key: 'c', position: 4, doc: { n: 'c4' } },
        ]);
        expect(byKey(await views.load(collection, ['a', 'b', 'c']))).toEqual([
          { key: 'a', position: 5, doc: { n: 'a5' } },
          { key: 'b', position: 4, doc: { n: 'b4' } },
          { key: 'c', position: 4, doc: { n: 'c4' } },
        ]);
      });

      it('goes on guarding where the document was deleted', async () => {
        await write([{ key: 'a', position: 1, doc: { status: 'open' } }]);
        await write([{ key: 'a', position: 5, doc: null }]);
        expect(await load('a')).toEqual({ key: 'a', position: 5, doc: null });
        await write([{ key: 'a', position: 4, doc: { status: 'risen' } }]);
        await write([{ key: 'a', position: 5, doc: { status: 'risen' } }]);
        expect(await load('a')).toEqual({ key: 'a', position: 5, doc: null });
        await write([{ key: 'a', position: 6, doc: { status: 'new' } }]);
        expect(await load('a')).toEqual({ key: 'a', position: 6, doc: { status: 'new' } });
      });

      it('guards against a deletion that comes late', async () => {
        await write([{ key: 'a', position: 5, doc: { n: 5 } }]);
        await write([{ key: 'a', position: 4, doc: null }]);
        await write([{ key: 'a', position: 5, doc: null }]);
        expect(await load('a')).toEqual({ key: 'a', position: 5, doc: { n: 5 } });
      });

      it('is kept where a document is deleted that was never there', async () => {
        await write([{ key: 'a', position: 5, doc: null }]);
        expect(await load('a')).toEqual({ key: 'a', position: 5, doc: null });
        await write([{ key: 'a', position: 3, doc: { n: 3 } }]);
        expect(await load('a')).toEqual({ key: 'a', position: 5, doc: null });
        expect(await views.count(collection)).toBe(0);
      });

      it('keeps the newest of a document that one batch holds twice', async () => {
        await write([
          { key: 'rising', position: 1, doc: { n: 1 } },
          { key: 'rising', position: 2, doc: { n: 2 } },
          { key: 'falling', position: 2, doc: { n: 2 } },
          { key: 'falling', position: 1, doc: { n: 1 } },
        ]);
        expect(await load('rising')).toMatchObject({ position: 2, doc: { n: 2 } });
        expect(await load('falling')).toMatchObject({ position: 2, doc: { n: 2 } });
      });

      it('leaves the newest of twenty writers at once, in whatever order they come', async () => {
        const positions = Array.from({ length: 20 }, (_, index) => ((index * 7) % 20) + 1);
        await Promise.all(
          positions.map((position) =>
            write(
              ['a', 'b', 'c'].map((key) => ({ key, position, doc: position === 20 ? { position } : { early: true } })),
            ),
          ),
        );
        for (const key of ['a', 'b', 'c'])
          expect(await load(key)).toEqual({ key, position: 20, doc: { position: 20 } });
      });

      it('makes writing a batch again harmless, also a part of it and also after others', async () => {
        const first = ['a', 'b', 'c'].map((key, n) => ({ key, position: n + 1, doc: { tags: [key], n } }));
        const second = [
          { key: 'a', position: 4, doc: { tags: ['new'], n: 9 } },
          { key: 'b', position: 5, doc: null },
        ];
        await write(first);
        await write(second);
        const before = byKey(await views.load(collection, ['a', 'b', 'c']));
        for (const again of [first, second, first.slice(1), [...second, ...first]]) await write(again);
        expect(byKey(await views.load(collection, ['a', 'b', 'c']))).toEqual(before);
        expect(await found({ where: { tags: 'a' } })).toEqual([]);
        expect(await found({ where: { tags: 'new' } })).toEqual(['a']);
      });
    });

    describe('find', () => {
      it('gives documents with their key and position, by key when nothing else is asked', async () => {
        await write([
          { key: 'b', position: 1, doc: { n: 1 } },
          { key: 'a', position: 2, doc: { n: 2 } },
        ]);
        expect(await views.find(collection, {})).toEqual({
          documents: [
            { key: 'a', position: 2, doc: { n: 2 } },
            { key: 'b', position: 1, doc: { n: 1 } },
          ],
        });
        expect(await found({ descending: true })).toEqual(['b', 'a']);
      });

      it('gives nothing of an unknown collection', async () => {
        const unknown = `sample.${unique('unknown')}.v1`;
        const query = { where: { status: 'open' }, orderBy: ['at'] };
        expect(await views.find(unknown, query)).toEqual({ documents: [] });
        expect(await views.count(unknown)).toBe(0);
        expect(await views.count(unknown, { status: 'open' })).toBe(0);
      });

      it('leaves out what was deleted', async () => {
        await fill({ a: { status: 'open', tags: ['x'] }, b: { status: 'open', tags: ['x'] } });
        await write([{ key: 'a', position: 2, doc: null }]);
        for (const where of [{}, { status: 'open' }, { tags: 'x' }]) {
          expect(await found({ where })).toEqual(['b']);
          expect(await views.count(collection, where)).toBe(1);
        }
        expect(await found({ where: { missing: null } })).toEqual(['b']);
      });

      it('finds by equality of texts, numbers and truth values', async () => {
        await fill({
          a: { status: 'open', count: 1, flag: true },
          b: { status: 'Open', count: 1.5, flag: false },
          c: { status: '', count: 0 },
          d: { status: 'open ', count: -1, flag: true },
        });
        expect(await found({ where: { status: 'open' } })).toEqual(['a']);
        expect(await found({ where: { status: '' } })).toEqual(['c']);
        expect(await found({ where: { count: 1.5 } })).toEqual(['b']);
        expect(await found({ where: { count: 0 } })).toEqual(['c']);
        expect(await found({ where: { count: -1 } })).toEqual(['d']);
        expect(await found({ where: { flag: true } })).toEqual(['a', 'd']);
        expect(await found({ where: { flag: false } })).toEqual(['b']);
        expect(await found({ where: { status: 'open', count: 1 } })).toEqual(['a']);
        expect(await found({ where: { status: 'open', count: 2 } })).toEqual([]);
      });

      it('takes no value for one of another type', async () => {
        await fill({
          text: { count: '1', flag: 'true' },
          number: { count: 1, flag: 1 },
          truth: { count: true, flag: true },
          zero: { count: 0, flag: 0 },
          untruth: { count: false, flag: false },
        });
        expect(await found({ where: { count: 1 } })).toEqual(['number']);
        expect(await found({ where: { count: '1' } })).toEqual(['text']);
        expect(await found({ where: { flag: true } })).toEqual(['truth']);
        expect(await found({ where: { flag: false } })).toEqual(['untruth']);
        expect(await found({ where: { flag: 'true' } })).toEqual(['text']);
      });

      it('takes a null for a missing field too, and for nothing else', async () => {
        await fill({
          missing: {},
          nothing: { status: null },
          empty: { status: '' },
          zero: { status: 0 },
          no: { status: false },
        });
        expect(await found({ where: { status: null } })).toEqual(['missing', 'nothing']);
        expect(await views.count(collection, { status: null })).toBe(2);
      });

      it('finds by a half-open range of the field that it is ordered by', async () => {
        const days = ['2026-01-01', '2026-01-02', '2026-01-03', '2026-01-04'];
        await fill(Object.fromEntries(days.map((at, count) => [`d${count}`, { at, count, status: 'open' }])));
        await fill({ without: { status: 'open' }, nothing: { at: null, count: null, status: 'open' } });
        const orderBy = ['at'];
        expect(await found({ orderBy, where: { at: { gte: '2026-01-02' } } })).toEqual(['d1', 'd2', 'd3']);
        expect(await found({ orderBy, where: { at: { lt: '2026-01-02' } } })).toEqual(['d0']);
        expect(await found({ orderBy, where: { at: { gte: '2026-01-02', lt: '2026-01-04' } } })).toEqual(['d1', 'd2']);
        expect(await found({ orderBy, where: { at: { gte: '2026-01-02', lt: '2026-01-02' } } })).toEqual([]);
        expect(await found({ orderBy, where: { status: 'open', at: { lt: '2026-01-03' } } })).toEqual(['d0', 'd1']);
        expect(await found({ orderBy, where: { status: 'shut', at: { lt: '2026-01-03' } } })).toEqual([]);
        expect(await found({ orderBy, where: { at: { gte: '2026-01-02' } }, descending: true })).toEqual([
          'd3',
          'd2',
          'd1',
        ]);
        expect(await found({ orderBy: ['count'], where: { count: { gte: 0, lt: 2.5 } } })).toEqual(['d0', 'd1', 'd2']);
        expect(await found({ orderBy: ['count'], where: { count: { lt: 0 } } })).toEqual([]);
        expect(await views.count(collection, { at: { gte: '2026-01-03' } })).toBe(2);
        expect(await views.count(collection, { at: { lt: '2026-01-03' }, status: 'open' })).toBe(2);
      });

      it('finds by an element of a declared array', async () => {
        await fill({
          a: { tags: ['red', 'blue'], status: 'open' },
          b: { tags: ['blue', 'blue'], status: 'open' },
          c: { tags: [], status: 'open' },
          d: { status: 'open' },
          e: { tags: ['blue'], status: 'shut' },
          f: { tags: null, status: 'open' },
          g: { tags: ['blues', 'Blue', 'bl', ' blue'] },
        });
        expect(await found({ where: { tags: 'blue' } })).toEqual(['a', 'b', 'e']);
        expect(await found({ where: { tags: 'red' } })).toEqual(['a']);
        expect(await found({ where: { tags: 'green' } })).toEqual([]);
        expect(await found({ where: { tags: 'blue', status: 'open' } })).toEqual(['a', 'b']);
        expect(await views.count(collection, { tags: 'blue' })).toBe(3);
      });

      it('finds by the elements that an array holds now', async () => {
        await write([{ key: 'a', position: 1, doc: { tags: ['one', 'two'] } }]);
        await write([{ key: 'a', position: 2, doc: { tags: ['two', 'three'] } }]);
        await write([{ key: 'a', position: 1, doc: { tags: ['late'] } }]);
        const matches: string[] = [];
        for (const tags of ['one', 'two', 'three', 'late']) {
          if ((await found({ where: { tags } })).length > 0) matches.push(tags);
        }
        expect(matches).toEqual(['two', 'three']);
        await write([{ key: 'a', position: 3, doc: null }]);
        expect(await found({ where: { tags: 'two' } })).toEqual([]);
        await write([{ key: 'a', position: 4, doc: { tags: ['four'] } }]);
        expect(await found({ where: { tags: 'four' } })).toEqual(['a']);
        await write([{ key: 'a', position: 5, doc: {} }]);
        expect(await found({ where: { tags: 'four' } })).toEqual([]);
      });

      it('orders by fields, and breaks ties by key, in one direction', async () => {
        await fill({
          d: { at: '1', count: 2 },
          c: { at: '1', count: 10 },
          b: { at: '2', count: -1 },
          a: { at: '1', count: 2 },
        });
        expect(await found({ orderBy: ['at'] })).toEqual(['a', 'c', 'd', 'b']);
        expect(await found({ orderBy: ['at'], descending: true })).toEqual(['b', 'd', 'c', 'a']);
        expect(await found({ orderBy: ['count'] })).toEqual(['b', 'a', 'd', 'c']);
        expect(await found({ orderBy: ['count'], descending: true })).toEqual(['c', 'd', 'a', 'b']);
      });

      it('filters by the first fields of an index and orders by the rest', async () => {
        await fill({
          a: { status: 'open', count: 1, at: '3' },
          b: { status: 'open', count: 1, at: '2' },
          c: { status: 'open', count: 0, at: '9' },
          d: { status: 'shut', count: 0, at: '1' },
        });
        expect(await found({ where: { status: 'open' }, orderBy: ['count', 'at'] })).toEqual(['c', 'b', 'a']);
        expect(await found({ where: { status: 'open', count: 1 }, orderBy: ['at'] })).toEqual(['b', 'a']);
        expect(await found({ where: { status: 'open' }, orderBy: ['count', 'at'], descending: true })).toEqual([
          'a',
          'b',
          'c',
        ]);
      });

      it('orders texts by their characters, not by a language, and numbers by size', async () => {
        const texts = ['', ' ', '10', '9', 'B', 'a', 'a b', 'ab', 'b', 'ä', '漢', '\uffee', '😀'];
        await fill(Object.fromEntries(texts.map((at, n) => [`k${n}`, { at }])));
        const { documents } = await views.find(collection, { orderBy: ['at'] });
        expect(documents.map(({ doc }) => doc?.['at'])).toEqual(texts);
        await fill(Object.fromEntries(texts.slice(1).map((key) => [key, { of: 'keys' }])));
        expect(await found({ where: { of: 'keys' } })).toEqual(texts.slice(1));

        const numbers = [-1e21, -10, -9, -0.5, 0, 1e-7, 2, 10, 1e21];
        const other = `sample.${unique('numbers')}.v1`;
        await views.prepare(other, shape);
        await fill(
          Object.fromEntries(numbers.map((count, n) => [`k${n}`, { count }]).toReversed() as [string, JsonObject][]),
          other,
        );
        const ordered = await views.find(other, { orderBy: ['count'] });
        expect(ordered.documents.map(({ doc }) => doc?.['count'])).toEqual(numbers);
      });

      it('has a place in every order for documents that lack the field', async () => {
        await fill({ a: { at: '1' }, b: {}, c: { at: null }, d: { at: '0' } });
        const rising = await found({ orderBy: ['at'] });
        expect([...rising].sort()).toEqual(['a', 'b', 'c', 'd']);
        expect(await found({ orderBy: ['at'], descending: true })).toEqual(rising.toReversed());
        expect(rising.filter((key) => 'ad'.includes(key))).toEqual(['d', 'a']);
      });

      it.each([
        "it's",
        '"quoted"',
        'a.b',
        '$where',
        '$',
        '%',
        '_',
        '\\',
        ';--',
        '漢 😀',
        ' ',
        '__proto__',
        '{"a":1}',
        'null',
      ])('takes the text %j as key, value, element and bound like any other', async (text) => {
        await fill({
          [`${text}!`]: { status: text, at: text, tags: [text] },
          plain: { status: 'x', at: 'x', tags: ['x'] },
        });
        await write([{ key: text, position: 1, doc: { status: text, at: text, tags: [text, text] } }]);
        expect(keysOf(await views.load(collection, [text]))).toEqual([text]);
        const both = [text, `${text}!`];
        expect(await found({ where: { status: text } })).toEqual(both);
        expect(await found({ where: { tags: text } })).toEqual(both);
        expect(await found({ where: { at: { gte: text, lt: `${text}~` } }, orderBy: ['at'] })).toEqual(both);
        expect(await paged({ where: { status: text }, orderBy: ['at'], limit: 1 })).toEqual(both);
        await write([{ key: text, position: 2, doc: null }]);
        expect(await found({ where: { status: text } })).toEqual([`${text}!`]);
      });

      it('takes odd names of fields, indexed and declared as arrays', async () => {
        const names = ["it's", '"quoted"', 'a.b', '$set', 'with space', 'ünï', '[0]', '#', 'key', 'position', 'doc'];
        const odd = `sample.${unique('fields')}.v1`;
        await views.prepare(odd, {
          indexes: names.map((name) => ({ fields: [name] })),
          arrays: names.map((name) => `${name} list`),
        });
        for (const [n, name] of names.entries()) {
          await fill({ [`a${n}`]: { [name]: `x${n}`, [`${name} list`]: ['e'] }, [`b${n}`]: { [name]: `w${n}` } }, odd);
          expect(await found({ where: { [name]: `x${n}` } }, odd)).toEqual([`a${n}`]);
          expect(await found({ where: { [name]: { gte: '' } }, orderBy: [name] }, odd)).toEqual([`b${n}`, `a${n}`]);
          expect(await found({ where: { [`${name} list`]: 'e' } }, odd)).toEqual([`a${n}`]);
          await write(
            [
              { key: `a${n}`, position: 2, doc: null },
              { key: `b${n}`, position: 2, doc: null },
            ],
            odd,
          );
        }
      });
    });

    describe('paging', () => {
      const query = { where: { status: 'open' }, orderBy: ['at'] };

      it('gives 100 documents when no limit is given, and says where to go on as long as there are more', async () => {
        await fill(
          Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`k${n}`, { status: 'open', at: String(n % 7) }])),
        );
        const first = await views.find(collection, query);
        expect(first.documents).toHaveLength(100);
        expect(first.next).toEqual(expect.any(String));
        const last = await views.find(collection, { ...query, after: first.next as string });
        expect(last.documents).toHaveLength(1);
        expect(last).not.toHaveProperty('next');
      });

      it('ends without a next page when the last page is full', async () => {
        await fill({ a: { status: 'open', at: '1' }, b: { status: 'open', at: '2' } });
        const page = await views.find(collection, { ...query, limit: 2 });
        expect([keysOf(page.documents), 'next' in page]).toEqual([['a', 'b'], false]);
      });

      it.each([
        ['by key', {}],
        ['by key, falling', { descending: true }],
        ['by one field', { orderBy: ['at'] }],
        ['by one field, falling', { orderBy: ['at'], descending: true }],
        ['by two fields', { where: { status: 'open' }, orderBy: ['count', 'at'] }],
        ['by two fields, falling', { where: { status: 'open' }, orderBy: ['count', 'at'], descending: true }],
        ['within a range', { where: { at: { gte: '1' } }, orderBy: ['at'] }],
        ['within a range, falling', { where: { at: { gte: '1', lt: '3' } }, orderBy: ['at'], descending: true }],
        ['of an element', { where: { tags: 'x' }, orderBy: ['at'] }],
      ] satisfies [string, ViewQuery][])('gives page by page what one page would, %s', async (_, ordered) => {
        await fill(
          Object.fromEntries(
            Array.from({ length: 40 }, (_, n) => [
              `k${(n * 17) % 40}`,
              {
                status: n % 4 === 0 ? 'shut' : 'open',
                tags: n % 3 === 0 ? ['x', 'y'] : ['y'],
                ...(n % 5 === 0 ? {} : { at: n % 7 === 0 ? null : String(n % 4) }),
                ...(n % 6 === 0 ? {} : { count: n % 3 }),
              },
            ]),
          ),
        );
        const whole = await found({ ...ordered, limit: 1_000 });
        expect(whole.length).toBeGreaterThan(5);
        for (const limit of [1, 3, 7, whole.length - 1, whole.length]) {
          expect(await paged({ ...ordered, limit })).toEqual(whole);
        }
      });

      it.each([false, true])(
        'sees what stays exactly once while others come, go and move (descending: %s)',
        async (descending) => {
          const staying = Array.from({ length: 20 }, (_, n) => `stay-${String(n).padStart(2, '0')}`);
          await fill(Object.fromEntries(staying.map((key, n) => [key, { status: 'open', at: String(10 + (n >> 1)) }])));
          await fill({ gone: { status: 'open', at: '10' }, moved: { status: 'open', at: '11' } });
          const seen = await paged({ ...query, descending, limit: 3 }, async (page) => {
            const position = page + 1;
            await write([
              { key: `early-${page}`, position, doc: { status: 'open', at: '00' } },
              { key: `late-${page}`, position, doc: { status: 'open', at: '99' } },
              { key: `tie-${page}`, position, doc: { status: 'open', at: String(10 + page) } },
              { key: 'gone', position, doc: null },
              { key: 'moved', position, doc: { status: 'open', at: page % 2 === 0 ? '00' : '99' } },
            ]);
          });
          const stayed = seen.filter((key) => staying.includes(key));
          expect(stayed).toEqual(descending ? staying.toReversed() : staying);
        },
      );

      it('goes on behind the last document of a page that has been deleted meanwhile', async () => {
        await fill(Object.fromEntries(['a', 'b', 'c', 'd'].map((key) => [key, { status: 'open', at: '1' }])));
        const seen = await paged({ ...query, limit: 2 }, () => write([{ key: 'b', position: 2, doc: null }]));
        expect(seen).toEqual(['a', 'b', 'c', 'd']);
      });

      it('goes on after a restart', async () => {
        await fill(Object.fromEntries(['a', 'b', 'c'].map((key) => [key, { status: 'open', at: '1' }])));
        const { next } = await views.find(collection, { ...query, limit: 2 });
        views = await harness.reopen();
        await views.prepare(collection, shape);
        expect(await found({ ...query, after: next as string })).toEqual(['c']);
      });

      it('agrees with a sorted list, whatever is stored and asked', async () => {
        const field = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });
        const doc = fc.record(
          {
            status: fc.constantFrom('open', 'shut'),
            at: field(fc.constantFrom('1', '2', '3')),
            count: field(fc.integer({ min: -2, max: 2 })),
          },
          { requiredKeys: [] },
        );
        const writes = fc.array(
          fc.record({
            key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
            position: fc.integer({ min: 1, max: 5 }),
            doc: fc.option(doc, { nil: null, freq: 6 }),
          }),
          { maxLength: 20 },
        );
        const asked = fc.record({
          where: fc.constantFrom<ViewQuery['where'] & object>({}, { status: 'open' }, { status: null }),
          orderBy: fc.constantFrom([], ['at'], ['count', 'at']),
          descending: fc.boolean(),
          limit: fc.integer({ min: 1, max: 4 }),
        });
        await fc.assert(
          fc.asyncProperty(writes, asked, async (documents, asked) => {
            collection = `sample.${unique('model')}.v1`;
            await views.prepare(collection, shape);
            const model = new Map<string, StoredDocument>();
            for (const document of documents as StoredDocument[]) {
              await write([document]);
              if (document.position > (model.get(document.key)?.position ?? 0)) model.set(document.key, document);
            }
            const matching = [...model.values()].filter(
              ({ doc }) => doc && Object.entries(asked.where).every(([name, value]) => (doc[name] ?? null) === value),
            );
            const order = (a: StoredDocument, b: StoredDocument): number =>
              asked.orderBy.map((name) => compare(a.doc?.[name], b.doc?.[name])).find((sign) => sign !== 0) ??
              compare(a.key, b.key);
            const sorted = matching.sort((a, b) => order(a, b) * (asked.descending ? -1 : 1));
            expect(await paged(asked)).toEqual(sorted.map(({ key }) => key));
            expect(await views.count(collection, asked.where)).toBe(sorted.length);
            await views.drop(collection);
          }),
          { numRuns: 50 },
        );
      });
    });

    describe('collections and drop', () => {
      it('names all collections, sorted', async () => {
        const names = ['b.v1', 'a.v10', 'a.v2', 'B.v1', 'ä.v1'].map((name) => `sample.${unique('')}.${name}`);
        for (const name of names) await views.prepare(name, { indexes: [] });
        const all = await views.collections();
        expect(all.filter((name) => names.includes(name))).toEqual([...names].sort());
        expect(all).toEqual([...all].sort());
        expect(new Set(all).size).toBe(all.length);
      });

      it('removes a collection with all its documents', async () => {
        await fill({ a: { status: 'open', tags: ['x'] } });
        await views.drop(collection);
        expect(await views.collections()).not.toContain(collection);
        expect(await views.load(collection, ['a'])).toEqual([]);
        expect(await views.find(collection, { where: { status: 'open' }, orderBy: ['at'] })).toEqual({ documents: [] });
        expect(await views.count(collection)).toBe(0);
      });

      it('makes room for a new collection of that name, with positions of its own', async () => {
        await write([{ key: 'a', position: 9, doc: { tags: ['x'], other: ['y'] } }]);
        await views.drop(collection);
        await views.prepare(collection, { indexes: [{ fields: ['n'] }], arrays: ['other'] });
        expect(await views.count(collection)).toBe(0);
        await write([{ key: 'a', position: 1, doc: { n: 1, other: ['z'] } }]);
        expect(await load('a')).toMatchObject({ position: 1 });
        expect(await found({ where: { other: 'z' }, orderBy: ['n'] })).toEqual(['a']);
        expect(await found({ where: { other: 'y' } })).toEqual([]);
      });

      it('removes nothing, without an error, when there is nothing', async () => {
        await views.drop(`sample.${unique('unknown')}.v1`);
        await views.drop(collection);
        await views.drop(collection);
        expect(await views.collections()).not.toContain(collection);
      });

      it('keeps versions of one view apart', async () => {
        const second = collection.replace(/v1$/, 'v2');
        await views.prepare(second, shape);
        await fill({ a: { status: 'one', tags: ['x'] } });
        await fill({ a: { status: 'two', tags: ['x'] }, b: { status: 'two' } }, second);
        expect(await found({ where: { tags: 'x' } })).toEqual(['a']);
        expect(await views.count(second)).toBe(2);
        await views.drop(collection);
        expect(await found({ where: { tags: 'x' } }, second)).toEqual(['a']);
      });

      it.each([
        ['dots', (name: string) => `${name}.more`],
        ['colons', (name: string) => `${name}:tags`],
        ['underscores', (name: string) => name.replaceAll('.', '_')],
        ['quotes', (name: string) => `it's "${name}"`],
        ['dollars and spaces', (name: string) => `$ ${name} $x`],
        ['Unicode', (name: string) => `ünï 漢 ${name}`],
        ['another case', (name: string) => name.toUpperCase()],
      ])('keeps a collection apart whose name differs by %s', async (_, rename) => {
        const near = rename(collection);
        await views.prepare(near, { indexes: [{ fields: ['status', 'at'] }], arrays: ['tags', 'x'] });
        await fill({ a: { status: 'one', tags: ['t'] } });
        await fill({ a: { status: 'two', tags: ['t'] }, b: { status: 'two', tags: ['t'], x: ['t'] } }, near);
        expect(await views.collections()).toEqual(expect.arrayContaining([collection, near]));
        expect((await load('a'))?.doc).toMatchObject({ status: 'one' });
        expect(await found({ where: { tags: 't' } })).toEqual(['a']);
        await views.drop(collection);
        expect(await found({ where: { tags: 't' } }, near)).toEqual(['a', 'b']);
        await write([{ key: 'a', position: 2, doc: { tags: ['u'] } }], near);
        expect(await found({ where: { tags: 't' } }, near)).toEqual(['b']);
        expect(await views.collections()).not.toContain(collection);
      });
    });

    describe('a restart', () => {
      it('keeps documents, positions, deletions and collections', async () => {
        await write([
          { key: 'a', position: 3, doc: { status: 'open', at: '1', tags: ['x'] } },
          { key: 'b', position: 4, doc: null },
        ]);
        views = await harness.reopen();
        expect(await views.collections()).toContain(collection);
        await views.prepare(collection, shape);
        expect(byKey(await views.load(collection, ['a', 'b']))).toEqual([
          { key: 'a', position: 3, doc: { status: 'open', at: '1', tags: ['x'] } },
          { key: 'b', position: 4, doc: null },
        ]);
        await write([
          { key: 'a', position: 3, doc: { status: 'late' } },
          { key: 'b', position: 4, doc: { status: 'late' } },
        ]);
        expect(await found({ where: { tags: 'x', status: 'open' }, orderBy: ['at'] })).toEqual(['a']);
        expect(await views.count(collection)).toBe(1);
      });
    });
  });
}

function keysOf(documents: readonly StoredDocument[]): string[] {
  return documents.map(({ key }) => key);
}

/** In order of the key. */
function byKey(documents: readonly StoredDocument[]): StoredDocument[] {
  return [...documents].sort((a, b) => compare(a.key, b.key));
}

/** What is missing comes before all else. */
function compare(a: unknown, b: unknown): number {
  const [left, right] = [a ?? null, b ?? null];
  if (left === right) return 0;
  if (left === null || right === null) return left === null ? -1 : 1;
  return (left as string) < (right as string) ? -1 : 1;
}
