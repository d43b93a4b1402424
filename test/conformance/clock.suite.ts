import { getEventListeners } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import type { Clock } from '../../src/kernel/ports/clock.js';
import { whileTimePasses, type PassingTime } from '../support/passing-time.js';

/** A clock, and a way to let its time pass. */
export interface ClockHarness extends PassingTime {
  readonly clock: Clock;
}

const LONG_MS = 86_400_000;

/** What every clock promises. */
export function describeClock(adapter: string, open: () => ClockHarness): void {
  describe(`Clock: ${adapter}`, () => {
    it('tells wall time in ms since 1970, and writes it as ISO 8601 in UTC', async () => {
      const { clock } = open();
      const before = clock.now();
      const iso = clock.iso();
      expect(Number.isSafeInteger(before)).toBe(true);
      expect(before).toBeGreaterThan(Date.UTC(2025, 0, 1));
      expect(iso).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(Date.parse(iso)).toBeGreaterThanOrEqual(before);
      expect(Date.parse(iso)).toBeLessThanOrEqual(clock.now());
    });

    it('lets both times go on, the steady one never back', async () => {
      const { clock, advance } = open();
      const readings: number[] = [];
      const wall = clock.now();
      for (let count = 0; count < 100; count++) {
        readings.push(clock.steady());
        if (count % 20 === 0) await advance(2);
      }
      expect(readings).toEqual([...readings].sort((a, b) => a - b));
      expect(clock.steady()).toBeGreaterThan(readings[0] as number);
      expect(clock.now()).toBeGreaterThan(wall);
    });

    it.each([0.5, 1, 20, 75])('sleeps at least %d ms of steady time', async (ms) => {
      const harness = open();
      const start = harness.clock.steady();
      const slept = harness.clock.sleep(ms).then(() => harness.clock.steady() - start);
      expect(await whileTimePasses(harness, slept)).toBeGreaterThanOrEqual(ms);
    });

    it.each([0, -5])('does not sleep for %d ms', async (ms) => {
      await expect(open().clock.sleep(ms)).resolves.toBeUndefined();
    });

    it('wakes when the signal fires', async () => {
      const stop = new AbortController();
      const sleeping = open().clock.sleep(LONG_MS, stop.signal);
      stop.abort();
      await expect(sleeping).resolves.toBeUndefined();
    });

    it('does not fall asleep when the signal has fired', async () => {
      await expect(open().clock.sleep(LONG_MS, AbortSignal.abort())).resolves.toBeUndefined();
    });

    it('leaves nothing on the signal, whichever way a sleep ends', async () => {
      const harness = open();
      const stop = new AbortController();
      await whileTimePasses(harness, harness.clock.sleep(5, stop.signal));
      expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
      const sleeping = harness.clock.sleep(LONG_MS, stop.signal);
      stop.abort();
      await sleeping;
      expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
    });

    it('keeps sleepers apart', async () => {
      const harness = open();
      const stop = new AbortController();
      let woken = false;
      const other = harness.clock.sleep(LONG_MS, stop.signal).then(() => (woken = true));
      await whileTimePasses(harness, harness.clock.sleep(10));
      expect(woken).toBe(false);
      stop.abort();
      await other;
    });
  });
}
