import { expect, it } from '@jest/globals';
import { unique } from '../support/unique.js';
import { byKey, shape, toolsOf, type Context } from './view-store.support.js';

/** How a collection comes to be. */
export function describePrepare(context: Context): void {
  const { fill, found } = toolsOf(context);

  it('makes a collection that is empty', async () => {
    expect(await context.views.collections()).toContain(context.collection);
    expect(await context.views.find(context.collection, {})).toEqual({ documents: [] });
    expect(await context.views.count(context.collection)).toBe(0);
  });

  it('may be called again, and leaves what is stored', async () => {
    await fill({ a: { status: 'open', tags: ['x'] } });
    await context.views.prepare(context.collection, shape);
    await context.views.prepare(context.collection, shape);
    expect(await found({ where: { status: 'open', tags: 'x' } })).toEqual(['a']);
  });

  it('may be called many times in parallel, for one collection and for many', async () => {
    const names = Array.from({ length: 5 }, () => `sample.${unique('parallel')}.v1`);
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => context.views.prepare(names[index % 5] as string, shape)),
    );
    for (const name of names) {
      await fill({ a: { tags: ['x'] } }, name);
      expect(await found({ where: { tags: 'x' } }, name)).toEqual(['a']);
    }
    expect((await context.views.collections()).filter((name) => names.includes(name))).toEqual([...names].sort());
  });

  it('makes a collection without indexes', async () => {
    const bare = `sample.${unique('bare')}.v1`;
    await context.views.prepare(bare, { indexes: [] });
    await fill({ b: { n: 2 }, a: { n: 1 } }, bare);
    expect(await found({}, bare)).toEqual(['a', 'b']);
  });
}

/** Which collections there are, how they go, and what keeps them apart. */
export function describeDrop(context: Context): void {
  const { fill, write, load, found } = toolsOf(context);

  it('names all collections, sorted', async () => {
    const names = ['b.v1', 'a.v10', 'a.v2', 'B.v1', 'ä.v1'].map((name) => `sample.${unique('')}.${name}`);
    for (const name of names) await context.views.prepare(name, { indexes: [] });
    const all = await context.views.collections();
    expect(all.filter((name) => names.includes(name))).toEqual([...names].sort());
    expect(all).toEqual([...all].sort());
    expect(new Set(all).size).toBe(all.length);
  });

  it('removes a collection with all its documents', async () => {
    await fill({ a: { status: 'open', tags: ['x'] } });
    await context.views.drop(context.collection);
    expect(await context.views.collections()).not.toContain(context.collection);
    expect(await context.views.load(context.collection, ['a'])).toEqual([]);
    expect(await context.views.find(context.collection, { where: { status: 'open' }, orderBy: ['at'] })).toEqual({
      documents: [],
    });
    expect(await context.views.count(context.collection)).toBe(0);
  });

  it('makes room for a new collection of that name, with positions of its own', async () => {
    await write([{ key: 'a', position: 9, doc: { tags: ['x'], other: ['y'] } }]);
    await context.views.drop(context.collection);
    await context.views.prepare(context.collection, { indexes: [{ fields: ['n'] }], arrays: ['other'] });
    expect(await context.views.count(context.collection)).toBe(0);
    await write([{ key: 'a', position: 1, doc: { n: 1, other: ['z'] } }]);
    expect(await load('a')).toMatchObject({ position: 1 });
    expect(await found({ where: { other: 'z' }, orderBy: ['n'] })).toEqual(['a']);
    expect(await found({ where: { other: 'y' } })).toEqual([]);
  });

  it('removes nothing, without an error, when there is nothing', async () => {
    await context.views.drop(`sample.${unique('unknown')}.v1`);
    await context.views.drop(context.collection);
    await context.views.drop(context.collection);
    expect(await context.views.collections()).not.toContain(context.collection);
  });

  it('keeps versions of one view apart', async () => {
    const second = context.collection.replace(/v1$/, 'v2');
    await context.views.prepare(second, shape);
    await fill({ a: { status: 'one', tags: ['x'] } });
    await fill({ a: { status: 'two', tags: ['x'] }, b: { status: 'two' } }, second);
    expect(await found({ where: { tags: 'x' } })).toEqual(['a']);
    expect(await context.views.count(second)).toBe(2);
    await context.views.drop(context.collection);
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
    const near = rename(context.collection);
    await context.views.prepare(near, { indexes: [{ fields: ['status', 'at'] }], arrays: ['tags', 'x'] });
    await fill({ a: { status: 'one', tags: ['t'] } });
    await fill({ a: { status: 'two', tags: ['t'] }, b: { status: 'two', tags: ['t'], x: ['t'] } }, near);
    expect(await context.views.collections()).toEqual(expect.arrayContaining([context.collection, near]));
    expect((await load('a'))?.doc).toMatchObject({ status: 'one' });
    expect(await found({ where: { tags: 't' } })).toEqual(['a']);
    await context.views.drop(context.collection);
    expect(await found({ where: { tags: 't' } }, near)).toEqual(['a', 'b']);
    await write([{ key: 'a', position: 2, doc: { tags: ['u'] } }], near);
    expect(await found({ where: { tags: 't' } }, near)).toEqual(['b']);
    expect(await context.views.collections()).not.toContain(context.collection);
  });
}

/** What a store knows after it was closed and opened again. */
export function describeRestart(context: Context): void {
  const { write, found } = toolsOf(context);

  it('keeps documents, positions, deletions and collections', async () => {
    await write([
      { key: 'a', position: 3, doc: { status: 'open', at: '1', tags: ['x'] } },
      { key: 'b', position: 4, doc: null },
    ]);
    context.views = await context.harness.reopen();
    expect(await context.views.collections()).toContain(context.collection);
    await context.views.prepare(context.collection, shape);
    expect(byKey(await context.views.load(context.collection, ['a', 'b']))).toEqual([
      { key: 'a', position: 3, doc: { status: 'open', at: '1', tags: ['x'] } },
      { key: 'b', position: 4, doc: null },
    ]);
    await write([
      { key: 'a', position: 3, doc: { status: 'late' } },
      { key: 'b', position: 4, doc: { status: 'late' } },
    ]);
    expect(await found({ where: { tags: 'x', status: 'open' }, orderBy: ['at'] })).toEqual(['a']);
    expect(await context.views.count(context.collection)).toBe(1);
  });
}
