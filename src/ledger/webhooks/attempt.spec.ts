import { describe, expect, it } from '@jest/globals';
import { judge, type Attempt } from './attempt.js';
import { GIVE_UP_AFTER_MS, MAX_ATTEMPTS, pauseAfter } from './schedule.js';

const SENT = Date.parse('2026-01-10T00:00:00.000Z');
const delivery = { tenant: 'acme', endpoint: 'we_1', deliveryId: 'd', round: 0, attempt: 1, source: null };
const answered = (status: number | null, fields: Partial<Attempt> = {}): Attempt => ({
  url: 'https://a.example/',
  sentAtMs: SENT,
  status,
  error: status === 200 ? null : 'no',
  durationMs: 100,
  response: '',
  retryAfterMs: undefined,
  ...fields,
});

describe('what follows from an attempt', () => {
  it('that arrived: nothing is failing any more', () => {
    const verdict = judge(delivery, answered(200), SENT - 1_000, 0);
    expect(verdict).toMatchObject({ pauseMs: undefined, disable: undefined, failingSinceMs: undefined });
    expect(verdict.outcome.type).toBe('webhook_delivery.succeeded');
  });

  it('that failed: another after a pause, and it has been failing since the first', () => {
    const verdict = judge(delivery, answered(null), undefined, 0);
    expect(verdict).toMatchObject({ pauseMs: 5_000, disable: undefined, failingSinceMs: SENT });
    expect(verdict.outcome).toMatchObject({
      type: 'webhook_delivery.failed',
      data: { failingSince: '2026-01-10T00:00:00.000Z', retryAt: '2026-01-10T00:00:05.100Z' },
    });
    expect(judge(delivery, answered(500), SENT - 60_000, 0).failingSinceMs).toBe(SENT - 60_000);
  });

  it('that was the last: it is given up', () => {
    const last = judge({ ...delivery, attempt: MAX_ATTEMPTS }, answered(500), undefined, 0);
    expect([last.outcome.type, last.pauseMs]).toEqual(['webhook_delivery.abandoned', undefined]);
  });

  it('answered with 410: the endpoint is gone', () => {
    expect(judge(delivery, answered(410), undefined, 0)).toMatchObject({
      disable: 'gone',
      outcome: { type: 'webhook_delivery.abandoned' },
    });
  });

  it.each([
    [GIVE_UP_AFTER_MS, 'failing'],
    [GIVE_UP_AFTER_MS - 1, undefined],
  ])('that failed %d ms after the first that did: %s', (ms, disable) => {
    expect(judge(delivery, answered(500), SENT - ms, 0).disable).toBe(disable);
  });
});

describe('the pause after an attempt', () => {
  const HOUR = 3_600_000;

  it('is that of Standard Webhooks, and up to a tenth more: ten attempts in about three days', () => {
    const least = Array.from({ length: MAX_ATTEMPTS }, (_, index) => pauseAfter(index + 1, undefined, 0));
    expect(least).toEqual([
      5_000,
      300_000,
      1_800_000,
      ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR),
      undefined,
    ]);
    expect(pauseAfter(1, undefined, 1)).toBe(5_500);
  });

  it('is as long as the receiver asks, within a day', () => {
    expect(pauseAfter(1, HOUR, 0)).toBe(HOUR);
    expect(pauseAfter(4, 1_000, 0)).toBe(2 * HOUR);
    expect(pauseAfter(1, 1_000 * HOUR, 0)).toBe(24 * HOUR);
  });
});
