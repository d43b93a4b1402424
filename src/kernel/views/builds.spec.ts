import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { counterView, type CounterDoc, type CounterEvent } from '../../../test/support/counter.js';
import { FaultyViewStore } from '../../../test/support/faulty-view-store.js';
import { Projecting } from '../../../test/support/projecting.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import type { View } from './view.js';

/** The same counters in another shape. */
const doubled: View<CounterDoc, CounterEvent> = {
  ...counterView,
  version: 2,
  evolve(doc, recorded, key) {
    const next = counterView.evolve(doc && { ...doc, total: doc.total / 2 }, recorded, key);
    return next && { ...next, total: next.total * 2 };
  },
};
const other: View<CounterDoc, CounterEvent> = { ...counterView, name: 'sample.other' };

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

async function start(views: readonly View<CounterDoc, CounterEvent>[], store?: FaultyViewStore): Promise<Projecting> {
  const started = await Projecting.start(ledger, views, store);
  running.push(started);
  return started;
}

async function stop(process: Projecting): Promise<void> {
  running = running.filter((each) => each !== process);
  await process.close();
}

/** A version that serves, and nothing else. */
async function builtBefore(view: View<CounterDoc, CounterEvent> = counterView): Promise<void> {
  const process = await start([view]);
  await process.caughtUp();
  await stop(process);
}

const collections = (): Promise<readonly string[]> => ledger.store.views.collections();

/** Old collections are dropped after the new one has taken over, not before. */
async function left(process: Projecting, ...names: string[]): Promise<void> {
  await process.until(async () => (await collections()).length === names.length);
  expect(await collections()).toEqual(names);
}

/** Holds the build of a view in the middle, at its thousandth event, and counts what it folds. */
function heldHalfway(view: View<CounterDoc, CounterEvent>): { view: typeof view; folded: () => number } {
  let folded = 0;
  const evolve: typeof view.evolve = (...args) => {
    folded += 1;
    if (folded === 1_000) running.at(-1)?.projector.pause(view.name, true);
    return view.evolve(...args);
  };
  return { view: { ...view, evolve }, folded: () => folded };
}

describe('a rebuild', () => {
  it('is made beside the collection that serves, takes over from it, and leaves nothing behind', async () => {
    await ledger.fill(10, 50);
    const process = await start([counterView]);
    await process.caughtUp();
    expect(await collections()).toEqual(['sample.counter.v1.1']);
    await process.projector.rebuild(counterView.name);
    process.projector.pause(counterView.name, true);
    expect(await process.status(counterView)).toMatchObject({
      state: 'paused',
      collection: 'sample.counter.v1.1',
      rebuild: { collection: 'sample.counter.v1.2' },
    });
    process.projector.pause(counterView.name, false);
    await process.caughtUp();
    await left(process, 'sample.counter.v1.2');
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
  });

  it('is never seen by those who ask meanwhile', async () => {
    await ledger.fill(25, 60);
    const process = await start([counterView]);
    await process.caughtUp();
    const streams = ledger.streams();
    let over = false;
    let answers = 0;
    const asking = (async () => {
      const seen = new Map<string, number>();
      while (!over) {
        const [docs, one] = await Promise.all([
          process.views.findAll(counterView, { orderBy: ['total'], descending: true }),
          process.get(counterView, '7'),
        ]);
        expect(docs).toHaveLength(25);
        for (const { counter, total } of [...docs, one as CounterDoc]) {
          expect(total).toBeGreaterThanOrEqual(seen.get(counter) ?? 60);
          seen.set(counter, total);
        }
        answers += 1;
        await ledger.pass(1);
      }
    })();
    for (let build = 2; build <= 5; build++) {
      await process.projector.rebuild(counterView.name);
      await ledger.fill(25, 2, streams);
      await process.until(
        () => process.projector.serving(counterView.name)?.collection === `sample.counter.v1.${build}`,
      );
    }
    over = true;
    await asking;
    expect(answers).toBeGreaterThan(4);
    await process.caughtUp();
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
  });

  it('that is held lets the serving collection follow the log all the while', async () => {
    await ledger.fill(3, 10);
    const process = await start([counterView]);
    await process.caughtUp();
    await process.projector.rebuild(counterView.name);
    process.projector.pause(counterView.name, true);
    await ledger.fill(3, 10);
    await process.until(async () => {
      const { position, head } = await process.status(counterView);
      return position === head;
    });
    const { state, rebuild, head } = await process.status(counterView);
    expect(state).toBe('paused');
    expect(rebuild?.position).toBeLessThan(head);
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
  });

  it('that is asked for twice is made once', async () => {
    await ledger.fill(3, 10);
    const process = await start([counterView]);
    await process.caughtUp();
    await Promise.all([1, 2, 3].map(() => process.projector.rebuild(counterView.name)));
    await process.caughtUp();
    await left(process, 'sample.counter.v1.2');
  });

  it('heals documents that were changed by hand', async () => {
    await ledger.fill(3, 10);
    const process = await start([counterView]);
    await process.caughtUp();
    const wrong = { key: '1', position: 1_000, doc: { counter: '1', total: -1, changes: 0 } };
    await ledger.store.views.write([{ collection: 'sample.counter.v1.1', documents: [wrong] }]);
    await process.projector.rebuild(counterView.name);
    await process.caughtUp();
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
  });
});

describe('a new version of a view', () => {
  it('is built while the old one answers as it stood, then takes its place', async () => {
    await ledger.fill(4, 10);
    await builtBefore();
    const process = await start([doubled]);
    process.projector.pause(doubled.name, true);
    await ledger.fill(4, 1);
    expect(await process.status(doubled)).toMatchObject({
      version: 2,
      state: 'paused',
      collection: 'sample.counter.v1.1',
      rebuild: { collection: 'sample.counter.v2.1' },
    });
    expect(await process.docs(doubled)).toMatchObject({ 0: { total: 10 } });
    expect(process.projector.ready()).toBe(false);
    process.projector.pause(doubled.name, false);
    await process.caughtUp();
    expect(await process.docs(doubled)).toMatchObject({ 0: { total: 22 } });
    expect(await process.docs(doubled)).toEqual(await process.expected(doubled));
    await left(process, 'sample.counter.v2.1');
  });

  it('goes on where it was when its build is interrupted by a restart', async () => {
    await ledger.fill(10, 300);
    await builtBefore();
    const { view: halfway, folded } = heldHalfway(doubled);
    const first = await start([halfway]);
    await first.until(async () => ((await first.status(halfway)).rebuild?.position ?? 0) >= 1_000);
    await stop(first);
    const before = folded();
    expect(before).toBeLessThan(3_000);
    expect(await collections()).toEqual(['sample.counter.v1.1', 'sample.counter.v2.1']);
    await ledger.reopen();
    const second = await start([halfway]);
    await second.caughtUp();
    expect(folded()).toBe(3_000);
    expect(await second.docs(halfway)).toEqual(await second.expected(doubled));
    await left(second, 'sample.counter.v2.1');
  });

  it('holds up no other view', async () => {
    await ledger.fill(5, 20);
    const before = await start([counterView, other]);
    await before.caughtUp();
    await stop(before);
    const store = new FaultyViewStore(ledger.store.views);
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    store.gate = (collection) => (collection === 'sample.counter.v2.1' && built ? opened : undefined);
    let built = false;
    const process = await start([doubled, other], store);
    built = true;
    await ledger.fill(5, 20);
    await process.caughtUp([other]);
    expect(await process.docs(other)).toEqual(await process.expected(other));
    expect((await process.status(doubled)).state).toBe('rebuilding');
    open();
    await process.caughtUp();
    expect(await process.docs(doubled)).toEqual(await process.expected(doubled));
  });

  it('is left alone by older code that is started again', async () => {
    await ledger.fill(3, 5);
    await builtBefore(doubled);
    const rolledBack = await start([counterView]);
    await rolledBack.caughtUp();
    expect(await rolledBack.docs(counterView)).toEqual(await rolledBack.expected(counterView));
    expect(await collections()).toEqual(['sample.counter.v1.1', 'sample.counter.v2.1']);
  });
});

describe('collections that nobody needs any more', () => {
  it('are removed at the next start when the process ended before it could', async () => {
    await ledger.fill(3, 5);
    const store = new FaultyViewStore(ledger.store.views);
    const process = await start([counterView], store);
    await process.caughtUp();
    store.refuseDrops = 1;
    await process.projector.rebuild(counterView.name);
    await process.caughtUp();
    expect(await collections()).toEqual(['sample.counter.v1.1', 'sample.counter.v1.2']);
    await stop(process);
    const next = await start([counterView]);
    expect(await collections()).toEqual(['sample.counter.v1.2']);
    await next.caughtUp();
    expect(await next.docs(counterView)).toEqual(await next.expected(counterView));
  });

  it('are removed when a newer version takes over, finished or not', async () => {
    await ledger.fill(3, 5);
    const process = await start([counterView]);
    await process.caughtUp();
    await process.projector.rebuild(counterView.name);
    process.projector.pause(counterView.name, true);
    await stop(process);
    expect(await collections()).toEqual(['sample.counter.v1.1', 'sample.counter.v1.2']);
    const newer = await start([doubled]);
    await newer.caughtUp();
    await left(newer, 'sample.counter.v2.1');
  });

  it('of other views stay', async () => {
    await ledger.store.views.prepare('sample.counter.views.v1.1', { indexes: [] });
    await ledger.store.views.prepare('sample.counters.v1.1', { indexes: [] });
    await builtBefore();
    await builtBefore(doubled);
    expect(await collections()).toEqual(['sample.counter.v2.1', 'sample.counter.views.v1.1', 'sample.counters.v1.1']);
  });
});

describe('a collection that somebody dropped', () => {
  it('is missed by itself, and built again', async () => {
    await ledger.fill(5, 20);
    const process = await start([counterView]);
    await process.caughtUp();
    await ledger.store.views.drop('sample.counter.v1.1');
    await process.until(() => process.projector.serving(counterView.name)?.collection !== 'sample.counter.v1.1');
    await process.caughtUp();
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
    await left(process, 'sample.counter.v1.2');
  });

  it('is not taken for whole because new events have made it anew', async () => {
    await ledger.fill(5, 20);
    const process = await start([counterView]);
    await process.caughtUp();
    await ledger.store.views.drop('sample.counter.v1.1');
    await ledger.fill(2, 1);
    await process.until(() => process.projector.serving(counterView.name)?.collection === 'sample.counter.v1.2');
    await process.caughtUp();
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
  });

  it('while it was being built is begun again from the first event', async () => {
    await ledger.fill(5, 400);
    const process = await start([heldHalfway(counterView).view]);
    await process.until(async () => ((await process.status(counterView)).rebuild?.position ?? 0) >= 1_000);
    await ledger.store.views.drop('sample.counter.v1.1');
    process.projector.pause(counterView.name, false);
    await process.caughtUp();
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
    await left(process, 'sample.counter.v1.2');
  });

  it('while it was being built is not gone on with after a restart', async () => {
    await ledger.fill(5, 400);
    const first = await start([heldHalfway(counterView).view]);
    await first.until(async () => ((await first.status(counterView)).rebuild?.position ?? 0) >= 1_000);
    await ledger.store.views.drop('sample.counter.v1.1');
    await stop(first);
    const second = await start([counterView]);
    await second.caughtUp();
    expect(await second.docs(counterView)).toEqual(await second.expected(counterView));
  });
});
