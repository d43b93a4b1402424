import { Clock } from '../../src/kernel/ports/clock.js';

interface Sleeper {
  readonly until: number;
  readonly wake: () => void;
}

/** A clock that moves only when a test moves it. Wall and steady time move together, but `set` may also go back. */
export class SettableClock extends Clock {
  private steadyMs = 0;
  private sleepers: Sleeper[] = [];

  constructor(private nowMs: number = Date.UTC(2026, 0, 1)) {
    super();
  }

  now(): number {
    return this.nowMs;
  }

  steady(): number {
    return this.steadyMs;
  }

  /** Lets `ms` pass, and wakes who slept that long. */
  advance(ms: number): void {
    this.nowMs += ms;
    this.steadyMs += ms;
    const due = this.sleepers.filter(({ until }) => until <= this.steadyMs);
    this.sleepers = this.sleepers.filter(({ until }) => until > this.steadyMs);
    for (const { wake } of due) wake();
  }

  /** Sets the wall time alone, as an operator would. */
  set(nowMs: number): void {
    this.nowMs = nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (ms <= 0 || signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.sleepers.push({ until: this.steadyMs + ms, wake: resolve });
      signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}
