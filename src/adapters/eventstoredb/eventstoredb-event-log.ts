import {
  BACKWARDS,
  END,
  EventStoreDBClient,
  FORWARDS,
  NO_STREAM,
  START as BEGINNING,
  streamNameFilter,
  type AllStreamRecordedEvent,
  type AllStreamResolvedEvent,
  type AppendExpectedRevision,
  type AppendResult,
  type Credentials,
  type EventData,
  type Position as ServerPosition,
  type WrongExpectedVersionError,
} from '@eventstore/db-client';
import type { Logger } from 'pino';
import {
  Conflict,
  InvalidEvent,
  InvalidSettings,
  Refused,
  TooLarge,
  Unavailable,
  UnreadableEvent,
} from '../../kernel/errors.js';
import type { Clock } from '../../kernel/ports/clock.js';
import {
  EventLog,
  MAX_APPEND_BYTES,
  START,
  type Appended,
  type ExpectedRevision,
  type Position,
  type ReadAllOptions,
  type ReadStreamOptions,
  type SealedEvent,
  type StoredEvent,
  type SubscribeOptions,
} from '../../kernel/ports/event-log.js';
import { assertAppendable } from '../../kernel/sealed-events.js';
import { isNoPlace, isTransient, typeOf } from './client-errors.js';
import { Inbox } from './inbox.js';
import { Patience, type PatienceOptions } from './patience.js';
import { positionOf, safePosition, toEventData, toStored } from './stored-form.js';

export interface EventStoreDbOptions extends PatienceOptions {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The least that one request asks of `$all`: the wanted events may lie between many of the system. */
const PAGE = 200;
const MIN_PAUSE_MS = 50;
const MAX_PAUSE_MS = 5_000;
/** The fewest events that a subscription may send ahead of its consumer. */
const MIN_INBOX = 256;
/** So much longer than the call's own deadline, which also takes the request back, is waited for its answer. */
const GRACE_MS = 250;
/** Of the leader only: a follower may not have yet what was just acknowledged. */
const LEADER = { requiresLeader: true } as const;
/** The system's streams begin with `$`. A filter by event type would let some of their events through. */
const OURS = '^[^$]';

/**
 * Events in EventStoreDB 23.10 and later, through its client. Of `$all` it sees what this adapter appended, and
 * nothing else that lives in the same database.
 *
 * Nothing is repeated, resubscribed or given up by the client; that is done here. What real servers were seen to do,
 * and the test for each, is in `test/eventstoredb/bites.spec.ts`.
 */
export class EventStoreDbEventLog extends EventLog {
  private readonly patience: Patience;
  private readonly closing = new AbortController();
  /** The end of the queue of appends to each stream that has one. */
  private readonly queues = new Map<string, Promise<void>>();
  private newest: Position = START;

  private constructor(
    private readonly client: EventStoreDBClient,
    private readonly credentials: Credentials | undefined,
    private readonly options: EventStoreDbOptions,
  ) {
    super();
    this.patience = new Patience(options.clock, options);
  }

  /**
   * Connects with the first call, not before.
   *
   * @param url Connection string, `esdb://…` or `esdb+discover://…`.
   * @throws InvalidSettings when it is none.
   */
  static connect(url: string, options: EventStoreDbOptions): EventStoreDbEventLog {
    const flat = url.toLowerCase().replaceAll(/[_-]/g, '');
    if (flat.includes('throwonappendfailure=false')) {
      throw new InvalidSettings('EVENTSTORE_URL: with throwOnAppendFailure=false the client gives wrong revisions');
    }
    try {
      const client = EventStoreDBClient.connectionString(url);
      return new EventStoreDbEventLog(client, credentialsOf(url, flat), options);
    } catch (error) {
      // The parser's message, which has a location, may quote the password.
      const why =
        error instanceof Error && !('location' in error) ? error.message : 'esdb://host:2113?tls=false is one';
      throw new InvalidSettings(`EVENTSTORE_URL is no connection string of EventStoreDB: ${why}`);
    }
  }

  override async append(stream: string, expected: ExpectedRevision, events: readonly SealedEvent[]): Promise<Appended> {
    assertAppendable(stream, events);
    for (const text of [stream, ...events.map(({ type }) => type)]) {
      // UTF-8 has no lone surrogates: two names would become one.
      if (!text.isWellFormed()) throw new InvalidEvent(`Not a name in Unicode: ${JSON.stringify(text)}`);
    }
    if (this.closing.signal.aborted) throw new Unavailable('The event log is closed');
    const limit = this.patience.limit();
    const data = events.map(toEventData);
    const result = await this.inTurn(stream, () =>
      this.patience.until(limit, 'an append', (limitMs) => this.attempt(stream, expected, data, limitMs)),
    );
    return this.checked(stream, expected, events.length, result);
  }

  override async readStream(stream: string, options: ReadStreamOptions = {}): Promise<readonly StoredEvent[]> {
    const { backwards = false, limit = 1_000 } = options;
    const from = options.from ?? (backwards ? Number.MAX_SAFE_INTEGER : 0);
    if (stream === '' || limit < 1 || (backwards && from < 0)) return [];
    const query = {
      ...LEADER,
      direction: backwards ? BACKWARDS : FORWARDS,
      fromRevision: BigInt(Math.max(0, Math.min(from, Number.MAX_SAFE_INTEGER))),
      maxCount: limit,
    } as const;
    const found = await this.reading(`reading ${stream}`, async (limitMs) => {
      try {
        return await this.patience.collect(this.client.readStream(stream, query), limitMs);
      } catch (error) {
        if (typeOf(error) === 'stream-not-found') return [];
        if (typeOf(error) === 'stream-deleted')
          throw new UnreadableEvent(`Stream ${stream} was tombstoned`, { cause: error });
        throw error;
      }
    });
    return found.map(({ event }) => {
      const stored = event && toStored(event as AllStreamRecordedEvent);
      if (stored) return stored;
      throw new UnreadableEvent(`Event ${event?.revision} of ${stream} was not appended by this service`);
    });
  }

  override async readAll(from: Position, options: ReadAllOptions = {}): Promise<readonly StoredEvent[]> {
    const { backwards = false, limit = 1_000 } = options;
    const found: StoredEvent[] = [];
    for (let at = from; found.length < limit;) {
      const size = Math.max(limit - found.length + 1, at === from ? 0 : PAGE);
      const records = await this.page(at, backwards, size);
      // Forwards, the record at the position itself comes too.
      const next = records.filter(({ position }) => backwards || position > at);
      for (const { event } of next) if (event && found.length < limit) found.push(event);
      at = records.at(-1)?.position ?? at;
      if (records.length < size) break;
    }
    return found;
  }

  override async head(): Promise<Position> {
    const known = this.newest;
    for (let [at, size] = [Infinity, 1]; ; size = PAGE) {
      const records = await this.page(at, true, size);
      const found = records.find(({ event, position }) => event || position <= known);
      if (!found && records.length === size) {
        at = records.at(-1)?.position ?? START;
        continue;
      }
      this.newest = Math.max(this.newest, found?.event?.position ?? START);
      return this.newest;
    }
  }

  override async *subscribe(
    after: Position,
    { signal, batchSize = 1_000 }: SubscribeOptions,
  ): AsyncGenerator<readonly StoredEvent[]> {
    const { clock, logger } = this.options;
    const end = AbortSignal.any([signal, this.closing.signal]);
    let position = after;
    for (let inVain = 0; !end.aborted; inVain++) {
      // The first drop after progress is ordinary: version 23.10 drops whoever falls a little behind.
      await clock.sleep(inVain < 2 ? 0 : Math.min(MIN_PAUSE_MS * 2 ** (inVain - 2), MAX_PAUSE_MS), end);
      let failure: unknown;
      let inbox: Inbox | undefined;
      try {
        const start = await unlessAborted(this.startAfter(position), end);
        if (!start) return;
        if (start.event) {
          yield [start.event];
          position = start.event.position;
        }
        inbox = this.inbox(start.from, position, Math.max(batchSize, MIN_INBOX));
        for (let batch = await inbox.take(batchSize, end); batch.length > 0; batch = await inbox.take(batchSize, end)) {
          yield batch;
          position = batch.at(-1)?.position ?? position;
          inVain = 0;
        }
        failure = inbox.failure;
        if (failure instanceof UnreadableEvent || typeOf(failure) === 'access-denied') throw failure;
      } catch (error) {
        if (!isTransient(error)) throw error;
        failure = error;
      } finally {
        inbox?.close();
      }
      if (!end.aborted) logger.info({ err: failure, position }, 'log subscription ended, subscribing again');
    }
  }

  override async close(): Promise<void> {
    this.closing.abort();
    await Promise.all(this.queues.values());
    await this.client.dispose();
  }

  /**
   * One append to a stream at a time. Of two at once at most one can succeed, and a copy of an append that is still in
   * flight is answered by a timeout, seconds later.
   */
  private async inTurn<Result>(stream: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.queues.get(stream) ?? Promise.resolve();
    const turn = before.then(work);
    const settled = turn.then(
      () => undefined,
      () => undefined,
    );
    this.queues.set(stream, settled);
    try {
      return await turn;
    } finally {
      if (this.queues.get(stream) === settled) this.queues.delete(stream);
    }
  }

  private async attempt(
    stream: string,
    expected: ExpectedRevision,
    data: EventData[],
    limitMs: number,
  ): Promise<AppendResult> {
    const expectedRevision: AppendExpectedRevision = expected === 'none' ? NO_STREAM : BigInt(expected);
    const options = {
      ...LEADER,
      expectedRevision,
      deadline: limitMs,
      ...(this.credentials ? { credentials: this.credentials } : {}),
    };
    try {
      return await this.patience.limited(this.client.appendToStream(stream, data, options), limitMs + GRACE_MS);
    } catch (error) {
      switch (typeOf(error)) {
        case 'wrong-expected-version': {
          const { actualVersion: actual } = error as WrongExpectedVersionError;
          throw new Conflict(stream, expected, typeof actual === 'bigint' ? Number(actual) : 'none');
        }
        case 'maximum-append-size-exceeded':
          throw new TooLarge('EventStoreDB takes less at once than it does by default', MAX_APPEND_BYTES);
        case 'stream-deleted':
          throw new UnreadableEvent(`Stream ${stream} was deleted for good`, { cause: error });
        default:
          throw error;
      }
    }
  }

  /** Success does not always mean stored, nor stored where the chain of hashes goes on. */
  private checked(stream: string, expected: ExpectedRevision, count: number, result: AppendResult): Appended {
    const revision = (expected === 'none' ? -1 : expected) + count;
    if (!result.success || !result.position || Number(result.nextExpectedRevision) !== revision) {
      throw new UnreadableEvent(`Stream ${stream} was deleted: what was appended to it does not follow ${expected}`);
    }
    const position = safePosition(result.position.commit, `event ${revision} of ${stream}`);
    this.newest = Math.max(this.newest, position);
    return { revision, position };
  }

  /** Records of `$all` as they lie there, with those of others: the client has no filter for reads. */
  private async page(
    from: Position,
    backwards: boolean,
    maxCount: number,
  ): Promise<{ position: Position; event: StoredEvent | undefined }[]> {
    const fromPosition = from === Infinity ? END : from <= START ? BEGINNING : placeOf(from);
    const query = { ...LEADER, direction: backwards ? BACKWARDS : FORWARDS, fromPosition, maxCount } as const;
    const found = await this.reading(`reading from ${from}`, async (limitMs) => {
      try {
        return await this.patience.collect<AllStreamResolvedEvent>(this.client.readAll(query), limitMs);
      } catch (error) {
        if (typeof fromPosition === 'object' && isNoPlace(error)) {
          throw new Refused('invalid', `${from} is no position of this log`);
        }
        throw error;
      }
    });
    return found.flatMap(({ event }) => (event ? [{ position: positionOf(event), event: toStored(event) }] : []));
  }

  private async reading<Result>(what: string, attempt: (limitMs: number) => Promise<Result>): Promise<Result> {
    if (this.closing.signal.aborted) throw new Unavailable('The event log is closed');
    return this.patience.until(this.patience.limit(), what, attempt);
  }

  /**
   * Where a subscription must begin so that it gives everything after `position`. Subscriptions that begin at a record
   * which a scavenge has taken away pass over the next one, on some versions; and those that begin behind the end of the
   * log, as after a restore, give nothing on others. Reads are right in both cases.
   *
   * @returns the event to give first, if the subscription will not.
   */
  private async startAfter(
    position: Position,
  ): Promise<{ from: ServerPosition | typeof BEGINNING; event?: StoredEvent | undefined }> {
    if (position <= START) return { from: BEGINNING };
    const [next] = await this.page(position, false, 1);
    if (next) return { from: placeOf(next.position), event: next.position > position ? next.event : undefined };
    const [last] = await this.page(Infinity, true, 1);
    return { from: last ? placeOf(last.position) : BEGINNING };
  }

  private inbox(from: ServerPosition | typeof BEGINNING, after: Position, capacity: number): Inbox {
    const filter = streamNameFilter({ regex: OURS, maxSearchWindow: 1_000 });
    return new Inbox(this.client.subscribeToAll({ ...LEADER, fromPosition: from, filter }), after, capacity);
  }
}

/** @returns undefined as soon as the signal fires; what becomes of the promise then is nobody's concern. */
async function unlessAborted<Result>(promise: Promise<Result>, signal: AbortSignal): Promise<Result | undefined> {
  const aborted = Promise.withResolvers<undefined>();
  const abort = (): void => aborted.resolve(undefined);
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function placeOf(position: Position): ServerPosition {
  return { commit: BigInt(position), prepare: BigInt(position) };
}

/**
 * Credentials in an append's options make the client send it as a call of its own. Its other way, one stream for all
 * appends, has no time limit, and shares its list of open appends with every client of the process: one error there
 * rejects them all, and an answer that comes after it ends the process. Where the connection is not secure anything
 * does; only a secure one without credentials has to go the other way.
 */
function credentialsOf(url: string, flat: string): Credentials | undefined {
  const [, username, password] = /^[^:]+:\/\/([^:@/]+):([^@]+)@/.exec(url.trim()) ?? [];
  if (username !== undefined && password !== undefined) {
    return { username: decodeURIComponent(username), password: decodeURIComponent(password) };
  }
  return flat.includes('tls=false') ? { username: 'none', password: 'none' } : undefined;
}
