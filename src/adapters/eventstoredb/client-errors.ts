import { Unavailable } from '../../kernel/errors.js';

/** What the client's errors have in common; some have no `type`, some no `code`. */
interface ClientError {
  readonly type?: unknown;
  readonly code?: unknown;
  readonly message: string;
}

/** gRPC's numbers for what passes by itself: cancelled, deadline exceeded, aborted, internal (a broken stream), unavailable. */
const TRANSIENT_CODES: ReadonlySet<unknown> = new Set([1, 4, 10, 13, 14]);
const TRANSIENT_TYPES: ReadonlySet<unknown> = new Set([
  'unavailable',
  'cancelled',
  'deadline-exceeded',
  'timeout',
  'not-leader',
]);
/** Node's own, from connections that the client makes beside gRPC. */
const TRANSIENT_TEXT = /Server Is (Not Ready|Busy)|Failed to discover|ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN/i;

export function typeOf(error: unknown): unknown {
  return (error as Partial<ClientError> | undefined)?.type;
}

/**
 * Whether the same call may succeed a little later. After an append its outcome is then unknown: it is repeated with the
 * same ids, which the server recognises.
 *
 * The client's classes do not tell: which one it makes depends on the call and on the moment.
 */
export function isTransient(error: unknown): boolean {
  if (error instanceof Unavailable) return true;
  if (!(error instanceof Error)) return false;
  const { type, code, message } = error as ClientError;
  return TRANSIENT_TYPES.has(type) || TRANSIENT_CODES.has(code) || TRANSIENT_TEXT.test(message);
}

/** Whether the server refused a place to read from: no record begins there, so it belongs to another log. */
export function isNoPlace(error: unknown): boolean {
  const code = (error as Partial<ClientError> | undefined)?.code;
  return typeOf(error) === 'unknown' && (code === 2 || code === 3);
}
