/**
 * A place in the whole log. Opaque to everyone but the adapter: comparable with `<`, strictly increasing
 * in log order, sparse (never assume `position + 1`), and a safe integer so that it travels in JSON and headers.
 */
export type Position = number;

/** Before the first event: reading or subscribing after it gives the whole log. */
export const START: Position = 0;

/** What an append expects of the stream: the revision of its last event (from 0), or that it has none. */
export type ExpectedRevision = number | 'none';

/** The most that one append may carry, in bytes of `data` summed over its events. EventStoreDB's own limit. */
export const MAX_APPEND_BYTES = 1_048_576;

/** The longest legal stream name, in characters. */
export const MAX_STREAM_NAME = 500;

/**
 * An event ready to be stored. `data` and `metadata` are canonical JSON texts of objects and `hash` closes the
 * chain over them, so an adapter stores what was hashed, and a reader can prove it.
 */
export interface SealedEvent {
  /** UUID in lower case. Names the event for idempotency within its stream. */
  readonly id: string;
  readonly type: string;
  readonly data: string;
  readonly metadata: string;
  /** SHA-256 in hex over the previous event's hash and this event. */
  readonly hash: string;
}

/** An event as the log gives it back. */
export interface StoredEvent extends SealedEvent {
  readonly stream: string;
  /** Place in its stream: 0, 1, 2 … without gaps. */
  readonly revision: number;
  readonly position: Position;
}

export interface Appended {
  /** Revision and position of the last event of the append. */
  readonly revision: number;
  readonly position: Position;
}

export interface ReadStreamOptions {
  /** First revision to give (inclusive). Default: the first event, or the last one when reading backwards. */
  readonly from?: number;
  readonly backwards?: boolean;
  /** @default 1000 */
  readonly limit?: number;
}

export interface ReadAllOptions {
  /** Gives what lies before `from` in falling order, instead of what lies after it in rising order. */
  readonly backwards?: boolean;
  /** @default 1000 */
  readonly limit?: number;
}

export interface SubscribeOptions {
  /** Ends the iteration when it fires. */
  readonly signal: AbortSignal;
  /** The most events in one batch. @default 1000 */
  readonly batchSize?: number;
}

/** A log as far as an auditor needs it. A page may be shorter than its limit; after the last event it is empty. */
export type LogReader = Pick<EventLog, 'readAll' | 'readStream' | 'head'>;

/**
 * The log of everything that happened: streams of events, and one total order over all of them.
 *
 * What is acknowledged is durable. All adapters give the same answers to `test/conformance/event-log.suite.ts`.
 */
export abstract class EventLog {
  /**
   * Appends all events to the end of `stream`, or none of them.
   *
   * Idempotent by event id: the same append sent again (same stream, expected revision and ids in order) gives the
   * first answer again and stores nothing.
   *
   * @throws Conflict when the stream is at another revision.
   * @throws InvalidEvent before anything is sent, for an id that is no UUID, an empty type or stream name, a name
   *   that begins with `$` or holds a control character or a lone surrogate, data or metadata that is no JSON object, or no event at all.
   * @throws TooLarge when the data exceeds `MAX_APPEND_BYTES`.
   * @throws Unavailable when the store cannot be reached or the outcome is unknown: append again with the same ids.
   */
  abstract append(stream: string, expected: ExpectedRevision, events: readonly SealedEvent[]): Promise<Appended>;

  /** Events of one stream in revision order; empty when there is no such stream. Page on with `from`. */
  abstract readStream(stream: string, options?: ReadStreamOptions): Promise<readonly StoredEvent[]>;

  /**
   * Events of all streams in log order, those strictly after `from`, or strictly before it when backwards.
   * Backwards from `Infinity` begins with the newest event.
   *
   * @param from `START`, or the position of an event of this log.
   * @throws Refused (`invalid`) for another position, where the store can tell.
   */
  abstract readAll(from: Position, options?: ReadAllOptions): Promise<readonly StoredEvent[]>;

  /** Position of the newest event; `START` when the log is empty. */
  abstract head(): Promise<Position>;

  /**
   * Every event after `after`, in log order, in batches, first from the store and then live, without a gap and
   * without a repeat, for as long as `signal` has not fired. Reconnects by itself. The next batch is fetched when the
   * consumer asks for it: a slow consumer holds up only itself.
   */
  abstract subscribe(after: Position, options: SubscribeOptions): AsyncIterable<readonly StoredEvent[]>;

  /** Lets running appends finish, then closes. */
  abstract close(): Promise<void>;
}
