import { setTimeout as pause } from 'node:timers/promises';

const LOOK_EVERY_MS = 2;

/**
 * Looks again and again until `look` gives something other than false and undefined, and gives that back.
 *
 * @param meanwhile Done after every look in vain: a test clock can be moved on there.
 * @throws Error when that has not come about after thirty seconds.
 */
export async function eventually<Result>(
  look: () => Result | Promise<Result>,
  meanwhile: () => Promise<unknown> = () => pause(LOOK_EVERY_MS),
): Promise<Exclude<Result, false | undefined>> {
  const until = performance.now() + 30_000;
  for (;;) {
    const seen = await look();
    if (seen !== false && seen !== undefined) return seen as Exclude<Result, false | undefined>;
    if (performance.now() > until) throw new Error(`Never came about: ${look.toString()}`);
    await meanwhile();
  }
}
