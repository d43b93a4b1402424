import { errors } from 'undici';

/** A request to the outside that brought no complete answer in time. */
export class OutboundFailed extends Error {
  override readonly name: string = 'OutboundFailed';
  constructor(
    /** Short text for the record. Holds no header, body or path of the request. */
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(reason, options);
  }
}

/** The host is not at a public address; nothing was connected to. Trying again does not help by itself. */
export class BlockedAddress extends OutboundFailed {
  override readonly name = 'BlockedAddress';
  constructor(
    readonly host: string,
    /** Name of the address range, such as `loopback` or `private`. */
    readonly range: string,
  ) {
    super(`Blocked address: ${host} (${range})`);
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'host not found',
  EAI_AGAIN: 'host lookup failed',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection reset',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'connection timed out',
  UND_ERR_CONNECT_TIMEOUT: 'connection timed out',
  UND_ERR_SOCKET: 'connection closed',
  UND_ERR_DESTROYED: 'client closed',
  UND_ERR_CLOSED: 'client closed',
  UND_ERR_INVALID_ARG: 'invalid request',
  HTTP_PARSER: 'malformed response',
  UND_ERR_HEADERS_OVERFLOW: 'response headers too large',
};

/** Names a failure by its code alone: messages of the layers below may quote what was sent or received. */
export function outboundFailure(error: unknown): OutboundFailed {
  if (error instanceof OutboundFailed) return error;
  // undici's parser errors mostly have no code.
  const code = error instanceof errors.HTTPParserError ? 'HTTP_PARSER' : codeOf(error);
  const reason = REASONS[code] ?? (code === '' ? 'connection failed' : `connection failed (${code})`);
  return new OutboundFailed(reason, { cause: error });
}

/** When every address of a host fails, Node gives one error that holds the errors of all. */
function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  if ('code' in error && typeof error.code === 'string') return /^[A-Z0-9_]{1,64}$/.test(error.code) ? error.code : '';
  return 'errors' in error && Array.isArray(error.errors) ? codeOf(error.errors[0]) : '';
}
