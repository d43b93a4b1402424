import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FaultyViewStore } from '../../test/support/faulty-view-store.js';
import { TestLedger } from '../../test/support/test-ledger.js';
import { Cursors } from './cursors.js';
import { Unavailable } from './errors.js';

let ledger: TestLedger;
beforeEach(async () => {
  ledger = await TestLedger.open();
});
afterEach(() => ledger.close());

describe('cursors', () => {
  it('are unknown until they are saved, each by its name', async () => {
    const cursors = new Cursors(ledger.store.views);
    expect(await cursors.load('bus')).toBeUndefined();
    await cursors.save('bus', 7);
    expect(await cursors.load('bus')).toBe(7);
    expect(await cursors.load('dispatcher')).toBeUndefined();
  });

  it('outlive a restart', async () => {
    await new Cursors(ledger.store.views).save('bus', 7);
    await ledger.reopen();
    expect(await new Cursors(ledger.store.views).load('bus')).toBe(7);
  });

  it('never go back, whoever saves last', async () => {
    const [one, other] = [new Cursors(ledger.store.views), new Cursors(ledger.store.views)];
    await one.save('bus', 9);
    await other.save('bus', 4);
    expect(await one.load('bus')).toBe(9);
  });

  it('before the first event are none', async () => {
    const cursors = new Cursors(ledger.store.views);
    await cursors.save('bus', 0);
    expect(await cursors.load('bus')).toBeUndefined();
  });

  it('can be asked for again after the store was away', async () => {
    const store = new FaultyViewStore(ledger.store.views);
    const cursors = new Cursors(store);
    store.refuseLoads = 1;
    await expect(cursors.load('bus')).rejects.toThrow(Unavailable);
    expect(await cursors.load('bus')).toBeUndefined();
  });

  it('can be forgotten, all of them, and begun anew', async () => {
    const cursors = new Cursors(ledger.store.views);
    await cursors.save('bus', 9);
    await cursors.forget();
    expect(await cursors.load('bus')).toBeUndefined();
    await cursors.save('bus', 2);
    expect(await cursors.load('bus')).toBe(2);
  });
});
