import { createHmac } from 'node:crypto';

/** What Standard Webhooks adds to a request; the signature is absent when there is no secret. */
export interface WebhookHeaders {
  readonly 'webhook-id': string;
  /** Seconds since 1970. */
  readonly 'webhook-timestamp': string;
  /** One `v1,<base64>` per secret, separated by spaces: a receiver accepts any one of them. */
  readonly 'webhook-signature'?: string;
}

/**
 * Signs a delivery as Standard Webhooks says: HMAC-SHA256 over `<id>.<seconds>.<body>`.
 *
 * @param id Names the message; the same in each attempt, so that the receiver can tell repeats.
 * @param sentAtMs Time of this attempt, in ms since 1970. Receivers refuse what is more than five minutes off.
 * @param body Exactly the bytes that are sent.
 * @param secrets Newest first; two while a secret is being replaced; none leaves the delivery unsigned.
 * @throws RangeError for an empty secret.
 */
export function signWebhook(
  id: string,
  sentAtMs: number,
  body: string | Uint8Array,
  secrets: readonly string[],
): WebhookHeaders {
  const seconds = String(Math.floor(sentAtMs / 1_000));
  const headers = { 'webhook-id': id, 'webhook-timestamp': seconds };
  if (secrets.length === 0) return headers;
  const signatures = secrets.map((secret) => {
    const digest = createHmac('sha256', webhookKey(secret)).update(`${id}.${seconds}.`).update(body).digest('base64');
    return `v1,${digest}`;
  });
  return { ...headers, 'webhook-signature': signatures.join(' ') };
}

/**
 * The key that a secret stands for. Padded base64, with or without the prefix `whsec_`, is decoded; any other text is
 * used whole, as its UTF-8 bytes.
 *
 * @throws RangeError when it is empty.
 */
export function webhookKey(secret: string): Buffer {
  const encoded = secret.startsWith('whsec_') ? secret.slice('whsec_'.length) : secret;
  if (encoded === '') throw new RangeError('A webhook secret is empty');
  const isBase64 = encoded.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(encoded);
  return isBase64 ? Buffer.from(encoded, 'base64') : Buffer.from(secret, 'utf8');
}
