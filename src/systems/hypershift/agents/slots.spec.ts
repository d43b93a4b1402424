import { describe, expect, it } from '@jest/globals';
import { Slots } from './slots.js';

const never = new AbortController().signal;

describe('slots', () => {
  it('let no more tasks run at once than there are, and all of them in the end', async () => {
    const slots = new Slots(3);
    let running = 0;
    let most = 0;
    const done = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        slots.use(never, async () => {
          running += 1;
          most = Math.max(most, running);
          await new Promise(setImmediate);
          running -= 1;
          return n;
        }),
      ),
    );
    expect(most).toBe(3);
    expect(done).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  it('become free again after a failure', async () => {
    const slots = new Slots(1);
    await expect(slots.use(never, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect(await slots.use(never, async () => 'next')).toBe('next');
  });

  it('are not waited for after the signal', async () => {
    const slots = new Slots(1);
    const first = Promise.withResolvers<string>();
    const cancel = new AbortController();
    const running = slots.use(never, () => first.promise);
    const cancelled = slots.use(cancel.signal, async () => 'cancelled');
    const patient = slots.use(never, async () => 'patient');
    cancel.abort(new Error('lease lost'));
    await expect(cancelled).rejects.toThrow('lease lost');
    first.resolve('first');
    expect(await Promise.all([running, patient])).toEqual(['first', 'patient']);
    await expect(slots.use(cancel.signal, async () => 'late')).rejects.toThrow('lease lost');
  });

  it('keep the place of those behind one whose signal fires as it is let in', async () => {
    const slots = new Slots(1);
    const cancel = new AbortController();
    const first = slots.use(never, async () => 'first');
    const second = slots.use(cancel.signal, async () => 'second');
    const third = slots.use(never, async () => 'third');
    await first;
    cancel.abort();
    expect(await Promise.all([second, third])).toEqual(['second', 'third']);
  });
});
