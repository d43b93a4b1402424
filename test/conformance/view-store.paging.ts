import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { StoredDocument, ViewQuery } from '../../src/kernel/ports/view-store.js';
import { unique } from '../support/unique.js';
import { compare, keysOf, shape, toolsOf, type Context } from './view-store.support.js';

/** Page by page the same as at once, whatever happens between the pages. */
export function describePaging(context: Context): void {
  const { fill, found, paged, write } = toolsOf(context);

  const query = { where: { status: 'open' }, orderBy: ['at'] };

  it('gives 100 documents when no limit is given, and says where to go on as long as there are more', async () => {
    await fill(
      Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`k${n}`, { status: 'open', at: String(n % 7) }])),
    );
    const first = await context.views.find(context.collection, query);
    expect(first.documents).toHaveLength(100);
    expect(first.next).toEqual(expect.any(String));
    const last = await context.views.find(context.collection, { ...query, after: first.next as string });
    expect(last.documents).toHaveLength(1);
    expect(last).not.toHaveProperty('next');
  });

  it('ends without a next page when the last page is full', async () => {
    await fill({ a: { status: 'open', at: '1' }, b: { status: 'open', at: '2' } });
    const page = await context.views.find(context.collection, { ...query, limit: 2 });
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
    const { next } = await context.views.find(context.collection, { ...query, limit: 2 });
    context.views = await context.harness.reopen();
    await context.views.prepare(context.collection, shape);
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
        context.collection = `sample.${unique('model')}.v1`;
        await context.views.prepare(context.collection, shape);
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
        expect(await context.views.count(context.collection, asked.where)).toBe(sorted.length);
        await context.views.drop(context.collection);
      }),
      { numRuns: 50 },
    );
  });
}
