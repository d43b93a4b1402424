import type { WebhookDeliveryEvent, WebhookSource } from '../../../contracts/runledger/webhook.events.js';
import type { Decider } from '../../kernel/decider.js';

export const DELIVERY_PREFIX = 'runledger.delivery-';

export const deliveryStream = (deliveryId: string): string => `${DELIVERY_PREFIX}${deliveryId}`;

export type AttemptEvent = Exclude<WebhookDeliveryEvent, { type: 'webhook_delivery.requested' }>;

/** One delivery: how far its present round is. */
export interface DeliveryState {
  readonly round: number;
  /** Of this round. */
  readonly attempts: number;
  readonly settled: boolean;
  /** ISO 8601 UTC; null when the next attempt need not wait. */
  readonly retryAt: string | null;
}

export type DeliveryCommand =
  | { readonly type: 'record'; readonly outcome: AttemptEvent }
  | {
      readonly type: 'request';
      readonly deliveryId: string;
      readonly tenant: string;
      readonly endpoint: string;
      /** Null for a test. */
      readonly source: WebhookSource | null;
    };

export const deliveryDecider: Decider<DeliveryState, DeliveryCommand, WebhookDeliveryEvent> = {
  initial: { round: 0, attempts: 0, settled: false, retryAt: null },

  decide(command, state) {
    if (command.type === 'record') {
      const { round, attempt } = command.outcome.data;
      // Of two processes that made the same attempt, or one of a round that is over, one is enough.
      const isStale = round !== state.round || state.settled || attempt <= state.attempts;
      return isStale ? [] : [command.outcome];
    }
    const { deliveryId, tenant, endpoint, source } = command;
    // What was asked for and not tried yet need not be asked for again.
    if (state.round > 0 && state.attempts === 0) return [];
    const data = { system: 'runledger', tenant, endpoint, deliveryId, round: state.round + 1, source } as const;
    return [{ type: 'webhook_delivery.requested', data }];
  },

  evolve(state, event) {
    switch (event.type) {
      case 'webhook_delivery.requested':
        return { round: event.data.round, attempts: 0, settled: false, retryAt: null };
      case 'webhook_delivery.failed':
        return { ...state, attempts: event.data.attempt, retryAt: event.data.retryAt };
      case 'webhook_delivery.succeeded':
      case 'webhook_delivery.abandoned':
        return { ...state, attempts: event.data.attempt, settled: true, retryAt: null };
    }
  },
};
