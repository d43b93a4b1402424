import { describe, expect, it } from '@jest/globals';
import { TestClock } from '../../../test/support/test-clock.js';
import { SystemIds } from './system-ids.js';

const AT = Date.UTC(2026, 1, 3, 4, 5, 6, 789);

describe('SystemIds', () => {
  it('puts the wall time in ms into the first 48 bits of a UUID', () => {
    expect(timeOf(new SystemIds(new TestClock(AT)).uuid())).toBe(AT);
  });

  it('goes on in order within one millisecond, also beyond what its counter holds', () => {
    const ids = new SystemIds(new TestClock(AT));
    const made = Array.from({ length: 20_000 }, () => ids.uuid());
    expect(made).toEqual([...new Set(made)].sort());
    // 20,000 do not fit into four counters of 4,096: the time has run ahead, by no more than it must.
    expect(timeOf(made.at(-1) as string) - AT).toBeGreaterThanOrEqual(4);
    expect(timeOf(made.at(-1) as string) - AT).toBeLessThanOrEqual(9);
  });

  it('goes on in order when the clock is set back, and follows the clock again when that has caught up', () => {
    const clock = new TestClock(AT);
    const ids = new SystemIds(clock);
    const made = [ids.uuid()];
    clock.set(AT - 3_600_000);
    made.push(ids.uuid(), ids.uuid());
    clock.set(AT + 5);
    made.push(ids.uuid());
    expect(made).toEqual([...made].sort());
    expect(made.map(timeOf)).toEqual([AT, AT, AT, AT + 5]);
  });

  it('begins each millisecond at another counter, so that two processes seldom share one', () => {
    const clock = new TestClock(AT);
    const ids = new SystemIds(clock);
    const counters = Array.from({ length: 2_000 }, (_, index) => {
      clock.set(AT + index);
      return parseInt(ids.uuid().slice(15, 18), 16);
    });
    expect(new Set(counters).size).toBeGreaterThan(1_000);
    expect(Math.max(...counters)).toBeLessThan(0x800);
  });

  it('varies every random bit of a UUID', () => {
    const ids = new SystemIds();
    let ones = 0n;
    let zeros = 0n;
    for (let count = 0; count < 1_000; count++) {
      const tail = BigInt(`0x${ids.uuid().slice(19).replaceAll('-', '')}`);
      ones |= tail;
      zeros |= ~tail;
    }
    const random = (1n << 62n) - 1n;
    expect([ones & random, zeros & random]).toEqual([random, random]);
  });

  it('uses all 36 characters of a token equally often', () => {
    const counts = new Map<string, number>();
    for (const character of new SystemIds().token(360_000)) counts.set(character, (counts.get(character) ?? 0) + 1);
    expect(counts.size).toBe(36);
    // 10,000 of each are expected, with a standard deviation of 99: seven of them happen once in 10^11 runs.
    expect(Math.min(...counts.values())).toBeGreaterThan(9_300);
    expect(Math.max(...counts.values())).toBeLessThan(10_700);
  });
});

function timeOf(uuid: string): number {
  return parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}
