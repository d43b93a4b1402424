import { webhookDeliveryView } from '../../projections/runledger/webhook-delivery.view.js';
import { webhookHealthView } from '../../projections/runledger/webhook-health.view.js';
import { defineAggregate } from '../kernel/aggregate.js';
import type { ServiceParts } from '../kernel/registry.js';
import { DELIVERY_PREFIX, deliveryDecider } from './webhooks/delivery.decider.js';
import { endpointDecider, ENDPOINTS_STREAM } from './webhooks/endpoint.decider.js';
import { DEAD_LETTER_PREFIX, deadLetterDecider } from './work/dead-letter.decider.js';

/** What the service's own API adds to what the systems declare: it is served, replayed and rebuilt like theirs. */
export const ledgerParts: ServiceParts = {
  views: [webhookDeliveryView, webhookHealthView],
  aggregates: [
    defineAggregate({ prefix: ENDPOINTS_STREAM, decider: endpointDecider, ofRun: false }),
    defineAggregate({ prefix: DELIVERY_PREFIX, decider: deliveryDecider, ofRun: false }),
    defineAggregate({ prefix: DEAD_LETTER_PREFIX, decider: deadLetterDecider, ofRun: false }),
  ],
};
