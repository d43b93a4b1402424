import { setImmediate as nextTurn } from 'node:timers/promises';
import { Clock } from '../../src/kernel/ports/clock.js';

interface Sleeper {
  readonly due: number;
  readonly wake: () => void;
}

/** A clock that stands still until a test moves it. */
export class TestClock extends Clock {
  private steadyMs = 0;
  private sleepers: Sleeper[] = [];
  private watchers: { readonly count: number; readonly seen: () => void }[] = [];

  /** @param wallMs The wall time to begin with, in ms since 1970. @default 2026-01-01T00:00:00Z */
  constructor(private wallMs: number = Date.UTC(2026, 0, 1)) {
    super();
  }

  override now(): number {
    return this.wallMs;
  }

  override steady(): number {
    return this.steadyMs;
  }

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (!(ms > 0) || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const sleeper: Sleeper = { due: this.steadyMs + ms, wake };
      this.sleepers.push(sleeper);
      signal?.addEventListener('abort', wake);
      this.watchers = this.watchers.filter(({ count, seen }) => {
        if (this.sleepers.length < count) return true;
        seen();
        return false;
      });
    });
  }

  /**
   * Lets wall and steady time pass. Wakes sleepers one after the other, each at its own time, and gives what it woke a
   * turn of the event loop before it goes on, so that a loop of short sleeps runs as often as it would have.
   */
  async advance(ms: number): Promise<void> {
    const end = this.steadyMs + ms;
    for (let next = this.nextDue(end); next; next = this.nextDue(end)) {
      this.moveTo(next.due);
      next.wake();
      await nextTurn();
    }
    this.moveTo(end);
    await nextTurn();
  }

  /** Sets the wall clock, forwards or back, as an operator would: steady time goes on, and nobody wakes. */
  set(wallMs: number): void {
    this.wallMs = wallMs;
  }

  /** Resolves as soon as at least `count` sleepers wait. */
  whenSleeping(count = 1): Promise<void> {
    if (this.sleepers.length >= count) return Promise.resolve();
    return new Promise((seen) => this.watchers.push({ count, seen }));
  }

  private nextDue(end: number): Sleeper | undefined {
    const due = this.sleepers.filter((sleeper) => sleeper.due <= end);
    return due.sort((a, b) => a.due - b.due)[0];
  }

  private moveTo(steadyMs: number): void {
    const passed = Math.max(0, steadyMs - this.steadyMs);
    this.steadyMs += passed;
    this.wallMs += passed;
  }
}
