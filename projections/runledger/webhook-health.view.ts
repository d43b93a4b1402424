import type { WebhookDeliveryEvent } from '../../contracts/runledger/webhook.events.js';
import type { View } from '../../src/kernel/views/view.js';

/** How an endpoint of `/ledger/webhooks` does. Times are ISO 8601 UTC. */
export interface WebhookHealthDoc {
  readonly endpoint: string;
  readonly delivered: number;
  /** Attempts that failed, those that were the last included. */
  readonly failedAttempts: number;
  /** Deliveries that were given up, each time anew. */
  readonly abandoned: number;
  readonly lastSuccessAt: string | null;
  readonly lastFailureAt: string | null;
  /** Since when nothing has arrived; null while the last attempt succeeded. */
  readonly failingSince: string | null;
}

export const webhookHealthView: View<WebhookHealthDoc, WebhookDeliveryEvent> = {
  name: 'runledger.webhook-health',
  version: 1,
  indexes: [],
  types: ['webhook_delivery.succeeded', 'webhook_delivery.failed', 'webhook_delivery.abandoned'],
  keys: ({ event }) => [event.data.endpoint],
  evolve(doc, { event }) {
    const { endpoint } = event.data;
    const before = doc ?? {
      endpoint,
      delivered: 0,
      failedAttempts: 0,
      abandoned: 0,
      lastSuccessAt: null,
      lastFailureAt: null,
      failingSince: null,
    };
    switch (event.type) {
      case 'webhook_delivery.succeeded':
        return {
          ...before,
          delivered: before.delivered + 1,
          lastSuccessAt: event.data.sentAt,
          failingSince: null,
        };
      case 'webhook_delivery.failed':
      case 'webhook_delivery.abandoned':
        return {
          ...before,
          failedAttempts: before.failedAttempts + 1,
          abandoned: before.abandoned + (event.type === 'webhook_delivery.abandoned' ? 1 : 0),
          lastFailureAt: event.data.sentAt,
          failingSince: event.data.failingSince,
        };
      case 'webhook_delivery.requested':
        return before;
    }
  },
};
