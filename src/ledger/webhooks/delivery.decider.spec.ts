import { describe, it } from '@jest/globals';
import { given } from '../../../test/support/given.js';
import { deliveryDecider, type AttemptEvent } from './delivery.decider.js';

const scope = { system: 'runledger', tenant: 'acme', endpoint: 'we_1', deliveryId: 'd', source: null } as const;
const requested = (round: number) => ({ type: 'webhook_delivery.requested', data: { ...scope, round } }) as const;
const request = { type: 'request', deliveryId: 'd', tenant: 'acme', endpoint: 'we_1', source: null } as const;
const made = (round: number, attempt: number) => ({
  ...scope,
  round,
  attempt,
  url: 'https://a.example/',
  sentAt: '2026-01-01T00:00:00.000Z',
  status: 500,
  durationMs: 1,
  response: '',
});
const failure = { error: 'no', failingSince: '2026-01-01T00:00:00.000Z' };
const failed = (round: number, attempt: number): AttemptEvent => ({
  type: 'webhook_delivery.failed',
  data: { ...made(round, attempt), ...failure, retryAt: '2026-01-01T00:00:05.000Z' },
});
const succeeded = (round: number, attempt: number): AttemptEvent => ({
  type: 'webhook_delivery.succeeded',
  data: made(round, attempt),
});
const abandoned = (round: number, attempt: number): AttemptEvent => ({
  type: 'webhook_delivery.abandoned',
  data: { ...made(round, attempt), ...failure },
});
const record = (outcome: AttemptEvent) => ({ type: 'record', outcome }) as const;

describe('a delivery', () => {
  it('records each attempt once, whoever made it', () => {
    given(deliveryDecider)
      .when(record(failed(0, 1)))
      .gives(failed(0, 1));
    given(deliveryDecider, failed(0, 1))
      .when(record(failed(0, 1)))
      .changesNothing();
    given(deliveryDecider, failed(0, 1))
      .when(record(succeeded(0, 1)))
      .changesNothing();
    given(deliveryDecider, failed(0, 1))
      .when(record(succeeded(0, 2)))
      .gives(succeeded(0, 2));
  });

  it('is over when it arrived, or was given up', () => {
    for (const end of [succeeded(0, 1), abandoned(0, 1)])
      given(deliveryDecider, end)
        .when(record(failed(0, 2)))
        .changesNothing();
  });

  it('begins anew when it is asked for again', () => {
    for (const before of [succeeded(0, 1), abandoned(0, 10), failed(0, 3)]) {
      given(deliveryDecider, before).when(request).gives(requested(1));
      given(deliveryDecider, before, requested(1))
        .when(record(succeeded(1, 1)))
        .gives(succeeded(1, 1));
      // An attempt that was under way belongs to the round before.
      given(deliveryDecider, before, requested(1))
        .when(record(succeeded(0, 4)))
        .changesNothing();
    }
  });

  it('is asked for once, until it was tried', () => {
    given(deliveryDecider).when(request).gives(requested(1));
    given(deliveryDecider, requested(1)).when(request).changesNothing();
    given(deliveryDecider, requested(1), succeeded(1, 1)).when(request).gives(requested(2));
  });
});
