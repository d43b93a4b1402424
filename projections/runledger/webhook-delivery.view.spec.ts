import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ledgerEvents } from '../../contracts/runledger/ledger.events.js';
import type { WebhookDeliveryEvent } from '../../contracts/runledger/webhook.events.js';
import { Fold, fold } from '../../test/support/fold.js';
import { EventCatalog } from '../../src/kernel/event-catalog.js';
import type { StoredEvent } from '../../src/kernel/ports/event-log.js';
import { KEPT_ATTEMPTS, webhookDeliveryView, type WebhookDeliveryDoc } from './webhook-delivery.view.js';
import { webhookHealthView } from './webhook-health.view.js';

const catalog = new EventCatalog();
catalog.register('runledger', ledgerEvents);

const secondOf = (position: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, position)).toISOString();

function storedAs({ type, data }: WebhookDeliveryEvent, position: number): StoredEvent {
  const { tenant, deliveryId } = data;
  const metadata = { at: secondOf(position), schemaVersion: 1, tenant, correlationId: 'c' };
  const stream = `runledger.delivery-${deliveryId}`;
  const texts = { data: JSON.stringify(data), metadata: JSON.stringify(metadata) };
  return { id: `e${position}`, type, stream, revision: position, position, hash: '', ...texts };
}

const KINDS = ['requested', 'succeeded', 'failed', 'abandoned'] as const;
type Step = readonly [delivery: string, kind: (typeof KINDS)[number]];

/** A log in which this became of deliveries, one event per second. */
function logOf(...steps: readonly Step[]): StoredEvent[] {
  return steps.map(([deliveryId, kind], index) => {
    const position = index + 1;
    const scope = { system: 'runledger', tenant: 'acme', endpoint: `we_${deliveryId.charAt(0)}` } as const;
    const delivery = { ...scope, deliveryId, round: 0, source: null };
    const sentAt = secondOf(position);
    const made = { ...delivery, attempt: 1, url: 'https://a.example/', sentAt, durationMs: 1, response: 'r' };
    const failure = { ...made, status: null, error: 'no', failingSince: secondOf(0) };
    const events: Record<(typeof KINDS)[number], WebhookDeliveryEvent> = {
      requested: { type: 'webhook_delivery.requested', data: delivery },
      succeeded: { type: 'webhook_delivery.succeeded', data: { ...made, status: 200 } },
      failed: { type: 'webhook_delivery.failed', data: { ...failure, retryAt: secondOf(position + 5) } },
      abandoned: { type: 'webhook_delivery.abandoned', data: failure },
    };
    return storedAs(events[kind], position);
  });
}

const anyLog = fc
  .array(fc.tuple(fc.constantFrom('a1', 'a2', 'b1'), fc.constantFrom(...KINDS)), { maxLength: 60 })
  .map((steps) => logOf(...steps));
const delivery = (...steps: readonly Step[]): WebhookDeliveryDoc | undefined =>
  fold(webhookDeliveryView, catalog, logOf(...steps))['a1'] as WebhookDeliveryDoc | undefined;

describe.each([webhookDeliveryView, webhookHealthView])('the view $name', (view) => {
  it('is the same however often any part of the log is delivered again', () =>
    fc.assert(
      fc.property(anyLog, fc.nat(), (log, cut) => {
        const again = new Fold(view, catalog).take(log.slice(0, cut % (log.length + 1))).take(log);
        expect(again.docs).toEqual(fold(view, catalog, log));
      }),
    ));

  it('has in its documents what it is searched by, as a store gives it back', () =>
    fc.assert(
      fc.property(anyLog, (log) => {
        const docs = fold(view, catalog, log);
        expect(JSON.parse(JSON.stringify(docs))).toEqual(docs);
        for (const doc of Object.values(docs))
          for (const { fields } of view.indexes) for (const field of fields) expect(doc).toHaveProperty(field);
      }),
    ));
});

describe('a delivery', () => {
  it.each([
    ['requested', { status: 'requested', attempts: [], retryAt: null }],
    ['failed', { status: 'retrying', retryAt: secondOf(6), attempts: [{ status: null, error: 'no' }] }],
    ['succeeded', { status: 'delivered', retryAt: null, attempts: [{ status: 200, error: null }] }],
    ['abandoned', { status: 'dead', retryAt: null, attempts: [{ status: null, error: 'no' }] }],
  ] as const)('that was %s says so', (kind, doc) => {
    expect(delivery(['a1', kind])).toMatchObject(doc);
  });

  it('keeps where it began, and its newest attempts', () => {
    const steps = Array.from({ length: 30 }, (): Step => ['a1', 'failed']);
    const doc = delivery(['a2', 'failed'], ...steps, ['a1', 'requested']);
    expect(doc).toMatchObject({ began: 2, createdAt: secondOf(2), updatedAt: secondOf(32), status: 'requested' });
    expect(doc?.attempts).toHaveLength(KEPT_ATTEMPTS);
    expect(doc?.attempts.at(-1)?.sentAt).toBe(secondOf(31));
  });
});

describe('the health of an endpoint', () => {
  it('counts what became of its deliveries, and since when nothing arrives', () => {
    const steps: Step[] = [
      ['a1', 'failed'],
      ['a2', 'succeeded'],
      ['b1', 'abandoned'],
      ['a1', 'requested'],
      ['a1', 'failed'],
    ];
    expect(fold(webhookHealthView, catalog, logOf(...steps))).toEqual({
      we_a: {
        endpoint: 'we_a',
        delivered: 1,
        failedAttempts: 2,
        abandoned: 0,
        lastSuccessAt: secondOf(2),
        lastFailureAt: secondOf(5),
        failingSince: secondOf(0),
      },
      we_b: expect.objectContaining({ delivered: 0, failedAttempts: 1, abandoned: 1 }),
    });
  });
});
