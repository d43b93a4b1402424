import { describe, expect, it } from '@jest/globals';
import { KnownDeliveries } from './known-deliveries.js';

describe('a delivery that comes again', () => {
  it('is handled once by a process that knows it, and again when it has failed', async () => {
    const known = new KnownDeliveries();
    const gate = Promise.withResolvers<void>();
    let handled = 0;
    const handle = async (): Promise<void> => {
      handled += 1;
      await gate.promise;
    };
    const first = [known.once('d-1', handle), known.once('d-1', handle)];
    gate.reject(new Error('not now'));
    expect((await Promise.allSettled(first)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const again = [known.once('d-1', async () => void (handled += 1)), known.once('d-1', handle)];
    expect(await Promise.all(again)).toEqual([true, false]);
    expect([await known.once('d-1', handle), handled]).toEqual([false, 2]);
  });

  it('is forgotten only when many others have come since', async () => {
    const known = new KnownDeliveries(2);
    const nothing = async (): Promise<void> => undefined;
    for (const id of ['d-1', 'd-2', 'd-1', 'd-3']) await known.once(id, nothing);
    expect(await known.once('d-1', nothing)).toBe(false);
  });
});
