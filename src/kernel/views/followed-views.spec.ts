import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { counterView, type CounterDoc } from '../../../test/support/counter.js';
import { Projecting } from '../../../test/support/projecting.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { Unavailable } from '../errors.js';
import { inContext } from '../request-context.js';
import { FollowedViews } from './followed-views.js';
import { Projector } from './projector.js';
import { ServingViews } from './serving-views.js';
import type { View } from './view.js';
import { Views } from './views.js';

let ledger: TestLedger;
let folding: Projecting | undefined;

beforeEach(async () => {
  ledger = await TestLedger.open();
  folding = undefined;
});
afterEach(async () => {
  if (folding) await ledger.whileTimePasses(folding.close());
  await ledger.close();
});

/** A process that answers queries, and folds nothing itself until it takes a view. */
class Asking {
  readonly projector: Projector;
  readonly serving: ServingViews;
  readonly views: Views;

  constructor(readonly view: View<CounterDoc> = counterView as View<CounterDoc>) {
    const { log, store, catalog, clock, logger, freshness } = ledger;
    this.projector = new Projector(log, store.views, catalog, clock, logger);
    this.projector.register(view);
    this.serving = new ServingViews(this.projector, new FollowedViews(store.views, clock), log);
    this.views = new Views(this.serving, store.views, freshness);
  }

  get(counter: string): Promise<CounterDoc | undefined> {
    return ledger.whileTimePasses(this.views.get(this.view, counter, 'acme'));
  }
}

const fold = async (view = counterView): Promise<Projecting> => (folding = await Projecting.start(ledger, [view]));
const changed: typeof counterView = { ...counterView, version: 2 };

describe('a view that another process folds', () => {
  it('answers with what was written before the question', async () => {
    await fold();
    const asking = new Asking();
    for (let total = 1; total <= 20; total++) {
      await ledger.count('a');
      expect(await asking.get('a')).toMatchObject({ total });
    }
  });

  it('says so when it has not come as far within two seconds', async () => {
    const process = await fold();
    await ledger.count('a');
    await process.caughtUp();
    await ledger.whileTimePasses(process.close());
    folding = undefined;
    await ledger.count('a');
    const answer: { stale?: boolean } = {};
    const asking = new Asking();
    const doc = await inContext({ correlationId: 'c', answer }, () => asking.get('a'));
    expect([doc?.total, answer.stale]).toEqual([1, true]);
  });

  it('cannot answer before its first collection is built, and is not ready', async () => {
    const asking = new Asking();
    await expect(asking.get('a')).rejects.toThrow(Unavailable);
    expect(await asking.serving.status()).toMatchObject([{ state: 'building', collection: null, position: 0 }]);
    const process = await fold();
    await process.caughtUp();
    expect(await asking.get('a')).toBeUndefined();
    expect(await asking.serving.status()).toMatchObject([{ state: 'live', collection: 'sample.counter.v1.1' }]);
  });

  it('answers from the new collection after a rebuild', async () => {
    const process = await fold();
    await ledger.count('a', 3);
    const asking = new Asking();
    expect(await asking.get('a')).toMatchObject({ total: 3 });
    await process.projector.rebuild(counterView.name);
    await process.until(async () => (await ledger.store.views.collections()).includes('sample.counter.v1.2'));
    await process.caughtUp();
    await ledger.count('a');
    expect(await asking.get('a')).toMatchObject({ total: 4 });
    expect(asking.serving.serving(counterView.name)).toMatchObject({ collection: 'sample.counter.v1.2' });
  });

  it('answers from an older version until the new one is there', async () => {
    await fold();
    await ledger.count('a', 2);
    const asking = new Asking(changed as View<CounterDoc>);
    expect(await asking.get('a')).toMatchObject({ total: 2 });
    expect(asking.serving.serving(counterView.name)).toMatchObject({ collection: 'sample.counter.v1.1' });
  });

  it('finds the new collection also where the old one could not be dropped', async () => {
    await fold();
    await ledger.count('a', 2);
    const asking = new Asking();
    expect(await asking.get('a')).toMatchObject({ total: 2 });
    const documents = await ledger.store.views.load('sample.counter.v1.1', ['a', '$serving', '$checkpoint']);
    await ledger.store.views.prepare('sample.counter.v1.2', counterView);
    const marks = documents.map((document) =>
      document.key === 'a' ? { ...document, doc: { counter: 'a', total: 77, changes: 2 } } : document,
    );
    await ledger.store.views.write([{ collection: 'sample.counter.v1.2', documents: marks }]);
    await ledger.pass(1_000);
    expect(await asking.get('a')).toMatchObject({ total: 77 });
  });
});

describe('a view that changes hands', () => {
  it('is folded on from where it was left, and answers all the while', async () => {
    const first = await fold();
    await ledger.count('a', 5);
    const second = new Asking();
    expect(await second.get('a')).toMatchObject({ total: 5 });
    await second.projector.start([]);
    first.projector.leave(counterView.name);
    await second.projector.take(counterView.name);
    await ledger.count('a', 2);
    expect(await second.get('a')).toMatchObject({ total: 7 });
    expect([first.projector.holds(counterView.name), second.projector.holds(counterView.name)]).toEqual([false, true]);
    expect(await ledger.store.views.collections()).toEqual(['sample.counter.v1.1']);
    await ledger.whileTimePasses(second.projector.close());
  });

  it('comes out the same when the process that lost it wakes up in the middle of a batch', async () => {
    const first = await fold();
    await ledger.fill(20, 5);
    const second = new Asking();
    await second.projector.start([]);
    // Both fold for a while, as a process does that was frozen and does not know yet.
    await second.projector.take(counterView.name);
    await ledger.fill(20, 5);
    first.projector.leave(counterView.name);
    await ledger.count('3', 2);
    expect(await second.get('3')).toMatchObject({ total: 12 });
    await ledger.whileTimePasses(second.projector.close());
    const { documents } = await ledger.store.views.find('sample.counter.v1.1', { limit: 1_000 });
    expect(Object.fromEntries(documents.map(({ key, doc }) => [key, doc]))).toEqual(await first.expected(counterView));
  });
});
