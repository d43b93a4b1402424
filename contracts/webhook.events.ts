import { z } from 'zod';
import { defineEvent, type EventOf } from './define-event.js';

const delivery = z.object({
  system: z.string(),
  tenant: z.string(),
  /** The lane: what the delivery is about. */
  runId: z.string(),
  /** The same in every attempt of one delivery. */
  deliveryId: z.string(),
  endpoint: z.string(),
  /** The name under which the receiver knows what happened. */
  event: z.string(),
  /** Attempts made so far, this one included. */
  attempts: z.number().int().min(1),
  /** The receiver's HTTP status; null when it gave none. */
  status: z.number().int().nullable(),
  durationMs: z.number().min(0),
});

/** The receiver answered 2xx: the delivery is over. */
export const webhookDelivered = defineEvent('webhook.delivered', { version: 1, data: delivery });

/** An attempt failed, and another follows at `retryAt`. */
export const webhookAttemptFailed = defineEvent('webhook.attempt_failed', {
  version: 1,
  data: delivery.extend({ error: z.string(), retryAt: z.string() }),
});

/** The last attempt failed: nobody will try again by itself. */
export const webhookAbandoned = defineEvent('webhook.abandoned', {
  version: 1,
  data: delivery.extend({ error: z.string() }),
});

export const webhookEvents = [webhookDelivered, webhookAttemptFailed, webhookAbandoned] as const;
export type WebhookEvent = EventOf<(typeof webhookEvents)[number]>;
