import { describe, expect, it } from '@jest/globals';
import { parseRetryAfter } from './post-exchange.js';

const now = Date.UTC(2026, 0, 1, 12, 0, 0);

describe('Retry-After', () => {
  it.each([
    ['120', 120_000],
    ['0', 0],
    [' 5 ', 5_000],
    ['Thu, 01 Jan 2026 12:01:00 GMT', 60_000],
    ['Thu, 01 Jan 2026 11:00:00 GMT', 0],
  ])('%s asks for %i ms', (value, ms) => expect(parseRetryAfter(value, now)).toBe(ms));

  it.each(['', '-5', '1.5', 'soon', '2026-01-02', '99999999999', 'Thu, 99 Jan 2026 12:00:00 GMT'])(
    '"%s" asks for nothing',
    (value) => expect(parseRetryAfter(value, now)).toBeUndefined(),
  );

  it('takes the first of several', () => expect(parseRetryAfter(['1', '2'], now)).toBe(1_000));
});
