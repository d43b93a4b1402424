import { createHmac, timingSafeEqual } from 'node:crypto';
import { assertBlobKey, isBlobKey } from './blob-key.js';
import type { Clock } from './ports/clock.js';

export type PresignedMethod = 'GET' | 'PUT';

/** The right to do one thing with one key until a time. */
export interface PresignedGrant {
  readonly method: PresignedMethod;
  readonly key: string;
  /** ms since 1970; the right ends with it. */
  readonly expiresMs: number;
}

/** Where the service serves presigned URLs. */
export const BLOB_PATH = '/ledger/blobs/';

/** HMAC-SHA256 in hex over method, expiry and key. None of the parts can hold the line feed that divides them. */
export function signPresigned(signingKey: Buffer, { method, key, expiresMs }: PresignedGrant): string {
  return createHmac('sha256', signingKey).update(`${method}\n${expiresMs}\n${key}`).digest('hex');
}

/**
 * Checks a signature in constant time. Expiry counts only where the signature is right, so that a forger learns nothing.
 *
 * @param nowMs ms since 1970.
 */
export function verifyPresigned(
  signingKey: Buffer,
  grant: PresignedGrant,
  signature: string,
  nowMs: number,
): 'ok' | 'invalid' | 'expired' {
  if (!/^[0-9a-f]{64}$/.test(signature)) return 'invalid';
  const right = timingSafeEqual(Buffer.from(signature), Buffer.from(signPresigned(signingKey, grant)));
  if (!right) return 'invalid';
  return nowMs < grant.expiresMs ? 'ok' : 'expired';
}

export type PresignedVerdict =
  { readonly result: 'ok' | 'expired'; readonly key: string } | { readonly result: 'invalid' };

export interface PresignedUrlsOptions {
  /** Origin that clients reach the service at, with the path of a proxy if it has one: `https://host/prefix`. */
  readonly publicUrl: string;
  /** Secret of at least 32 bytes. Another key makes all URLs given out before invalid. */
  readonly signingKey: Buffer;
  readonly clock: Clock;
  /** Begins and ends with a slash. @default '/ledger/blobs/' */
  readonly path?: string;
}

/** Makes and checks URLs of the form `<publicUrl><path><key>?method=GET&expires=<epoch ms>&signature=<hex>`. */
export class PresignedUrls {
  /** What comes before the key in the path of a request. */
  readonly path: string;
  private readonly origin: string;
  private readonly signingKey: Buffer;
  private readonly clock: Clock;

  constructor(options: PresignedUrlsOptions) {
    this.path = options.path ?? BLOB_PATH;
    this.origin = options.publicUrl.replace(/\/+$/, '');
    this.signingKey = options.signingKey;
    this.clock = options.clock;
  }

  /**
   * @param expiresInMs A whole number, at least 1,000.
   * @throws InvalidKey
   * @throws RangeError for another time.
   */
  sign(method: PresignedMethod, key: string, expiresInMs: number): string {
    assertBlobKey(key);
    if (!Number.isSafeInteger(expiresInMs) || expiresInMs < 1_000) {
      throw new RangeError('A presigned URL lasts at least 1,000 ms');
    }
    const expiresMs = this.clock.now() + expiresInMs;
    const signature = signPresigned(this.signingKey, { method, key, expiresMs });
    const path = key.split('/').map(encodeURIComponent).join('/');
    return `${this.origin}${this.path}${path}?method=${method}&expires=${expiresMs}&signature=${signature}`;
  }

  /**
   * Checks a request. A URL for one method is invalid for any other.
   *
   * @param method Method of the request.
   * @param target Path and query of the request, as they came over the wire: whoever normalises or decodes them first
   *   changes the key.
   */
  verify(method: string, target: string): PresignedVerdict {
    const [path, query] = split(target, '?');
    const key = path.startsWith(this.path) ? decodeKey(path.slice(this.path.length)) : undefined;
    const { method: granted, expires, signature } = singles(new URLSearchParams(query));
    const wellFormed = granted === method && /^[1-9]\d{0,14}$/.test(expires ?? '');
    if (key === undefined || !wellFormed || (granted !== 'GET' && granted !== 'PUT')) return { result: 'invalid' };
    const grant = { method: granted, key, expiresMs: Number(expires) } as const;
    const result = verifyPresigned(this.signingKey, grant, signature ?? '', this.clock.now());
    return result === 'invalid' ? { result } : { result, key };
  }
}

function split(text: string, mark: string): [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}

function decodeKey(path: string): string | undefined {
  try {
    const key = path.split('/').map(decodeURIComponent).join('/');
    return isBlobKey(key) ? key : undefined;
  } catch {
    return undefined; // not percent-encoded text
  }
}

/** Parameters that occur exactly once: of two signatures, nobody can say which one counts. */
function singles(parameters: URLSearchParams): Partial<Record<string, string>> {
  const names = [...new Set(parameters.keys())];
  const once = names.filter((name) => parameters.getAll(name).length === 1);
  return Object.fromEntries(once.map((name) => [name, parameters.get(name) ?? '']));
}
