import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../test/support/eventually.js';
import { FaultyViewStore } from '../../test/support/faulty-view-store.js';
import { TestLedger } from '../../test/support/test-ledger.js';
import { Cursors } from './cursors.js';
import { Effect, type EffectOptions } from './effect.js';

let ledger: TestLedger;
let store: FaultyViewStore;
let running: Effect[];
/** Positions of what was handled, in order. */
let handled: number[];

beforeEach(async () => {
  ledger = await TestLedger.open();
  store = new FaultyViewStore(ledger.store.views);
  running = [];
  handled = [];
});
afterEach(async () => {
  for (const effect of running) await effect.close();
  await ledger.close();
});

async function start(options: Partial<EffectOptions> = {}): Promise<Effect> {
  const effect = new Effect(ledger.log, new Cursors(store), ledger.clock, ledger.logger, {
    name: 'sample',
    begin: async () => 0,
    handle: async (batch) => void handled.push(...batch.map(({ position }) => position)),
    ...options,
  });
  await effect.start();
  running.push(effect);
  return effect;
}

async function stop(effect: Effect): Promise<void> {
  running = running.filter((each) => each !== effect);
  await effect.close();
}

const untilHandled = (count: number): Promise<true> =>
  eventually(
    () => handled.length >= count,
    () => ledger.pass(50),
  );
const positions = async (): Promise<number[]> => (await ledger.events()).map(({ position }) => position);

describe('an effect', () => {
  it('handles every event once and in order, past and to come', async () => {
    await ledger.fill(30, 20);
    await start();
    await ledger.fill(30, 2);
    await untilHandled(660);
    expect(handled).toEqual(await positions());
  });

  it('goes on after a restart behind what it has handled', async () => {
    await ledger.count('a', 5);
    const first = await start();
    await untilHandled(5);
    await stop(first);
    await ledger.reopen();
    store = new FaultyViewStore(ledger.store.views);
    await ledger.count('a', 2);
    await start();
    await untilHandled(7);
    expect(handled).toEqual(await positions());
  });

  it('begins where it is told to when nothing is known of it', async () => {
    await ledger.count('a', 5);
    await start({ begin: () => ledger.log.head() });
    await ledger.count('a', 1);
    await untilHandled(1);
    expect(handled).toEqual((await positions()).slice(5));
  });

  it('is given a batch again until it has handled it, and nothing else before', async () => {
    let failures = 4;
    const tries: number[] = [];
    await start({
      handle: async (batch) => {
        tries.push(batch[0]?.position ?? 0);
        if (failures-- > 0) throw new Error('not now');
        handled.push(...batch.map(({ position }) => position));
      },
    });
    await ledger.count('a', 3);
    await untilHandled(3);
    expect(tries.slice(0, 5)).toEqual([1, 1, 1, 1, 1]);
    expect(handled).toEqual(await positions());
  });

  it('handles one batch at a time', async () => {
    let now = 0;
    let most = 0;
    await ledger.fill(60, 20);
    await start({
      handle: async (batch) => {
        most = Math.max(most, (now += 1));
        await ledger.pass(0);
        now -= 1;
        handled.push(...batch.map(({ position }) => position));
      },
    });
    await untilHandled(1_200);
    expect(most).toBe(1);
  });

  it('keeps a cursor no later than what is settled', async () => {
    await ledger.count('a', 5);
    const effect = await start({ settled: () => 2 });
    await untilHandled(5);
    expect(effect.position).toBe(5);
    await stop(effect);
    expect(await new Cursors(store).load('sample')).toBe(2);
    handled = [];
    await start();
    await untilHandled(3);
    expect(handled).toEqual([3, 4, 5]);
  });

  it('repeats nothing because its cursor could not be stored', async () => {
    const effect = await start();
    store.fault = () => 'lost';
    for (let round = 0; round < 3; round++) {
      await ledger.count('a', 1);
      await untilHandled(round + 1);
      await ledger.pass(2_000);
    }
    expect(store.faults).toBeGreaterThan(0);
    await stop(effect);
    expect(handled).toEqual([1, 2, 3]);
    store.fault = () => 'none';
    await start();
    await untilHandled(6);
    expect(handled).toEqual([1, 2, 3, 1, 2, 3]);
  });

  it('stores its cursor while it works, not only at the end', async () => {
    await start();
    await ledger.count('a', 1);
    await untilHandled(1);
    await ledger.pass(1_000);
    await ledger.count('a', 1);
    await eventually(
      async () => (await new Cursors(store).load('sample')) === 2,
      () => ledger.pass(10),
    );
    expect(handled).toEqual([1, 2]);
  });

  it('with a cursor past the end of the log begins anew: the log was put back', async () => {
    await new Cursors(store).save('sample', 1_000);
    await ledger.count('a', 2);
    await start();
    await untilHandled(2);
    expect(handled).toEqual([1, 2]);
  });

  it('finishes the batch in hand before it ends', async () => {
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    let began = false;
    const effect = await start({
      handle: async (batch) => {
        began = true;
        await opened;
        handled.push(...batch.map(({ position }) => position));
      },
    });
    await ledger.count('a', 1);
    await eventually(() => began);
    const closing = stop(effect);
    open();
    await closing;
    expect(handled).toEqual([1]);
    expect(await new Cursors(store).load('sample')).toBe(1);
  });
});
