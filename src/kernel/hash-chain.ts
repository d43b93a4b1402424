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

/** What stands for the order of a log after one more event: it tells two events of different streams apart, too. */
export function orderHash(previous: string, event: Pick<SealedEvent, 'hash'>): string {
  return hash('sha256', `${previous}${event.hash}`);
}
