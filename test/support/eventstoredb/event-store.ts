import { randomUUID } from 'node:crypto';
import { RecordFile, type LoggedEvent, type ProposedEvent } from './record-file.js';

export type Expected = bigint | 'no_stream' | 'any' | 'stream_exists';
export type Actual = number | 'no_stream';

export type Outcome =
  | { readonly kind: 'stored'; readonly revision: number | undefined; readonly position: number | undefined }
  | { readonly kind: 'wrong_version'; readonly actual: Actual }
  | { readonly kind: 'deleted' }
  | { readonly kind: 'timeout' };

/** `$tb` of a stream that was soft-deleted, and the revision of the event that ends a tombstoned one. */
export const NEVER = 9_223_372_036_854_775_807n;

interface Stream {
  /** All that was ever appended, by revision. */
  readonly events: LoggedEvent[];
  /** The last event of each id. */
  readonly byId: Map<string, LoggedEvent>;
  tombstoned: boolean;
}

interface Limits {
  readonly $tb?: number;
  readonly $maxCount?: number;
  readonly $maxAge?: number;
}

/** What the store does differently from version to version, or when it is under pressure. */
export interface StoreHabits {
  /** A copy of an append that is still being written is answered by a timeout, and not by what becomes of the first. */
  readonly copiesInFlightTimeOut: boolean;
}

/**
 * What EventStoreDB keeps and decides: streams, expected revisions, idempotency by event id, deletion, positions.
 * Knows nothing of the wire.
 */
export class EventStore {
  /** Everything durable that no scavenge took away, in log order. */
  readonly log: LoggedEvent[] = [];
  private readonly places = new Set<number>();
  private readonly streams = new Map<string, Stream>();
  private readonly scavenged = new Set<number>();
  private readonly listeners = new Set<(events: readonly LoggedEvent[]) => void>();
  private unpublished: LoggedEvent[] = [];
  private file!: RecordFile;
  private readonly habits: StoreHabits;

  private constructor(habits: StoreHabits) {
    this.habits = habits;
  }

  static async open(path: string, habits: StoreHabits): Promise<EventStore> {
    const store = new EventStore(habits);
    store.file = await RecordFile.open(
      path,
      (event) => {
        store.index(event);
        store.log.push(event);
      },
      (positions) => store.forget(positions),
    );
    if (store.log.length === 0) {
      const retention = Buffer.from('{"$maxAge":2592000}');
      await store.append('$$$scavenges', 'no_stream', [metadataEvent(retention)]);
    }
    return store;
  }

  /** Behind the last byte that is durable. */
  get end(): number {
    return this.file.end;
  }

  /** Decides at once, in the order of the calls; answers when the decision is on the disk. */
  async append(stream: string, expected: Expected, events: readonly ProposedEvent[]): Promise<Outcome> {
    const outcome = this.decide(stream, expected, events);
    await this.flush();
    return outcome;
  }

  /** Soft delete: what was there is hidden, and revisions go on from where they were. */
  async delete(stream: string, expected: Expected): Promise<Outcome> {
    const refused = this.refuseDeletion(stream, expected);
    if (refused) return refused;
    if (this.lastRevision(stream) === undefined && expected !== 'stream_exists') {
      return { kind: 'wrong_version', actual: 'no_stream' };
    }
    const end = this.cut(stream, NEVER);
    await this.flush();
    return { kind: 'stored', revision: undefined, position: end?.position };
  }

  /** Hard delete: the name is unusable from now on. */
  async tombstone(stream: string, expected: Expected): Promise<Outcome> {
    const refused = this.refuseDeletion(stream, expected);
    if (refused) return refused;
    const [end] = this.add(stream, [{ ...metadataEvent(Buffer.from('{}')), type: '$streamDeleted' }]);
    this.stream(stream).tombstoned = true;
    await this.flush();
    return { kind: 'stored', revision: undefined, position: end?.position };
  }

  exists(stream: string): boolean {
    return this.lastRevision(stream) !== undefined && !this.isSoftDeleted(stream);
  }

  isTombstoned(stream: string): boolean {
    return this.streams.get(stream)?.tombstoned === true;
  }

  /** What a reader of the stream may see, in revision order. */
  readable(stream: string): LoggedEvent[] {
    const events = this.streams.get(stream)?.events ?? [];
    const { $tb = 0, $maxCount = Infinity, $maxAge = Infinity } = this.limits(stream);
    const oldest = Date.now() - $maxAge * 1_000;
    const first = Math.max($tb, stream.startsWith('$$') ? events.length - 1 : 0, events.length - $maxCount);
    const durable = this.unpublished[0]?.position ?? Infinity;
    return events.filter(
      ({ position, revision, created }) =>
        revision >= first && position < durable && created >= oldest && !this.scavenged.has(position),
    );
  }

  /** Index in `log` of the first event at or behind a position. */
  indexOf(position: number): number {
    let [low, high] = [0, this.log.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.log[middle] as LoggedEvent).position < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Whether a record begins there, or began there before a scavenge. */
  isPlace(position: number): boolean {
    return this.places.has(position);
  }

  /** Tells of every append as soon as it is durable. @returns how to stop it. */
  onAppended(listener: (events: readonly LoggedEvent[]) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Takes what is cut or deleted out of `$all`; of a soft-deleted stream its last event stays. */
  async scavenge(): Promise<void> {
    const gone = this.log.filter(({ stream, revision, position }) => {
      const last = this.lastRevision(stream) ?? 0;
      return revision < last && !this.readable(stream).some((event) => event.position === position);
    });
    const positions = gone.map(({ position }) => position);
    this.forget(positions);
    this.file.note({ scavenged: positions });
    await this.flush();
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  private decide(stream: string, expected: Expected, events: readonly ProposedEvent[]): Outcome {
    if (this.isTombstoned(stream)) return { kind: 'deleted' };
    const last = this.lastRevision(stream);
    const hidden = this.isSoftDeleted(stream);
    const wrong: Outcome = { kind: 'wrong_version', actual: last ?? 'no_stream' };
    if (expected === 'stream_exists') {
      if (hidden) return { kind: 'deleted' };
      if (last === undefined && this.lastRevision(`$$${stream}`) === undefined) return wrong;
    }
    const repeated = this.repeated(stream, expected, events);
    if (repeated === 'mixed') return wrong;
    if (repeated) return this.knownOutcome(stream, repeated);
    if (typeof expected === 'bigint' && expected !== BigInt(last ?? -1)) return wrong;
    if (expected === 'no_stream' && last !== undefined && !hidden) return wrong;
    const end = events.length > 0 ? this.add(stream, events).at(-1) : undefined;
    if (!end) return { kind: 'stored', revision: last, position: this.file.note({}) };
    if (hidden) this.cut(stream, BigInt((last ?? -1) + 1));
    return { kind: 'stored', revision: end.revision, position: end.position };
  }

  /** The last event of an append that is in the stream already; `mixed` when only a part of it is. */
  private repeated(
    stream: string,
    expected: Expected,
    events: readonly ProposedEvent[],
  ): LoggedEvent | 'mixed' | undefined {
    const { events: stored, byId } = this.stream(stream);
    const [first, last] = [events[0], events.at(-1)];
    if (!first || !last) return undefined;
    if (expected === 'any' || expected === 'stream_exists') {
      // Only what begins with a known id can be a repeat: new ids first, and everything is written.
      if (!byId.has(first.id)) return undefined;
      return events.every(({ id }) => byId.has(id)) ? byId.get(last.id) : 'mixed';
    }
    const before = expected === 'no_stream' ? -1 : Number(expected);
    if (before === stored.length - 1) return byId.has(first.id) ? 'mixed' : undefined;
    const isRepeat = events.every(({ id }, index) => stored[before + 1 + index]?.id === id);
    return isRepeat ? stored[before + events.length] : undefined;
  }

  private knownOutcome(stream: string, { revision, position }: LoggedEvent): Outcome {
    const inFlight = this.unpublished.some((event) => event.position === position);
    if (inFlight && this.habits.copiesInFlightTimeOut) return { kind: 'timeout' };
    const hidden = revision < (this.limits(stream).$tb ?? 0);
    return { kind: 'stored', revision, position: hidden ? undefined : position };
  }

  private refuseDeletion(stream: string, expected: Expected): Outcome | undefined {
    if (this.isTombstoned(stream)) return { kind: 'deleted' };
    const last = this.lastRevision(stream);
    const asExpected =
      expected === 'any' ||
      expected === (last === undefined ? 'no_stream' : 'stream_exists') ||
      expected === BigInt(last ?? -1);
    return asExpected ? undefined : { kind: 'wrong_version', actual: last ?? 'no_stream' };
  }

  /** Hides what lies before a revision, by the stream's metadata. */
  private cut(stream: string, before: bigint): LoggedEvent | undefined {
    return this.add(`$$${stream}`, [metadataEvent(Buffer.from(`{"$tb":${before}}`))])[0];
  }

  private add(stream: string, events: readonly ProposedEvent[]): LoggedEvent[] {
    const added = this.file.add(stream, (this.lastRevision(stream) ?? -1) + 1, events, Date.now());
    for (const event of added) this.index(event);
    this.unpublished.push(...added);
    return added;
  }

  private async flush(): Promise<void> {
    const durable = await this.file.flush();
    const published = this.unpublished.filter(({ position }) => position < durable);
    if (published.length === 0) return;
    this.unpublished = this.unpublished.slice(published.length);
    this.log.push(...published);
    for (const listener of this.listeners) listener(published);
  }

  private index(event: LoggedEvent): void {
    const stream = this.stream(event.stream);
    stream.events.push(event);
    stream.byId.set(event.id, event);
    stream.tombstoned = event.type === '$streamDeleted';
    this.places.add(event.position);
  }

  private forget(positions: readonly number[]): void {
    for (const position of positions) this.scavenged.add(position);
    const kept = this.log.filter(({ position }) => !this.scavenged.has(position));
    this.log.splice(0, Infinity, ...kept);
  }

  private stream(name: string): Stream {
    const stream = this.streams.get(name) ?? { events: [], byId: new Map(), tombstoned: false };
    this.streams.set(name, stream);
    return stream;
  }

  private lastRevision(stream: string): number | undefined {
    return this.streams.get(stream)?.events.at(-1)?.revision;
  }

  private isSoftDeleted(stream: string): boolean {
    return this.limits(stream).$tb === Number(NEVER);
  }

  private limits(stream: string): Limits {
    const last = this.streams.get(`$$${stream}`)?.events.at(-1);
    return last ? (JSON.parse(last.data.toString()) as Limits) : {};
  }
}

function metadataEvent(data: Buffer): ProposedEvent {
  return {
    id: randomUUID(),
    type: '$metadata',
    contentType: 'application/json',
    metadata: Buffer.alloc(0),
    data,
  };
}
