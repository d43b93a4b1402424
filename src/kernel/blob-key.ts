import { InvalidKey } from './errors.js';

export const MAX_KEY_BYTES = 900;
export const MAX_SEGMENT_BYTES = 255;

/**
 * Refuses a key that is not well formed: slash-separated segments of 1 to 255 bytes, 900 bytes in all, without dot
 * segments, backslashes, control characters or a leading drive letter.
 *
 * What only becomes one of these after percent-decoding or Unicode normalisation (`%2e%2e`, `%252f`, a full-width dot)
 * is refused too. No store of ours would follow it, but a proxy or a client on the way may decode once more.
 *
 * @throws InvalidKey naming the rule. The message holds no part of the key.
 */
export function assertBlobKey(key: string): void {
  if (!key.isWellFormed()) throw new InvalidKey('A blob key is not well-formed text');
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) throw new InvalidKey(`A blob key exceeds ${MAX_KEY_BYTES} bytes`);
  const segments = key.split('/');
  for (const segment of segments) {
    if (segment === '') throw new InvalidKey('A blob key has an empty segment');
    if (Buffer.byteLength(segment) > MAX_SEGMENT_BYTES) {
      throw new InvalidKey(`A segment of a blob key exceeds ${MAX_SEGMENT_BYTES} bytes`);
    }
    for (const spelling of spellings(segment)) assertPlainSegment(spelling);
  }
  if (/^[A-Za-z]:/.test(segments[0] ?? '')) throw new InvalidKey('A blob key begins with a drive letter');
}

/** Whether a key is well formed; see `assertBlobKey`. */
export function isBlobKey(key: string): boolean {
  try {
    assertBlobKey(key);
    return true;
  } catch (error) {
    if (error instanceof InvalidKey) return false;
    throw error;
  }
}

function assertPlainSegment(segment: string): void {
  if (segment === '.' || segment === '..') throw new InvalidKey('A blob key has a dot segment');
  if (/[/\\]/.test(segment)) throw new InvalidKey('A blob key has a backslash or an encoded slash');
  if (/\p{Cc}/u.test(segment)) throw new InvalidKey('A blob key has a control character');
}

/** The segment as it stands, and as it reads after each further round of decoding, until nothing changes any more. */
function spellings(segment: string): readonly string[] {
  const found: string[] = [];
  let next = segment;
  while (!found.includes(next)) {
    found.push(next, next.normalize('NFKC'));
    next = decodePercents(next.normalize('NFKC'));
  }
  return found;
}

/** Decodes whatever looks encoded; a lone `%` is a legal character of a file name. */
function decodePercents(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (run) => Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'));
}
