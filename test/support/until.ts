import { setTimeout as pause } from 'node:timers/promises';

const LOOK_EVERY_MS = 10;

/**
 * Looks again and again until there is something to see.
 *
 * @param look Gives undefined, null or false while it is not there yet.
 * @throws Error that names `what` when it is not there after `limitMs`.
 */
export async function until<Result>(
  what: string,
  look: () => Promise<Result | undefined | null | false> | Result | undefined | null | false,
  limitMs = 60_000,
): Promise<Result> {
  const end = performance.now() + limitMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== null && seen !== false) return seen;
    if (performance.now() > end) throw new Error(`Waited ${limitMs} ms in vain: ${what}`);
    await pause(LOOK_EVERY_MS);
  }
}
