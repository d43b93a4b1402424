import { describe, it } from '@jest/globals';

/**
 * Describes `fn` when `value`, an environment variable, is set. Otherwise a skipped test and a line on standard error
 * say that it did not run, and why when `name` holds the variable's name.
 */
export function describeWhen(value: string | undefined, name: string, fn: (value: string) => void): void {
  if (value !== undefined && value !== '') {
    fn(value);
    return;
  }
  process.stderr.write(`skipped: ${name}\n`);
  describe(name, () => {
    it.skip('runs only where the environment names a server', () => undefined);
  });
}
