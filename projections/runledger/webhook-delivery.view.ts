import type { WebhookDeliveryEvent, WebhookSource } from '../../contracts/runledger/webhook.events.js';
import type { View } from '../../src/kernel/views/view.js';

/** How many attempts are kept: the newest. All of them are in the log. */
export const KEPT_ATTEMPTS = 20;

/** Asked for and not tried yet; failed, with another attempt to come; arrived; given up. */
export type DeliveryStatus = 'requested' | 'retrying' | 'delivered' | 'dead';

export interface AttemptDoc {
  readonly round: number;
  /** Its number in the round, from 1. */
  readonly attempt: number;
  readonly url: string;
  /** ISO 8601 UTC, as all times here. */
  readonly sentAt: string;
  readonly durationMs: number;
  /** Null when there was no answer. */
  readonly status: number | null;
  /** The start of the answer's body. */
  readonly response: string;
  /** Null when it arrived. */
  readonly error: string | null;
}

/** One delivery to an endpoint of `/ledger/webhooks`, from its first attempt on. */
export interface WebhookDeliveryDoc {
  readonly id: string;
  readonly endpoint: string;
  readonly tenant: string;
  readonly status: DeliveryStatus;
  /** The event it tells of; null for a test. */
  readonly source: WebhookSource | null;
  /** Where it began in the log: what lists are ordered by. */
  readonly began: number;
  readonly createdAt: string;
  readonly updatedAt: string;
  /** When the next attempt is due; null when none is. */
  readonly retryAt: string | null;
  readonly attempts: readonly AttemptDoc[];
}

export const webhookDeliveryView: View<WebhookDeliveryDoc, WebhookDeliveryEvent> = {
  name: 'runledger.webhook-delivery',
  version: 1,
  indexes: [{ fields: ['endpoint', 'began'] }, { fields: ['endpoint', 'status', 'began'] }],
  types: [
    'webhook_delivery.requested',
    'webhook_delivery.succeeded',
    'webhook_delivery.failed',
    'webhook_delivery.abandoned',
  ],
  keys: ({ event }) => [event.data.deliveryId],
  evolve(doc, { event, at, position }) {
    const { deliveryId: id, endpoint, tenant, source } = event.data;
    const before = doc ?? { id, endpoint, tenant, source, began: position, createdAt: at, attempts: [] };
    if (event.type === 'webhook_delivery.requested') {
      return { ...before, status: 'requested', retryAt: null, updatedAt: at };
    }
    const { round, attempt, url, sentAt, durationMs, status, response } = event.data;
    const error = event.type === 'webhook_delivery.succeeded' ? null : event.data.error;
    const made: AttemptDoc = { round, attempt, url, sentAt, durationMs, status, response, error };
    return {
      ...before,
      status: statusAfter[event.type],
      retryAt: event.type === 'webhook_delivery.failed' ? event.data.retryAt : null,
      updatedAt: at,
      attempts: [...before.attempts, made].slice(-KEPT_ATTEMPTS),
    };
  },
};

const statusAfter = {
  'webhook_delivery.succeeded': 'delivered',
  'webhook_delivery.failed': 'retrying',
  'webhook_delivery.abandoned': 'dead',
} as const;
