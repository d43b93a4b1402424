import {
  binaryEvent,
  jsonEvent,
  type AllStreamResolvedEvent,
  type EventData,
  type JSONType,
} from '@eventstore/db-client';
import { canonicalJson } from '../../kernel/canonical-json.js';
import { UnreadableEvent } from '../../kernel/errors.js';
import type { Position, SealedEvent, StoredEvent } from '../../kernel/ports/event-log.js';

type Recorded = NonNullable<AllStreamResolvedEvent['event']>;

/** What stands in the place of an event's metadata: the hash has no field of its own in EventStoreDB. */
interface Envelope {
  readonly hash: string;
  /** An object; or its text, where the object would not give the text again. */
  readonly metadata: object | string;
}

/**
 * An event as EventStoreDB keeps it: data as JSON, so that its user interface, projections and other subscribers can
 * read it, and metadata with the hash beside it.
 *
 * The client parses and writes JSON by itself. Canonical JSON comes out of that as the text that it was, once its keys
 * are in order again. Any other text goes as bytes, which the client leaves alone.
 */
export function toEventData(event: SealedEvent): EventData {
  const { id, type, hash } = event;
  const data = asCanonical(event.data);
  const metadata = asCanonical(event.metadata) ? event.metadata : JSON.stringify(event.metadata);
  const envelope = Buffer.from(`{"hash":${JSON.stringify(hash)},"metadata":${metadata}}`);
  // Both go through the client's own functions: what it takes for bytes is a bare Uint8Array, and not a Buffer.
  if (data) return jsonEvent({ id, type, data: data as JSONType, metadata: envelope });
  return binaryEvent({ id, type, data: Buffer.from(event.data), metadata: envelope });
}

/** The event that was appended; undefined when it was not appended by this adapter, or belongs to the system. */
export function toStored(recorded: Recorded): StoredEvent | undefined {
  const { streamId, revision, id, type, data, metadata } = recorded;
  if (streamId.startsWith('$') || !isEnvelope(metadata)) return undefined;
  return {
    stream: streamId,
    revision: Number(revision),
    position: positionOf(recorded),
    id,
    type,
    data: recorded.isJson ? canonicalJson(data) : Buffer.from(data as Uint8Array).toString(),
    metadata: typeof metadata.metadata === 'string' ? metadata.metadata : canonicalJson(metadata.metadata),
    hash: metadata.hash,
  };
}

/**
 * The commit position is a byte offset in the log: 2^53 of them are more than eight petabytes.
 *
 * @throws UnreadableEvent beyond that.
 */
export function positionOf({
  streamId,
  revision,
  position,
}: Pick<Recorded, 'streamId' | 'revision' | 'position'>): Position {
  return safePosition(position.commit, `event ${revision} of ${streamId}`);
}

/** @throws UnreadableEvent beyond 2^53. */
export function safePosition(commit: bigint, where: string): Position {
  const position = Number(commit);
  if (Number.isSafeInteger(position)) return position;
  throw new UnreadableEvent(`The position ${commit} of ${where} is beyond 2^53`);
}

/** The value of a text that is canonical JSON; undefined for any other text. */
function asCanonical(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return canonicalJson(value) === text ? value : undefined;
}

function isEnvelope(metadata: unknown): metadata is Envelope {
  if (typeof metadata !== 'object' || metadata === null) return false;
  const { hash, metadata: inner } = metadata as Partial<Envelope>;
  return typeof hash === 'string' && (typeof inner === 'string' || (typeof inner === 'object' && inner !== null));
}
