import type { Clock } from '../../kernel/ports/clock.js';

/** A receiver that answers so is not broken but overloaded, or what stands before it is. */
const OVERLOADED = new Set([429, 502, 504]);
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 60_000;

interface Slowed {
  readonly pauseMs: number;
  /** Steady time before which nothing is sent there. */
  readonly until: number;
}

/** Slows everything down that this process sends to one host, for as long as the host says that it is too much. */
export class HostPace {
  private readonly hosts = new Map<string, Slowed>();

  constructor(private readonly clock: Clock) {}

  /** Waits until the host may be asked again. */
  async wait(host: string, signal: AbortSignal): Promise<void> {
    for (;;) {
      const waitMs = (this.hosts.get(host)?.until ?? 0) - this.clock.steady();
      if (waitMs <= 0 || signal.aborted) return;
      await this.clock.sleep(waitMs, signal);
    }
  }

  /** Takes note of an answer: each that tells of overload doubles the pause, up to a minute. */
  answered(host: string, status: number | null, retryAfterMs = 0): void {
    if (status === null || !OVERLOADED.has(status)) {
      if (status !== null) this.hosts.delete(host);
      return;
    }
    const now = this.clock.steady();
    const before = this.hosts.get(host);
    // Answers to what was sent at the same time say the same thing once.
    if (before && now < before.until) return;
    const pauseMs = Math.min(before ? before.pauseMs * 2 : FIRST_PAUSE_MS, MAX_PAUSE_MS);
    this.hosts.set(host, { pauseMs, until: now + Math.max(pauseMs, Math.min(retryAfterMs, MAX_PAUSE_MS)) });
  }
}
