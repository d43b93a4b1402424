import { SystemClock } from '../../src/adapters/system/system-clock.js';

/** The machine's clock, shown wrongly: timers run as ever, and only the wall time is what a test says. */
export class ShiftedClock extends SystemClock {
  private offsetMs = 0;

  override now(): number {
    return super.now() + this.offsetMs;
  }

  /** From now on it is that time, and goes on from there. @param iso ISO 8601 */
  set(iso: string): void {
    this.offsetMs = Date.parse(iso) - super.now();
  }
}

/** A clock that hurries: all time, wall, steady and slept, passes `factor` times as fast. */
export class HurriedClock extends SystemClock {
  private readonly begun = super.now();
  private readonly origin = performance.now();

  constructor(private readonly factor: number) {
    super();
  }

  override now(): number {
    return Math.floor(this.begun + this.steady());
  }

  override steady(): number {
    return (performance.now() - this.origin) * this.factor;
  }

  override async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const until = this.steady() + ms;
    for (let left = ms; left > 0 && !signal?.aborted; left = until - this.steady()) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left / this.factor);
        signal?.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true });
      });
    }
  }
}
