import { describe, expect, it } from '@jest/globals';
import { TestClock } from './test-clock.js';

const AT = Date.UTC(2026, 0, 1);

describe('TestClock', () => {
  it('stands still until it is moved, and then moves both times', async () => {
    const clock = new TestClock(AT);
    expect([clock.now(), clock.steady()]).toEqual([AT, 0]);
    await clock.advance(1_500);
    expect([clock.now(), clock.steady(), clock.iso()]).toEqual([AT + 1_500, 1_500, '2026-01-01T00:00:01.500Z']);
  });

  it('wakes sleepers in the order of their time, each at that time, and nobody before it', async () => {
    const clock = new TestClock();
    const woken: string[] = [];
    const sleep = (name: string, ms: number): void =>
      void clock.sleep(ms).then(() => woken.push(`${name} at ${clock.steady()}`));
    sleep('late', 30);
    sleep('early', 10);
    sleep('too', 10);
    sleep('never', 31);
    await clock.advance(30);
    expect(woken).toEqual(['early at 10', 'too at 10', 'late at 30']);
  });

  it('runs a loop of short sleeps as often as the time holds them', async () => {
    const clock = new TestClock();
    const ticks: number[] = [];
    const stop = new AbortController();
    const loop = async (): Promise<void> => {
      while (!stop.signal.aborted) {
        await clock.sleep(10, stop.signal);
        ticks.push(clock.steady());
      }
    };
    const looping = loop();
    await clock.advance(35);
    expect(ticks).toEqual([10, 20, 30]);
    stop.abort();
    await looping;
  });

  it('jumps in wall time without waking anybody', async () => {
    const clock = new TestClock(AT);
    let woken = false;
    void clock.sleep(1_000).then(() => (woken = true));
    clock.set(AT + 86_400_000);
    await clock.advance(999);
    expect([woken, clock.steady(), clock.now()]).toEqual([false, 999, AT + 86_400_999]);
    clock.set(AT - 1);
    await clock.advance(1);
    expect([woken, clock.steady(), clock.now()]).toEqual([true, 1_000, AT]);
  });

  it('tells when somebody has gone to sleep', async () => {
    const clock = new TestClock();
    let asleep = false;
    const told = clock.whenSleeping(2).then(() => (asleep = true));
    void clock.sleep(5);
    await clock.advance(1);
    expect(asleep).toBe(false);
    void clock.sleep(5);
    await told;
    await clock.whenSleeping();
  });
});
