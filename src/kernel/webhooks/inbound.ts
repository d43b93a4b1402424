import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { Refused } from '../errors.js';
import { currentContext, inContext } from '../request-context.js';
import { deliveryId } from './sender.js';
import { webhookKey } from './signature.js';

/** A request of somebody who says that something has happened. Nothing of it is true before it was verified. */
export interface InboundRequest {
  /** By their names in lower case, as Node gives them. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** The body as it came: parsed and written again it is another one. */
  readonly body: string | Uint8Array;
}

export interface InboundDelivery {
  /** The sender's name of it, the same in each attempt. */
  readonly id: string;
  /** When this attempt was made, by the sender's clock: ms since 1970, of whole seconds. */
  readonly sentAtMs: number;
}

/** How far the sender's clock may be off, and a delivery under way: what Standard Webhooks recommends. */
export const TOLERANCE_MS = 5 * 60_000;

/** The last digit holds two bits that are nothing: zeros, or the same signature would have four spellings. */
const SHA256_BASE64 = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;
const SHA256_HEX = /^sha256=([0-9a-f]{64})$/;
const SECONDS = /^(0|[1-9]\d{0,11})$/;
/** Visible characters but the dot: it separates the parts that are signed, so one in an id could stand for another cut. */
const ID = /^[\x21-\x2d\x2f-\x7e]{1,256}$/;

/**
 * Verifies a delivery that is signed after Standard Webhooks: what `signWebhook` makes.
 *
 * @param secrets All that are good at present, several while one is being replaced; forms as for `webhookKey`.
 * @param nowMs This clock, in ms since 1970.
 * @param toleranceMs How far the delivery's time may be from it, either way. @default five minutes
 * @throws Refused `unauthorized` with the reason; the delivery must have no effect then.
 * @throws RangeError without a secret, or for an empty one: such a receiver would have to believe everybody.
 */
export function verifyWebhook(
  { headers, body }: InboundRequest,
  secrets: readonly string[],
  nowMs: number,
  toleranceMs: number = TOLERANCE_MS,
): InboundDelivery {
  const keys = someOf(secrets).map(webhookKey);
  const id = required(headers, 'webhook-id');
  const seconds = required(headers, 'webhook-timestamp');
  const signatures = required(headers, 'webhook-signature').split(' ');
  if (!ID.test(id)) throw notGenuine('webhook-id has a dot or a sign that is not visible, or is too long');
  if (!SECONDS.test(seconds)) throw notGenuine('webhook-timestamp is no whole number of seconds');
  const sentAtMs = Number(seconds) * 1_000;
  if (sentAtMs < nowMs - toleranceMs) throw notGenuine('It was signed too long ago');
  if (sentAtMs > nowMs + toleranceMs) throw notGenuine('It was signed in the future');
  const given = signatures.flatMap((signature) => {
    const [version, base64 = '', ...rest] = signature.split(',');
    const isOurs = version === 'v1' && rest.length === 0 && SHA256_BASE64.test(base64);
    return isOurs ? [Buffer.from(base64, 'base64')] : [];
  });
  const expected = keys.map((key) => createHmac('sha256', key).update(`${id}.${seconds}.`).update(body).digest());
  if (!anyEqual(given, expected)) throw notGenuine('No signature matches');
  return { id, sentAtMs };
}

/**
 * Verifies a body that is signed by a header `sha256=<HMAC-SHA256 in lower-case hex>`, as GitHub does.
 *
 * Only the body is signed, and neither its time nor its id: who has seen one can send it again under another id. What
 * it asks for must do no harm when it is asked for twice.
 *
 * @param header Its name in lower case.
 * @param secrets All that are good at present; their UTF-8 bytes are the keys.
 * @throws Refused `unauthorized` with the reason.
 * @throws RangeError without a secret, or for an empty one.
 */
export function verifyHexSignature(
  { headers, body }: InboundRequest,
  header: string,
  secrets: readonly string[],
): void {
  const keys = someOf(secrets);
  const [, hex] = SHA256_HEX.exec(required(headers, header)) ?? [];
  if (hex === undefined) throw notGenuine(`${header} is not sha256= and 64 hexadecimal digits in lower case`);
  const expected = keys.map((key) => createHmac('sha256', key).update(body).digest());
  if (!anyEqual([Buffer.from(hex, 'hex')], expected)) throw notGenuine('No signature matches');
}

/**
 * Verifies a secret that is sent along as it is, as GitLab does. Use it over TLS alone.
 *
 * @param header Its name in lower case.
 * @throws Refused `unauthorized` with the reason.
 * @throws RangeError without a secret, or for an empty one.
 */
export function verifyToken({ headers }: InboundRequest, header: string, secrets: readonly string[]): void {
  // Digests are of one length, whatever was sent.
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const expected = someOf(secrets).map(digest);
  if (!anyEqual([digest(required(headers, header))], expected)) throw notGenuine(`${header} does not match`);
}

/**
 * Carries out what a verified delivery asks for, so that a second one changes nothing, in whatever process and after
 * any time: a stream that has events of the delivery takes no more for it. What is ignored at first, and must stay so,
 * needs an event that says so.
 *
 * @param source Who delivers: ids are unique for one sender only. Such as `github acme/site`.
 */
export function asDelivery<Result>(source: string, id: string, work: () => Promise<Result>): Promise<Result> {
  return inContext({ ...currentContext(), commandId: deliveryId(`from ${source}`, id) }, work);
}

/** Looks at all of them, so that the time it takes says nothing of which one is how much alike. */
function anyEqual(given: readonly Buffer[], expected: readonly Buffer[]): boolean {
  let equal = false;
  for (const one of given) for (const other of expected) if (timingSafeEqual(one, other)) equal = true;
  return equal;
}

function someOf(secrets: readonly string[]): readonly string[] {
  if (secrets.length === 0 || secrets.includes(''))
    throw new RangeError('Webhooks cannot be verified without a secret');
  return secrets;
}

function required(headers: InboundRequest['headers'], name: string): string {
  const value = headers[name];
  if (typeof value !== 'string' || value === '') throw notGenuine(`${name} is missing`);
  return value;
}

function notGenuine(reason: string): Refused {
  return new Refused('unauthorized', reason);
}
