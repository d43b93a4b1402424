import { expect, it } from '@jest/globals';
import { canonicalJson } from '../../src/kernel/canonical-json.js';
import type { JsonObject, StoredDocument } from '../../src/kernel/ports/view-store.js';
import { unique } from '../support/unique.js';
import { byKey, keysOf, toolsOf, type Context } from './view-store.support.js';

/** What is written comes back as it was. */
export function describeWrites(context: Context): void {
  const { write, fill, load } = toolsOf(context);

  it('gives back what was written, by key and in any order', async () => {
    const documents = Array.from({ length: 50 }, (_, n) => ({ key: `k${n}`, position: n + 1, doc: { n } }));
    await write(documents);
    expect(byKey(await context.views.load(context.collection, ['k3', 'k49', 'k0']))).toEqual(
      byKey([documents[3], documents[49], documents[0]] as StoredDocument[]),
    );
    expect(
      await context.views.load(
        context.collection,
        documents.map(({ key }) => key),
      ),
    ).toHaveLength(50);
  });

  it('gives nothing for keys that are not there, for no keys, and of an unknown collection', async () => {
    await fill({ a: {} });
    expect(keysOf(await context.views.load(context.collection, ['missing', 'a', 'A', 'a ']))).toEqual(['a']);
    expect(await context.views.load(context.collection, [])).toEqual([]);
    expect(await context.views.load(`sample.${unique('unknown')}.v1`, ['a'])).toEqual([]);
  });

  it('loads and writes thousands of documents at once', async () => {
    const documents = Array.from({ length: 5_000 }, (_, n) => ({ key: `k${n}`, position: 1, doc: { count: n } }));
    await write(documents);
    expect(await context.views.count(context.collection)).toBe(5_000);
    const some = await context.views.load(
      context.collection,
      Array.from({ length: 4_000 }, (_, n) => `k${n * 2}`),
    );
    expect(some).toHaveLength(2_500);
  });

  it('writes to several collections in one batch', async () => {
    const other = `sample.${unique('other')}.v2`;
    await context.views.prepare(other, { indexes: [] });
    await context.views.write([
      { collection: context.collection, documents: [{ key: 'a', position: 5, doc: { n: 1 } }] },
      { collection: other, documents: [{ key: 'a', position: 7, doc: { n: 2 } }] },
      { collection: context.collection, documents: [{ key: 'b', position: 6, doc: { n: 3 } }] },
    ]);
    expect(await load('a')).toEqual({ key: 'a', position: 5, doc: { n: 1 } });
    expect(await load('b')).toEqual({ key: 'b', position: 6, doc: { n: 3 } });
    expect(await load('a', other)).toEqual({ key: 'a', position: 7, doc: { n: 2 } });
  });

  it('takes a batch of nothing', async () => {
    await context.views.write([]);
    await context.views.write([{ collection: context.collection, documents: [] }]);
    expect(await context.views.count(context.collection)).toBe(0);
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
    const { documents } = await context.views.find(context.collection, {});
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
}

/** Of every document the write of the highest position stays. */
export function describePositions(context: Context): void {
  const { write, load, found } = toolsOf(context);

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
    expect(byKey(await context.views.load(context.collection, ['a', 'b', 'c']))).toEqual([
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
    expect(await context.views.count(context.collection)).toBe(0);
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
        write(['a', 'b', 'c'].map((key) => ({ key, position, doc: position === 20 ? { position } : { early: true } }))),
      ),
    );
    for (const key of ['a', 'b', 'c']) expect(await load(key)).toEqual({ key, position: 20, doc: { position: 20 } });
  });

  it('makes writing a batch again harmless, also a part of it and also after others', async () => {
    const first = ['a', 'b', 'c'].map((key, n) => ({ key, position: n + 1, doc: { tags: [key], n } }));
    const second = [
      { key: 'a', position: 4, doc: { tags: ['new'], n: 9 } },
      { key: 'b', position: 5, doc: null },
    ];
    await write(first);
    await write(second);
    const before = byKey(await context.views.load(context.collection, ['a', 'b', 'c']));
    for (const again of [first, second, first.slice(1), [...second, ...first]]) await write(again);
    expect(byKey(await context.views.load(context.collection, ['a', 'b', 'c']))).toEqual(before);
    expect(await found({ where: { tags: 'a' } })).toEqual([]);
    expect(await found({ where: { tags: 'new' } })).toEqual(['a']);
  });
}
