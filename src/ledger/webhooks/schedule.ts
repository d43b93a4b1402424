const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Time limit of one attempt. */
export const TIMEOUT_MS = 15 * SECOND;

/** Pauses between attempts, as Standard Webhooks has them: ten attempts in about three days. */
const PAUSES_MS = [
  5 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
] as const;

export const MAX_ATTEMPTS = PAUSES_MS.length + 1;

/** So much is added at most, so that what failed together is not tried again together. */
const JITTER = 0.1;
const MAX_RETRY_AFTER_MS = 24 * HOUR;

/** After so long without one answer of 2xx an endpoint is disabled. */
export const GIVE_UP_AFTER_MS = 5 * 24 * HOUR;

/** How long secrets go on signing beside the one that replaced them. */
export const DEFAULT_OVERLAP_MS = 24 * HOUR;
export const MAX_OVERLAP_MS = 7 * 24 * HOUR;

/**
 * How long to wait after a failed attempt, in ms; undefined when it was the last.
 *
 * @param attempt Its number, from 1.
 * @param retryAfterMs What the receiver asked for: never earlier than that, as far as it is within a day.
 * @param random From 0 to 1.
 */
export function pauseAfter(attempt: number, retryAfterMs: number | undefined, random: number): number | undefined {
  const pauseMs = PAUSES_MS[attempt - 1];
  if (pauseMs === undefined) return undefined;
  return Math.max(pauseMs * (1 + JITTER * random), Math.min(retryAfterMs ?? 0, MAX_RETRY_AFTER_MS));
}
