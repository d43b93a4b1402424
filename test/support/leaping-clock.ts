import { SystemClock } from '../../src/adapters/system/system-clock.js';

/** The machine's clock, and whenever a test says so a time has passed at once: wall, steady and slept. */
export class LeapingClock extends SystemClock {
  private leaptMs = 0;
  private readonly sleepers = new Set<() => void>();

  override now(): number {
    return super.now() + this.leaptMs;
  }

  override steady(): number {
    return super.steady() + this.leaptMs;
  }

  /** Lets `ms` pass, and wakes who slept that long. */
  leap(ms: number): void {
    this.leaptMs += ms;
    for (const look of this.sleepers) look();
  }

  override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const until = this.steady() + ms;
    while (this.steady() < until && !signal?.aborted) {
      const left = new AbortController();
      const look = (): void => left.abort();
      this.sleepers.add(look);
      signal?.addEventListener('abort', look, { once: true });
      await super.sleep(until - this.steady(), left.signal);
      signal?.removeEventListener('abort', look);
      this.sleepers.delete(look);
    }
  }
}
