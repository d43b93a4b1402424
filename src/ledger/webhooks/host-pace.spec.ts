import { beforeEach, describe, expect, it } from '@jest/globals';
import { TestClock } from '../../../test/support/test-clock.js';
import { HostPace } from './host-pace.js';

let clock: TestClock;
let pace: HostPace;
beforeEach(() => {
  clock = new TestClock();
  pace = new HostPace(clock);
});

/** How long the host has to be waited for. */
async function pauseOf(host: string): Promise<number> {
  const began = clock.steady();
  let over: number | undefined;
  void pace.wait(host, new AbortController().signal).then(() => (over = clock.steady()));
  await clock.advance(0);
  while (over === undefined) await clock.advance(500);
  return over - began;
}

describe('a host', () => {
  it.each([200, 404, 500, 503, null])('that answers %s is not waited for', async (status) => {
    pace.answered('a', status);
    expect(await pauseOf('a')).toBe(0);
  });

  it.each([429, 502, 504])('that answers %d is given time, twice as much each time, up to a minute', async (status) => {
    const pauses: number[] = [];
    for (let answer = 0; answer < 8; answer++) {
      pace.answered('a', status);
      pauses.push(await pauseOf('a'));
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    expect(await pauseOf('b')).toBe(0);
  });

  it('that asks for a time gets it', async () => {
    pace.answered('a', 429, 30_000);
    expect(await pauseOf('a')).toBe(30_000);
  });

  it('is not slowed down by several answers to what was sent together', async () => {
    for (let answer = 0; answer < 5; answer++) pace.answered('a', 429);
    expect(await pauseOf('a')).toBe(1_000);
  });

  it('is as before when it answers well again', async () => {
    pace.answered('a', 429);
    pace.answered('a', 200);
    expect(await pauseOf('a')).toBe(0);
  });

  it('is not waited for when the service stops', async () => {
    pace.answered('a', 429);
    const stop = new AbortController();
    const waited = pace.wait('a', stop.signal);
    stop.abort();
    await expect(waited).resolves.toBeUndefined();
  });
});
