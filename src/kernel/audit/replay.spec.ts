import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { counterDecider, counterStream } from '../../../test/support/counter.js';
import { eventually } from '../../../test/support/eventually.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { defineAggregate } from '../aggregate.js';
import type { Position, StoredEvent } from '../ports/event-log.js';
import type { ViewReader } from '../ports/view-store.js';
import { Projector } from '../views/projector.js';
import type { View } from '../views/view.js';
import { replayDeciders, replayViews, type Slice, type ViewReplay } from './replay.js';

interface Sum {
  readonly counter: string;
  readonly sum: number;
}

/** The sum of each counter. @param step What each event adds. */
const sums = (version = 1, step = 1): View<Sum> => ({
  name: 'sample.sums',
  version,
  indexes: [],
  types: ['counter.added'],
  keys: ({ event }) => [(event.data as { counter: string }).counter],
  evolve: (doc, { event }) => ({
    counter: (event.data as { counter: string }).counter,
    sum: (doc?.sum ?? 0) + step,
  }),
});

let ledger: TestLedger;
let events: readonly StoredEvent[];

/** Counters a and b, folded and stored; then one more event of each that nobody has folded. */
beforeEach(async () => {
  ledger = await TestLedger.open();
  await ledger.count('a', 3);
  await ledger.count('b', 2);
  await project(sums());
  await ledger.count('a', 1);
  await ledger.count('c', 1);
  events = await ledger.events();
});
afterEach(() => ledger.close());

async function project(view: View<Sum>): Promise<void> {
  const { log, store, catalog, clock, logger } = ledger;
  const projector = new Projector(log, store.views, catalog, clock, logger);
  projector.register(view);
  await projector.start();
  await eventually(() => projector.ready());
  await projector.close();
}

async function replay(view: View<Sum>, slice: Slice = {}): Promise<ViewReplay> {
  const ports = { log: ledger.log, views: ledger.store.views };
  const [replayed] = await replayViews(ports, { catalog: ledger.catalog, views: [view] }, slice);
  if (!replayed) throw new Error('Nothing was replayed');
  return replayed;
}

const positionOf = (index: number): Position => events[index]?.position ?? 0;
const stored = async (key: string): Promise<object | undefined> =>
  (await ledger.store.views.load('sample.sums.v1.1', [key]))[0];

describe('a replay through the views', () => {
  it('finds nothing where the code is the same, whether or not the store has caught up', async () => {
    const same = { equal: 2, missing: 0, extra: 0, different: 0, ahead: 0, differences: [], stopped: null };
    expect(await replay(sums())).toMatchObject({
      ...same,
      collection: 'sample.sums.v1.1',
      storedPosition: positionOf(4),
    });
    await project(sums());
    expect(await replay(sums())).toMatchObject({ ...same, equal: 3 });
  });

  it('shows what another code would make of it, and touches nothing', async () => {
    const before = await stored('a');
    const replayed = await replay(sums(2, 10));
    expect(replayed).toMatchObject({ version: 2, storedVersion: 1, equal: 0, different: 2 });
    expect(replayed.differences).toContainEqual({
      key: 'a',
      problem: 'different',
      differences: [{ path: '/sum', before: 3, after: 30 }],
    });
    expect(await stored('a')).toEqual(before);
    expect(await ledger.store.views.collections()).toEqual(['sample.sums.v1.1']);
    expect(await ledger.events()).toEqual(events);
  });

  it('finds documents that are missing, and those that should not be there', async () => {
    await ledger.alter(`DELETE FROM "view:sample.sums.v1.1" WHERE key = 'a'`, 'views.db');
    await ledger.store.views.write([
      { collection: 'sample.sums.v1.1', documents: [{ key: 'z', position: 1, doc: { sum: 9 } }] },
    ]);
    const { differences, ...counts } = await replay(sums());
    expect(counts).toMatchObject({ equal: 1, missing: 1, extra: 1, different: 0 });
    expect(differences.map(({ key, problem }) => [key, problem])).toEqual([
      ['z', 'extra'],
      ['a', 'missing'],
    ]);
  });

  it('compares a slice only', async () => {
    const late = await replay(sums(2, 10), { from: positionOf(2) });
    expect([late.different, late.differences.map(({ key }) => key)]).toEqual([2, ['a', 'b']]);
    const onlyB = await replay(sums(2, 10), { from: positionOf(2), to: positionOf(4) });
    expect(onlyB.differences.map(({ key }) => key)).toEqual(['b']);
    expect(await replay(sums(2, 10), { to: positionOf(3) })).toMatchObject({ different: 1, ahead: 1 });
  });

  it('names the event that the fold cannot pass', async () => {
    const view: View<Sum> = {
      ...sums(),
      evolve: (doc, recorded, key) => {
        if (recorded.position === positionOf(3)) throw new Error('no further');
        return sums().evolve(doc, recorded, key);
      },
    };
    const { stopped, ahead, equal } = await replay(view);
    expect(stopped).toEqual({
      position: positionOf(3),
      stream: counterStream('b'),
      revision: 0,
      type: 'counter.added',
      error: 'no further',
    });
    expect([equal, ahead]).toEqual([1, 1]);
  });

  it('takes documents that are dropped while it reads them for no difference', async () => {
    const { views } = ledger.store;
    const dropping: ViewReader = {
      load: (collection, keys) => views.load(collection, keys),
      collections: () => views.collections(),
      find: async (collection) => {
        await views.drop(collection);
        return { documents: [] };
      },
    };
    const replayed = replayViews({ log: ledger.log, views: dropping }, { catalog: ledger.catalog, views: [sums()] });
    await expect(replayed).rejects.toThrow('sample.sums.v1.1 was dropped while it was read: replay again');
  });

  it('says so where nothing is stored', async () => {
    expect(await replay({ ...sums(), name: 'sample.others' })).toMatchObject({
      collection: null,
      missing: 3,
      equal: 0,
    });
  });
});

describe('a replay through the deciders', () => {
  const aggregates = [defineAggregate({ prefix: counterStream(''), decider: counterDecider, ofRun: false })];
  const registry = () => ({ catalog: ledger.catalog, aggregates });

  it('folds every stream', async () => {
    expect(await replayDeciders(ledger.log, registry())).toEqual({ events: 7, streams: 3, failed: 0, failures: [] });
  });

  it('names the events that cannot be read or folded, one per stream', async () => {
    await ledger.alter(
      `UPDATE events SET data = '{}' WHERE position >= ${positionOf(1)} AND stream = '${counterStream('a')}'`,
    );
    const { failed, failures } = await replayDeciders(ledger.log, registry());
    expect([failed, failures]).toEqual([
      1,
      [
        expect.objectContaining({
          position: positionOf(1),
          revision: 1,
          error: expect.stringContaining('not of its shape'),
        }),
      ],
    ]);
    expect(await replayDeciders(ledger.log, registry(), { from: positionOf(1) })).toMatchObject({ failed: 0 });
    expect(await replayDeciders(ledger.log, { ...registry(), aggregates: [] })).toMatchObject({
      failed: 3,
      failures: expect.arrayContaining([expect.objectContaining({ error: expect.stringContaining('No decider') })]),
    });
  });
});
