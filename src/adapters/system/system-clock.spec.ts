import { describe, expect, it } from '@jest/globals';
import { SystemClock } from './system-clock.js';

describe('SystemClock', () => {
  const clock = new SystemClock();

  it('tells the wall time of the machine', () => {
    const before = Date.now();
    const now = clock.now();
    expect(now).toBeGreaterThanOrEqual(before);
    expect(now).toBeLessThanOrEqual(Date.now());
  });

  it('has not woken early from any of many short sleeps', async () => {
    const slept = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const start = clock.steady();
        await clock.sleep(1 + index / 10);
        return clock.steady() - start - (1 + index / 10);
      }),
    );
    expect(Math.min(...slept)).toBeGreaterThanOrEqual(0);
  });

  it('sleeps on where the time is longer than a timer of Node can take', async () => {
    const stop = new AbortController();
    let woken = false;
    const sleeping = clock.sleep(Number.MAX_SAFE_INTEGER, stop.signal).then(() => (woken = true));
    await clock.sleep(5);
    expect(woken).toBe(false);
    stop.abort();
    await sleeping;
  });
});
