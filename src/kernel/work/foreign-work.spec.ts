import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { Unavailable } from '../errors.js';
import type { ForeignExecutor } from './foreign-executor.js';
import { ForeignWork, MAX_DELIVERIES, type ClaimedJob } from './foreign-work.js';

const KIND = 'sample.task';

let ledger: TestLedger;
let exhausted: [string, string][];

beforeEach(async () => {
  ledger = await TestLedger.open();
  exhausted = [];
});
afterEach(() => ledger.close());

const executor: ForeignExecutor = {
  kind: KIND,
  begin: async ({ payload }) => ({ input: payload, attempt: 1 }),
  complete: async () => 'queued',
  fail: async () => 'queued',
  exhausted: async ({ id }, error) => void exhausted.push([id, error]),
};

function work(changes: Partial<ForeignExecutor> = {}): ForeignWork {
  const { store, clock, ids, metrics, logger } = ledger;
  const foreign = new ForeignWork(store.queue, clock, ids, metrics, logger, Buffer.alloc(32, 1));
  foreign.register({ ...executor, ...changes });
  return foreign;
}

function claim(foreign: ForeignWork, signal = new AbortController().signal, limit = 10): Promise<ClaimedJob[]> {
  return foreign.claim({ kinds: [KIND], worker: 'a', limit, leaseMs: 1_000, waitMs: 0, signal });
}

const put = (...ids: string[]): Promise<void> =>
  ledger.store.queue.put(ids.map((id) => ({ id, kind: KIND, group: 'g', payload: {} })));

describe('work for workers from outside', () => {
  it('is given up when its workers are lost every time, once its run has been told', async () => {
    await put('1');
    const foreign = work();
    for (let lost = 0; lost < MAX_DELIVERIES; lost++) {
      expect(await claim(foreign)).toHaveLength(1);
      await ledger.clock.advance(1_001);
    }
    expect(await claim(foreign)).toEqual([]);
    expect(exhausted).toEqual([['1', 'the worker was lost every time']]);
    expect(await ledger.store.queue.deadJobs(KIND)).toMatchObject([{ job: { id: '1' } }]);
  });

  it('is given up with the last failure, although it was to be tried again', async () => {
    await put('1');
    const foreign = work();
    const outcomes: string[] = [];
    for (let failed = 0; failed < MAX_DELIVERIES; failed++) {
      const [job] = await claim(foreign);
      outcomes.push((await foreign.fail(job?.claim ?? '', 'broken', true, 0)).outcome);
    }
    expect(outcomes).toEqual([...Array.from({ length: MAX_DELIVERIES - 1 }, () => 'retried'), 'buried']);
  });

  it('that cannot be begun comes back; what was taken with it is handed out', async () => {
    await put('1', '2', '3');
    let away = true;
    const foreign = work({
      async begin({ id, payload }) {
        if (id === '2' && away) throw new Unavailable('The log is away');
        return { input: payload, attempt: 1 };
      },
    });
    expect((await claim(foreign)).map(({ id }) => id)).toEqual(['1', '3']);
    away = false;
    expect(await claim(foreign)).toEqual([]);
    await ledger.clock.advance(250);
    expect((await claim(foreign)).map(({ id }) => id)).toEqual(['2']);
  });

  it('is given back when whoever asked is gone', async () => {
    await put('1');
    const gone = new AbortController();
    const foreign = work({
      async begin({ payload }) {
        gone.abort();
        return { input: payload, attempt: 1 };
      },
    });
    expect(await claim(foreign, gone.signal)).toEqual([]);
    expect(await ledger.store.queue.stats()).toMatchObject([{ waiting: 1, leased: 0 }]);
  });

  it('has one executor for a kind', () => {
    expect(() => work().register(executor)).toThrow('Two executors claim sample.task');
  });
});
