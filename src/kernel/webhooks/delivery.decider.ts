import type { WebhookEvent } from '../../../contracts/webhook.events.js';
import type { Decider } from '../decider.js';

/** Deliveries of one lane that are over. */
export interface LaneState {
  readonly settled: ReadonlySet<string>;
}

/** Records the outcome of an attempt, unless the delivery is over already. */
export const deliveryDecider: Decider<LaneState, WebhookEvent, WebhookEvent> = {
  initial: { settled: new Set() },

  decide: (outcome, state) => (state.settled.has(outcome.data.deliveryId) ? [] : [outcome]),

  evolve(state, event) {
    switch (event.type) {
      case 'webhook.attempt_failed':
        return state;
      case 'webhook.delivered':
      case 'webhook.abandoned':
        return { settled: new Set([...state.settled, event.data.deliveryId]) };
    }
  },
};
