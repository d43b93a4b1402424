import type { Clock } from '../../kernel/ports/clock.js';

/** An estimate is given up for one from a slower answer only when it is so old. */
const STALE_MS = 600_000;

/**
 * The server's time, in ms since 1970, as far as its answers tell: processes whose clocks differ agree on when a lease
 * ends. Until an answer has told, and with servers that do not tell (before 2.10), it is the machine's own.
 */
export class ServerTime {
  private offset: number;
  private uncertainty = Infinity;
  private learnedAt: number;

  constructor(private readonly clock: Clock) {
    this.learnedAt = clock.steady();
    this.offset = clock.now() - this.learnedAt;
  }

  now(): number {
    return this.offset + this.clock.steady();
  }

  /**
   * Takes note of what the server said.
   *
   * @param time Its time, ISO 8601; undefined when it did not tell.
   * @param askedAt When it was asked, in steady ms.
   */
  learn(time: string | undefined, askedAt: number): void {
    const at = Date.parse(time ?? '');
    if (Number.isNaN(at)) return;
    const steady = this.clock.steady();
    const tookMs = steady - askedAt;
    if (tookMs > this.uncertainty && steady - this.learnedAt < STALE_MS) return;
    this.offset = at - (askedAt + steady) / 2;
    this.uncertainty = tookMs;
    this.learnedAt = steady;
  }
}
