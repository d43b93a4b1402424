import { createHash } from 'node:crypto';

/** Leaves room for what stands before and after an id: a stream's name has at most 500 characters. */
const MAX_ENCODED = 400;

/**
 * An id as part of a stream's name, whatever it holds: `encodeURIComponent`, but it never throws (a lone surrogate
 * becomes U+FFFD), and what becomes too long is replaced by its digest: 128 characters may take 1,152 when escaped.
 */
export function streamPart(id: string): string {
  const encoded = encodeURIComponent(id.toWellFormed());
  if (encoded.length <= MAX_ENCODED) return encoded;
  // No other id begins so: `%` is followed by hexadecimal digits wherever it was made by escaping.
  return `%sha256-${createHash('sha256').update(encoded).digest('hex')}`;
}
