import { z } from 'zod';
import { defineEvent, type EventOf } from '../define-event.js';

/** `tenant` is the endpoint's: only events of that tenant are told to it. */
const scope = z.object({ system: z.literal('runledger'), tenant: z.string(), endpoint: z.string() });

/** Which events are told: exact types, or beginnings such as `run.*`; of all systems where `systems` is null. */
const filter = z.object({
  url: z.string(),
  description: z.string(),
  types: z.array(z.string()).min(1),
  systems: z.array(z.string()).min(1).nullable(),
});

/** Secrets are encrypted: events stay for ever, and are read by many. */
const sealedSecret = z.string();

/** An endpoint was set up. It is told what lies after the position `after`. */
export const webhookEndpointCreated = defineEvent('webhook_endpoint.created', {
  version: 1,
  data: scope.extend({ ...filter.shape, secret: sealedSecret, after: z.number().int().min(0) }),
});

/** Address or filter are from now on these. */
export const webhookEndpointUpdated = defineEvent('webhook_endpoint.updated', {
  version: 1,
  data: scope.extend(filter.shape),
});

/** A new secret signs; those before it sign beside it until `formerUntil` (ISO 8601 UTC). */
export const webhookEndpointSecretRotated = defineEvent('webhook_endpoint.secret_rotated', {
  version: 1,
  data: scope.extend({ secret: sealedSecret, formerUntil: z.string() }),
});

/** Nothing is sent until it is enabled: an operator said so, the receiver answered 410, or it failed for days. */
export const webhookEndpointDisabled = defineEvent('webhook_endpoint.disabled', {
  version: 1,
  data: scope.extend({ reason: z.enum(['operator', 'gone', 'failing']) }),
});

/** It goes on where it stopped; with `after` from there, if that is further. */
export const webhookEndpointEnabled = defineEvent('webhook_endpoint.enabled', {
  version: 1,
  data: scope.extend({ after: z.number().int().min(0).nullable() }),
});

export const webhookEndpointDeleted = defineEvent('webhook_endpoint.deleted', { version: 1, data: scope });

export const webhookEndpointEvents = [
  webhookEndpointCreated,
  webhookEndpointUpdated,
  webhookEndpointSecretRotated,
  webhookEndpointDisabled,
  webhookEndpointEnabled,
  webhookEndpointDeleted,
] as const;
export type WebhookEndpointEvent = EventOf<(typeof webhookEndpointEvents)[number]>;

/** The event that is told. */
const source = z.object({
  id: z.string(),
  type: z.string(),
  system: z.string(),
  stream: z.string(),
  revision: z.number().int().min(0),
  position: z.number().int(),
  /** The run that it is about; null where it is about none. */
  runId: z.string().nullable(),
});

const delivery = scope.extend({
  /** The same in every attempt, also when it is asked for again: `webhook-id` of the request. */
  deliveryId: z.string(),
  /** How often it was asked for again. */
  round: z.number().int().min(0),
  /** Null for a test. */
  source: source.nullable(),
});

const attempt = delivery.extend({
  /** Attempts of this round so far, this one included. */
  attempt: z.number().int().min(1),
  url: z.string(),
  /** When the request was signed and sent: ISO 8601 UTC. */
  sentAt: z.string(),
  /** Null when there was no answer. */
  status: z.number().int().nullable(),
  durationMs: z.number().min(0),
  /** The start of the answer's body: 1 KiB at most. */
  response: z.string(),
});

const failure = attempt.extend({
  error: z.string(),
  /** Since when this endpoint has answered nothing with 2xx: ISO 8601 UTC. */
  failingSince: z.string(),
});

/** Somebody asked for a delivery again, or for a test. Its attempts are counted anew. */
export const webhookDeliveryRequested = defineEvent('webhook_delivery.requested', { version: 1, data: delivery });

/** The receiver answered 2xx: the delivery is over. */
export const webhookDeliverySucceeded = defineEvent('webhook_delivery.succeeded', { version: 1, data: attempt });

/** An attempt failed, and another follows at `retryAt`. */
export const webhookDeliveryFailed = defineEvent('webhook_delivery.failed', {
  version: 1,
  data: failure.extend({ retryAt: z.string() }),
});

/** The last attempt failed: a dead letter, until somebody asks for it again. */
export const webhookDeliveryAbandoned = defineEvent('webhook_delivery.abandoned', { version: 1, data: failure });

export const webhookDeliveryEvents = [
  webhookDeliveryRequested,
  webhookDeliverySucceeded,
  webhookDeliveryFailed,
  webhookDeliveryAbandoned,
] as const;
export type WebhookDeliveryEvent = EventOf<(typeof webhookDeliveryEvents)[number]>;
export type WebhookSource = z.infer<typeof source>;
