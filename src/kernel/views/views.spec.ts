import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { counterView, type CounterDoc } from '../../../test/support/counter.js';
import { FaultyViewStore } from '../../../test/support/faulty-view-store.js';
import { Projecting } from '../../../test/support/projecting.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { Unavailable } from '../errors.js';
import { inContext, type AnswerFacts } from '../request-context.js';
import { FaultyLog } from '../../../test/support/faulty-log.js';
import { Freshness } from './freshness.js';
import { LogEnd } from './log-end.js';
import { MAX_WAIT_MS, Views } from './views.js';

let ledger: TestLedger;
let store: FaultyViewStore;
let process: Projecting;
let release: () => void;

beforeEach(async () => {
  ledger = await TestLedger.open();
  store = new FaultyViewStore(ledger.store.views);
  process = await Projecting.start(ledger, [counterView], store);
  release = () => undefined;
  await process.caughtUp();
});
afterEach(async () => {
  release();
  await process.close();
  await ledger.close();
});

/** From now on nothing is written to views until `release` is called. */
function hold(): void {
  const { promise, resolve } = Promise.withResolvers<void>();
  store.gate = () => promise;
  release = () => {
    store.gate = () => undefined;
    resolve();
  };
}

interface Asked<Answer> {
  readonly answer: Promise<Answer>;
  readonly facts: AnswerFacts;
  /** Whether it has been answered by now. */
  readonly settled: () => boolean;
}

function asking<Answer>(ask: () => Promise<Answer>, minPosition?: number): Asked<Answer> {
  const facts: AnswerFacts = {};
  let settled = false;
  const answer = inContext({ correlationId: 'test', answer: facts, minPosition }, ask);
  const end = (): void => void (settled = true);
  answer.then(end, end);
  return { answer, facts, settled: () => settled };
}

/** What is stored. */
async function list(tenant: string): Promise<readonly CounterDoc[]> {
  return (await process.views.find<CounterDoc>(counterView, {}, tenant)).docs;
}

describe('a read after a write', () => {
  it('always shows it', async () => {
    const streams = ledger.streams();
    for (let total = 1; total <= 40; total++) {
      await ledger.count('a', 1, streams);
      const { answer, facts } = asking(() => process.get(counterView, 'a', 'acme'));
      expect((await answer)?.total).toBe(total);
      expect(facts.stale).toBeUndefined();
    }
  });

  it('shows it in lists too', async () => {
    await ledger.count('a', 2);
    await ledger.count('b', 1);
    const { docs } = await process.views.find(counterView, { orderBy: ['total'] }, 'acme');
    expect(docs.map(({ counter }) => counter)).toEqual(['b', 'a']);
  });

  it('of one document waits for no store', async () => {
    hold();
    await ledger.count('a', 1);
    const { answer, facts } = asking(() => process.get(counterView, 'a', 'acme'));
    expect((await answer)?.total).toBe(1);
    expect(facts.stale).toBeUndefined();
    release();
  });

  it('waits for the view at most so long, then answers with what is there and says so', async () => {
    await ledger.count('a', 1);
    await process.caughtUp();
    hold();
    await ledger.count('a', 1);
    const { answer, facts, settled } = asking(() => list('acme'));
    await ledger.pass(MAX_WAIT_MS - 1);
    expect(settled()).toBe(false);
    await ledger.pass(1);
    expect((await answer).map(({ total }) => total)).toEqual([1]);
    expect(facts.stale).toBe(true);
  });

  it('is answered as soon as the view is there', async () => {
    hold();
    await ledger.count('a', 1);
    const { answer, facts, settled } = asking(() => list('acme'));
    await ledger.pass(10);
    expect(settled()).toBe(false);
    release();
    expect((await answer).map(({ total }) => total)).toEqual([1]);
    expect(facts.stale).toBeUndefined();
  });

  it('waits for nobody else’s writes', async () => {
    hold();
    await ledger.count('a', 1);
    const { answer, facts } = asking(() => list('another tenant'));
    expect(await answer).toEqual([]);
    expect(facts.stale).toBeUndefined();
  });

  it('that names no tenant waits for everybody’s', async () => {
    hold();
    await ledger.count('a', 1);
    const { answer } = asking(() => process.get(counterView, 'a'));
    release();
    expect((await answer)?.total).toBe(1);
  });

  it('does not wait for a view that has stopped', async () => {
    await process.close();
    const broken = { ...counterView, name: 'sample.broken', keys: () => [''] };
    process = await Projecting.start(ledger, [broken]);
    await ledger.count('a', 1);
    await process.until(async () => (await process.status(broken)).state === 'stopped');
    const { answer, facts } = asking(() => process.views.find(broken, {}, 'acme'));
    expect((await answer).docs).toEqual([]);
    expect(facts.stale).toBe(true);
  });

  it('does not say that there is none where the view lags', async () => {
    await process.close();
    await ledger.count('a', 1);
    const { answer } = asking(() => process.get(counterView, 'a', 'acme'));
    await expect(ledger.whileTimePasses(answer)).rejects.toThrow(
      new Unavailable('The view sample.counter lags behind what was written'),
    );
  });
});

describe('a read where other processes write too', () => {
  let log: FaultyLog;
  let views: Views;
  beforeEach(() => {
    log = new FaultyLog(ledger.log);
    const { projector } = process;
    views = new Views(projector, store, new Freshness(), new LogEnd(log, ledger.clock, ledger.logger));
  });

  it('shows what any of them had written before it', async () => {
    for (let total = 1; total <= 20; total++) {
      await ledger.count('a', 1);
      const asked = Array.from({ length: 3 }, () => asking(() => views.get(counterView, 'a', 'acme')));
      for (const { answer, facts } of asked) {
        expect(await answer).toMatchObject({ total });
        expect(facts.stale).toBeUndefined();
      }
    }
  });

  it('waits once for a view that does not come, then nobody does until it has', async () => {
    const totals = async (): Promise<number[]> =>
      (await views.find<CounterDoc>(counterView, {}, 'acme')).docs.map(({ total }) => total);
    await ledger.count('a', 1);
    await process.caughtUp();
    hold();
    await ledger.count('a', 1);
    const first = asking(totals);
    await ledger.pass(1);
    expect(first.settled()).toBe(false);
    expect(await ledger.whileTimePasses(first.answer)).toEqual([1]);
    const second = asking(totals);
    // No time passes.
    expect(await second.answer).toEqual([1]);
    expect([first.facts.stale, second.facts.stale]).toEqual([true, true]);
    release();
    await process.caughtUp();
    const third = asking(totals);
    expect(await third.answer).toEqual([2]);
    expect(third.facts.stale).toBeUndefined();
  });

  it('waits once for a log that does not tell where it ends', async () => {
    await ledger.count('a', 1);
    await process.caughtUp();
    const { promise, resolve } = Promise.withResolvers<void>();
    log.endless = promise;
    const first = asking(() => views.get(counterView, 'a', 'acme'));
    expect((await ledger.whileTimePasses(first.answer))?.total).toBe(1);
    const second = asking(() => views.get(counterView, 'a', 'acme'));
    expect((await second.answer)?.total).toBe(1);
    expect([first.facts.stale, second.facts.stale]).toEqual([true, true]);
    await expect(views.get(counterView, 'b', 'acme')).rejects.toThrow(Unavailable);
    resolve();
    const isFresh = async (): Promise<boolean> => {
      const { answer, facts } = asking(() => views.get(counterView, 'a', 'acme'));
      await answer;
      return facts.stale === undefined;
    };
    await process.until(isFresh);
  });

  it('takes an error of the log for no answer', async () => {
    await ledger.count('a', 1);
    await process.caughtUp();
    log.endless = Promise.reject(new Unavailable('The log is away'));
    const { answer, facts } = asking(() => views.get(counterView, 'a', 'acme'));
    expect((await answer)?.total).toBe(1);
    expect(facts.stale).toBe(true);
  });
});

describe('a read that names a position', () => {
  it('shows at least that', async () => {
    const { answer, facts } = asking(() => process.get(counterView, 'a', 'another tenant'), 3);
    await ledger.count('a', 3);
    expect((await answer)?.total).toBe(3);
    expect(facts.stale).toBeUndefined();
  });

  it('that never comes is answered after the same time', async () => {
    await ledger.count('a', 1);
    const { answer, facts } = asking(() => process.get(counterView, 'a', 'acme'), 9_007_199_254_740_991);
    await ledger.whileTimePasses(answer);
    expect((await answer)?.total).toBe(1);
    expect(facts.stale).toBe(true);
  });
});

describe('a view that has nothing to answer from', () => {
  it('is unavailable, not empty', async () => {
    await process.close();
    await ledger.count('a', 1);
    hold();
    const fresh = { ...counterView, name: 'sample.fresh' };
    release();
    process = await Projecting.start(ledger, [fresh], store);
    hold();
    const { answer } = asking(() => process.get(fresh, 'a'));
    await expect(ledger.whileTimePasses(answer)).rejects.toThrow(
      new Unavailable('The view sample.fresh is being built'),
    );
  });

  it('because it was dropped is built again, and answers', async () => {
    await ledger.count('a', 2);
    await process.caughtUp();
    await ledger.store.views.drop('sample.counter.v1.1');
    const [one, all] = await ledger.whileTimePasses(
      Promise.all([process.get(counterView, 'a'), process.views.findAll(counterView, {})]),
    );
    expect(one?.total).toBe(2);
    expect(all).toHaveLength(1);
  });
});

describe('long lists', () => {
  it('are read to their end', async () => {
    await ledger.fill(1_050, 1);
    const docs: CounterDoc[] = await process.views.findAll(counterView, {}, 'acme');
    expect(new Set(docs.map(({ counter }) => counter)).size).toBe(1_050);
    expect(docs).toHaveLength(1_050);
  });

  it('come in pages that go on where the one before ended', async () => {
    await ledger.fill(5, 1);
    const first = await process.views.find(counterView, { limit: 3 }, 'acme');
    expect(first.docs.map(({ counter }) => counter)).toEqual(['0', '1', '2']);
    const second = await process.views.find(counterView, { limit: 3, after: first.next as string }, 'acme');
    expect(second.docs.map(({ counter }) => counter)).toEqual(['3', '4']);
    expect(second.next).toBeUndefined();
  });
});
