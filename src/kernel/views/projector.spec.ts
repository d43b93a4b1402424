import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { counterView, type CounterDoc, type CounterEvent } from '../../../test/support/counter.js';
import { FaultyViewStore, type Fault } from '../../../test/support/faulty-view-store.js';
import { Projecting } from '../../../test/support/projecting.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import type { View } from './view.js';

/** One document over all counters: an event that is lost or folded twice shows in it. */
const sumView: View<{ readonly total: number }, CounterEvent> = {
  name: 'sample.sum',
  version: 1,
  indexes: [],
  types: ['counter.added'],
  keys: () => ['all'],
  evolve: (doc, { event }) => ({ total: (doc?.total ?? 0) + ('by' in event.data ? event.data.by : 0) }),
};

let ledger: TestLedger;
let running: Projecting[];

beforeEach(async () => {
  ledger = await TestLedger.open();
  running = [];
});
afterEach(async () => {
  for (const each of running) await each.close();
  await ledger.close();
});

async function start(
  ...[views, store]: [Parameters<typeof Projecting.start>[1], FaultyViewStore?]
): Promise<Projecting> {
  const started = await Projecting.start(ledger, views, store);
  running.push(started);
  return started;
}

async function stop(process: Projecting): Promise<void> {
  running = running.filter((each) => each !== process);
  await process.close();
}

/** The same view, telling how often it was asked to fold an event. */
function watched(view: View<CounterDoc, CounterEvent>, onEvent: (position: number) => void): typeof view {
  return {
    ...view,
    evolve(doc, recorded, key) {
      onEvent(recorded.position);
      return view.evolve(doc, recorded, key);
    },
  };
}

describe('following the log', () => {
  it('catches up and goes on live, without a gap, while others write', async () => {
    await ledger.fill(30, 40);
    const process = await start([counterView, sumView]);
    const streams = ledger.streams();
    for (let round = 0; round < 10; round++) await ledger.fill(20, 2, streams);
    await process.caughtUp();
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
    expect(await process.docs(sumView)).toEqual({ all: { total: 1_200 + 400 } });
  });

  it('gives every event to a view once, whether it came from the file or live', async () => {
    const seen: number[] = [];
    await ledger.fill(5, 150);
    const process = await start([watched(counterView, (position) => seen.push(position))]);
    await ledger.fill(5, 150);
    await process.caughtUp();
    await ledger.fill(5, 1);
    await process.caughtUp();
    expect(seen).toEqual((await ledger.events()).map(({ position }) => position));
  });

  it('folds many more documents than it keeps in memory', async () => {
    const wide: View<{ readonly times: number }, CounterEvent> = {
      name: 'sample.wide',
      version: 1,
      indexes: [],
      types: ['counter.added'],
      keys: ({ position }) => Array.from({ length: 8 }, (_, at) => `k${(position * 8 + at) % 4_000}`),
      evolve: (doc) => ({ times: (doc?.times ?? 0) + 1 }),
    };
    await ledger.fill(10, 300);
    const process = await start([wide]);
    await process.caughtUp();
    expect(await process.docs(wide)).toEqual(await process.expected(wide));
  });

  it('is not ready before its views follow the log live', async () => {
    await ledger.fill(2, 2);
    const process = new Projecting(ledger, [counterView]);
    running.push(process);
    expect(process.projector.ready()).toBe(false);
    await process.projector.start();
    await process.caughtUp();
    expect(process.projector.ready()).toBe(true);
  });

  it('goes on after a restart from where it was', async () => {
    await ledger.fill(10, 70);
    const first = await start([counterView]);
    await first.caughtUp();
    await stop(first);
    const seen: number[] = [];
    const second = await start([watched(counterView, (position) => seen.push(position))]);
    await second.caughtUp();
    expect(seen).toEqual([]);
    await ledger.fill(3, 1);
    await second.caughtUp();
    expect(seen).toHaveLength(3);
    expect(await second.docs(counterView)).toEqual(await second.expected(counterView));
  });

  it('folds what was written while it was down', async () => {
    await ledger.fill(3, 5);
    const first = await start([counterView, sumView]);
    await first.caughtUp();
    await stop(first);
    await ledger.fill(4, 5);
    await ledger.reopen();
    const second = await start([counterView, sumView]);
    await second.caughtUp();
    expect(await second.docs(sumView)).toEqual({ all: { total: 35 } });
    expect(await second.docs(counterView)).toEqual(await second.expected(counterView));
  });

  it('sees only the types that a view wants, of its own system', async () => {
    const closed = { ...counterView, name: 'other.counter' };
    await ledger.fill(2, 2);
    const process = await start([closed, counterView]);
    await process.caughtUp();
    expect(await process.docs(closed)).toEqual({});
    expect(Object.keys(await process.docs(counterView))).toEqual(['0', '1']);
  });

  it('refuses two views of one name, and questions about a view that is none', async () => {
    const process = await start([counterView]);
    expect(() => process.projector.register(counterView)).toThrow('registered twice');
    await expect(process.projector.rebuild('nobody')).rejects.toThrow('No view is called nobody');
  });
});

describe('a view store that fails', () => {
  it.each<Fault>(['lost', 'unacknowledged', 'partial'])(
    'with writes that are %s costs time only, in the past and live',
    async (kind) => {
      const store = new FaultyViewStore(ledger.store.views);
      await ledger.fill(20, 60);
      let left = 3;
      store.fault = () => (left-- > 0 ? kind : 'none');
      const process = await start([counterView, sumView], store).catch(async () => {
        // The marks of a new collection are written at the start, which may fail as a whole.
        left = 0;
        return start([counterView, sumView], store);
      });
      await process.caughtUp();
      left = 3;
      await ledger.fill(20, 2);
      await process.caughtUp();
      expect(store.faults).toBeGreaterThan(1);
      expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
      expect(await process.docs(sumView)).toEqual({ all: { total: 1_240 } });
    },
  );

  it('loses no event when it cannot even be read', async () => {
    const store = new FaultyViewStore(ledger.store.views);
    await ledger.fill(5, 5);
    const process = await start([counterView, sumView], store);
    await process.caughtUp();
    store.fault = () => 'lost';
    store.refuseLoads = 4;
    await ledger.fill(5, 5);
    await process.until(() => store.refuseLoads === 0);
    store.fault = () => 'none';
    await ledger.fill(5, 1);
    await process.caughtUp();
    expect(await process.docs(sumView)).toEqual({ all: { total: 55 } });
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
  });

  it('comes to the right documents however often and however it fails', async () => {
    const kinds: Fault[] = ['none', 'none', 'lost', 'unacknowledged', 'partial'];
    const seeds = fc.infiniteStream(fc.constantFrom(...kinds));
    await fc.assert(
      fc.asyncProperty(seeds, fc.nat(3), async (faults, restarts) => {
        const own = await TestLedger.open();
        try {
          const store = new FaultyViewStore(own.store.views);
          for (let life = 0; life <= restarts; life++) {
            await own.fill(12, 7);
            const process = await Projecting.start(own, [counterView, sumView], store);
            store.fault = () => faults.next().value ?? 'none';
            for (let round = 0; round < 3; round++) await own.fill(6, 3);
            await own.pass(100);
            store.fault = () => 'none';
            if (life === restarts) {
              await process.caughtUp();
              expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
              expect(await process.docs(sumView)).toEqual(await process.expected(sumView));
            }
            // A process that dies stores nothing more.
            store.fault = () => 'lost';
            await process.close();
            store.fault = () => 'none';
          }
        } finally {
          await own.close();
        }
      }),
      { numRuns: 8 },
    );
  });
});

describe('a poison event', () => {
  const picky = (poison: { counter: string }): View<CounterDoc, CounterEvent> => ({
    ...counterView,
    name: 'sample.picky',
    evolve(doc, recorded, key) {
      if (key === poison.counter && doc?.changes === 2) throw new Error('This cannot be');
      return counterView.evolve(doc, recorded, key);
    },
  });

  it('stops only its own view, at its place, and loudly', async () => {
    const view = picky({ counter: '1' });
    const process = await start([view, counterView]);
    await ledger.count('0', 3);
    await ledger.count('1', 4);
    await ledger.count('2', 1);
    await process.caughtUp([counterView]);
    await process.until(async () => (await process.status(view)).state === 'stopped');
    const [, , , , , poison] = await ledger.events();
    expect((await process.status(view)).poison).toEqual({
      position: poison?.position,
      eventId: poison?.id,
      stream: 'sample.counter-1',
      error: 'This cannot be',
    });
    expect(await process.docs(view)).toEqual({
      0: { counter: '0', total: 3, changes: 3 },
      1: { counter: '1', total: 2, changes: 2 },
    });
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
    expect(process.projector.ready()).toBe(true);
  });

  it.each([true, false])('is passed over by `skip`, and the view goes on (met live: %p)', async (live) => {
    const view = picky({ counter: '1' });
    if (!live) await ledger.fill(3, 4);
    const process = await start([view]);
    if (live) await ledger.fill(3, 4);
    const skip = async (): Promise<void> => {
      await process.until(async () => (await process.status(view)).state === 'stopped');
      expect(await process.projector.skip(view.name)).toBe(true);
    };
    // What is skipped changes nothing, so the next event of the counter is as bad.
    await skip();
    await skip();
    await process.until(() => process.projector.serving(view.name) !== undefined);
    await process.caughtUp();
    expect(await process.docs(view)).toEqual({
      0: { counter: '0', total: 4, changes: 4 },
      1: { counter: '1', total: 2, changes: 2 },
      2: { counter: '2', total: 4, changes: 4 },
    });
    expect(await process.projector.skip(view.name)).toBe(false);
  });

  it('stops the view again after a restart, until the code is better', async () => {
    const poison = { counter: '1' };
    const view = picky(poison);
    const first = await start([view]);
    await ledger.fill(2, 4);
    await first.until(async () => (await first.status(view)).state === 'stopped');
    await stop(first);
    const second = await start([view]);
    await second.until(async () => (await second.status(view)).state === 'stopped');
    await stop(second);
    poison.counter = 'none';
    const third = await start([view]);
    await third.caughtUp();
    expect(await third.docs(view)).toEqual(await third.expected(view));
  });

  it('loses nothing that came before it when the store fails as well', async () => {
    const store = new FaultyViewStore(ledger.store.views);
    const view = picky({ counter: '1' });
    const process = await start([view], store);
    await process.caughtUp();
    let left = 2;
    store.fault = () => (left-- > 0 ? 'lost' : 'none');
    await ledger.fill(2, 4);
    await process.until(async () => (await process.status(view)).state === 'stopped');
    await process.projector.skip(view.name);
    await process.until(async () => (await process.status(view)).state === 'stopped');
    await process.projector.skip(view.name);
    await process.caughtUp();
    expect(await process.docs(view)).toEqual({
      0: { counter: '0', total: 4, changes: 4 },
      1: { counter: '1', total: 2, changes: 2 },
    });
  });

  it('is one that names no document, or one of the kernel’s own', async () => {
    const view = { ...counterView, keys: () => ['$serving'] };
    const process = await start([view]);
    await ledger.fill(1, 1);
    await process.until(async () => (await process.status(view)).state === 'stopped');
    expect((await process.status(view)).poison?.error).toBe('sample.counter names the document "$serving"');
  });
});
