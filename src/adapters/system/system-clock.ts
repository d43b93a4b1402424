import { Clock } from '../../kernel/ports/clock.js';

/** The longest that one timer of Node can wait; above it would fire at once. */
const LONGEST_TIMER_MS = 2_147_483_647;

/** The machine's clock. */
export class SystemClock extends Clock {
  override now(): number {
    return Date.now();
  }

  override steady(): number {
    return performance.now();
  }

  override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const until = this.steady() + ms;
    // Timers may fire a fraction of a millisecond early: what is left of the sleep is slept too.
    for (let left = ms; left > 0 && !signal?.aborted; left = until - this.steady()) {
      await timer(Math.min(left, LONGEST_TIMER_MS), signal);
    }
  }
}

function timer(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(handle);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const handle = setTimeout(end, ms);
    signal?.addEventListener('abort', end);
  });
}
