import { expect, it } from '@jest/globals';
import type { JsonObject } from '../../src/kernel/ports/view-store.js';
import { unique } from '../support/unique.js';
import { keysOf, shape, toolsOf, type Context } from './view-store.support.js';

/** Filters and orders, by values of every kind. */
export function describeFind(context: Context): void {
  const { write, found, fill, paged } = toolsOf(context);

  it('gives documents with their key and position, by key when nothing else is asked', async () => {
    await write([
      { key: 'b', position: 1, doc: { n: 1 } },
      { key: 'a', position: 2, doc: { n: 2 } },
    ]);
    expect(await context.views.find(context.collection, {})).toEqual({
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
    expect(await context.views.find(unknown, query)).toEqual({ documents: [] });
    expect(await context.views.count(unknown)).toBe(0);
    expect(await context.views.count(unknown, { status: 'open' })).toBe(0);
  });

  it('leaves out what was deleted', async () => {
    await fill({ a: { status: 'open', tags: ['x'] }, b: { status: 'open', tags: ['x'] } });
    await write([{ key: 'a', position: 2, doc: null }]);
    for (const where of [{}, { status: 'open' }, { tags: 'x' }]) {
      expect(await found({ where })).toEqual(['b']);
      expect(await context.views.count(context.collection, where)).toBe(1);
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
    expect(await context.views.count(context.collection, { status: null })).toBe(2);
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
    expect(await context.views.count(context.collection, { at: { gte: '2026-01-03' } })).toBe(2);
    expect(await context.views.count(context.collection, { at: { lt: '2026-01-03' }, status: 'open' })).toBe(2);
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
    expect(await context.views.count(context.collection, { tags: 'blue' })).toBe(3);
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
    const { documents } = await context.views.find(context.collection, { orderBy: ['at'] });
    expect(documents.map(({ doc }) => doc?.['at'])).toEqual(texts);
    await fill(Object.fromEntries(texts.slice(1).map((key) => [key, { of: 'keys' }])));
    expect(await found({ where: { of: 'keys' } })).toEqual(texts.slice(1));

    const numbers = [-1e21, -10, -9, -0.5, 0, 1e-7, 2, 10, 1e21];
    const other = `sample.${unique('numbers')}.v1`;
    await context.views.prepare(other, shape);
    await fill(
      Object.fromEntries(numbers.map((count, n) => [`k${n}`, { count }]).toReversed() as [string, JsonObject][]),
      other,
    );
    const ordered = await context.views.find(other, { orderBy: ['count'] });
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
    expect(keysOf(await context.views.load(context.collection, [text]))).toEqual([text]);
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
    await context.views.prepare(odd, {
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
}
