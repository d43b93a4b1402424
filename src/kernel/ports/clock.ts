/** Time, so that tests can own it. */
export abstract class Clock {
  /** Wall time in ms since 1970. May jump when the machine's clock is set. */
  abstract now(): number;

  /** Steady time in ms from an arbitrary start; never jumps. Leases, backoffs and durations are measured by it. */
  abstract steady(): number;

  /** Resolves after `ms` of steady time, or at once when the signal fires. */
  abstract sleep(ms: number, signal?: AbortSignal): Promise<void>;

  /** Wall time as ISO 8601 UTC with milliseconds. */
  iso(): string {
    return new Date(this.now()).toISOString();
  }
}
