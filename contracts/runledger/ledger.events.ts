import { z } from 'zod';
import { defineEvent, type EventOf } from '../define-event.js';
import { projectionEvents } from './projection.events.js';
import { workEvents } from './work.events.js';
import { webhookDeliveryEvents, webhookEndpointEvents } from './webhook.events.js';

const scope = z.object({ system: z.literal('runledger'), tenant: z.literal('runledger') });

/**
 * The heads of all streams that moved since the checkpoint before were signed, and the order of all events so far.
 * `signature` is Ed25519 in base64 over the canonical JSON of the other fields; `previous` is the hash of the checkpoint
 * event before, or 64 zeros.
 */
export const checkpointSigned = defineEvent('checkpoint.signed', {
  version: 1,
  data: scope.extend({
    /** The newest event that is covered. */
    position: z.number().int(),
    /** How many events are covered, counted from the first of the log. */
    events: z.number().int().min(1),
    /** SHA-256 in hex over 64 zeros and the first event's hash, then over that and the second's, and so on to the last. */
    order: z.string(),
    heads: z.array(z.object({ stream: z.string(), revision: z.number().int(), hash: z.string() })),
    previous: z.string(),
    /** SPKI of the public key, DER in base64. */
    publicKey: z.string(),
    signature: z.string(),
  }),
});

export const checkpointEvents = [checkpointSigned] as const;
export type CheckpointEvent = EventOf<(typeof checkpointEvents)[number]>;

/** A request with an Idempotency-Key was taken on. `fingerprint` is a hash of its method, path and body. */
export const requestAccepted = defineEvent('request.accepted', {
  version: 1,
  data: scope.extend({ fingerprint: z.string(), commandId: z.string() }),
});

/** It was answered. `answer` holds status, headers and body, encrypted: an answer may contain a secret. */
export const requestAnswered = defineEvent('request.answered', {
  version: 1,
  data: scope.extend({ commandId: z.string(), answer: z.string() }),
});

export const requestEvents = [requestAccepted, requestAnswered] as const;
export type RequestEvent = EventOf<(typeof requestEvents)[number]>;

export const ledgerEvents = [
  ...checkpointEvents,
  ...requestEvents,
  ...projectionEvents,
  ...workEvents,
  ...webhookEndpointEvents,
  ...webhookDeliveryEvents,
] as const;
