/** How a harness lets time pass: a test clock is moved, a real server is waited for. */
export interface PassingTime {
  advance(ms: number): Promise<void>;
}

const STEP_MS = 50;

/**
 * Lets time pass in small steps until `promise` settles.
 *
 * @param limitMs Throws when it has not settled after so much time. @default 30_000
 */
export async function whileTimePasses<Result>(
  time: PassingTime,
  promise: Promise<Result>,
  limitMs = 30_000,
): Promise<Result> {
  let settled = false;
  const end = (): void => void (settled = true);
  promise.then(end, end);
  for (let passed = 0; !settled; passed += STEP_MS) {
    if (passed > limitMs) throw new Error(`Nothing came while ${limitMs} ms passed`);
    await time.advance(STEP_MS);
  }
  return promise;
}
