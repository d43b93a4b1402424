import { hash } from 'node:crypto';
import type { SealedEvent } from './ports/event-log.js';

/** Stands before the first event of every stream. */
export const CHAIN_START = '0'.repeat(64);

type Hashed = Omit<SealedEvent, 'hash'>;

/**
 * The hash that closes the chain over an event: SHA-256 in hex over the hash before, a line feed, and the canonical
 * JSON of `{data, id, metadata, revision, stream, type}`. `data` and `metadata` are canonical texts already.
 */
export function chainHash(previous: string, stream: string, revision: number, event: Hashed): string {
  const { data, id, metadata, type } = event;
  return hash(
    'sha256',
    `${previous}\n{"data":${data},"id":"${id}","metadata":${metadata},"revision":${revision},"stream":${JSON.stringify(stream)},"type":${JSON.stringify(type)}}`,
  );
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const SEAM = '","metadata":';

/**
 * Whether an event's hash closes the chain over this event, and over nothing that only reads alike: what is hashed is one
 * text, and whoever moves its end of `data` into `id` has not changed it. The id is a UUID, and where the seam between id
 * and metadata could be taken to be elsewhere, data and metadata must be objects by themselves.
 */
export function closesChain(previous: string, stream: string, revision: number, event: SealedEvent): boolean {
  const { id, data, metadata, hash: own } = event;
  if (!UUID.test(id) || chainHash(previous, stream, revision, event) !== own) return false;
  if (!data.includes(SEAM) && !metadata.includes(SEAM)) return true;
  return isObject(data) && isObject(metadata);
}

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    // Part of an object is none.
    return false;
  }
}

/** What stands for the order of a log after one more event: it tells two events of different streams apart, too. */
export function orderHash(previous: string, event: Pick<SealedEvent, 'hash'>): string {
  return hash('sha256', `${previous}${event.hash}`);
}
