import { LRUCache } from 'lru-cache';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { setImmediate as nextTick } from 'node:timers/promises';
import { Conflict } from '../../kernel/errors.js';
import { assertAppendable } from '../../kernel/sealed-events.js';
import {
  EventLog,
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
import type { StoreWriter } from './writer.js';

export const eventsSchema = `
  CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    revision INTEGER NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    metadata TEXT NOT NULL,
    hash TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS events_by_stream ON events (stream, revision);
`;

const COLUMNS = 'position, stream, revision, id, type, data, metadata, hash';
const RECENT_EVENTS = 4_096;
const RECENT_CHARACTERS = 16_000_000;
const KNOWN_ENDS = 10_000;

/** Events in a table; appended by the writer thread, read on the caller's. Positions are dense here, elsewhere not. */
export class SqliteEventLog extends EventLog {
  private readonly forwards: StatementSync;
  private readonly backwards: StatementSync;
  private readonly allForwards: StatementSync;
  private readonly allBackwards: StatementSync;
  private newest: Position;
  /** The newest events, in order and without a gap: live subscribers need not read them from the file again. */
  private readonly recent: StoredEvent[] = [];
  private recentCharacters = 0;
  /** Where streams end that were written to last: nobody else writes, so there is nothing after that to look for. */
  private readonly ends = new LRUCache<string, number>({ max: KNOWN_ENDS });
  private readonly sleepers = new Set<() => void>();

  constructor(
    private readonly writer: StoreWriter,
    reader: DatabaseSync,
  ) {
    super();
    const { head } = reader.prepare('SELECT max(position) AS head FROM events').get() as { head: Position | null };
    this.newest = head ?? START;
    this.forwards = reader.prepare(
      `SELECT ${COLUMNS} FROM events WHERE stream = ? AND revision >= ? ORDER BY revision LIMIT ?`,
    );
    this.backwards = reader.prepare(
      `SELECT ${COLUMNS} FROM events WHERE stream = ? AND revision <= ? ORDER BY revision DESC LIMIT ?`,
    );
    this.allForwards = reader.prepare(`SELECT ${COLUMNS} FROM events WHERE position > ? ORDER BY position LIMIT ?`);
    this.allBackwards = reader.prepare(
      `SELECT ${COLUMNS} FROM events WHERE position < ? ORDER BY position DESC LIMIT ?`,
    );
  }

  override async append(stream: string, expected: ExpectedRevision, events: readonly SealedEvent[]): Promise<Appended> {
    assertAppendable(stream, events);
    const result = await this.writer.append({
      kind: 'append',
      stream,
      expected: expected === 'none' ? -1 : expected,
      events: events.map(({ id, type, data, metadata, hash }) => [id, type, data, metadata, hash]),
    });
    // Of an append whose answer was lost only its repetition, or a conflict, tells where the stream ends.
    if ('actual' in result || result.repeated) this.ends.delete(stream);
    if ('actual' in result) throw new Conflict(stream, expected, result.actual < 0 ? 'none' : result.actual);
    if (!result.repeated) this.remember(stream, result, events);
    return { revision: result.revision, position: result.position };
  }

  override async readStream(stream: string, options: ReadStreamOptions = {}): Promise<readonly StoredEvent[]> {
    const { backwards = false, limit = 1_000 } = options;
    const from = options.from ?? (backwards ? Number.MAX_SAFE_INTEGER : 0);
    if (!backwards && from > (this.ends.get(stream) ?? Infinity)) return [];
    return (backwards ? this.backwards : this.forwards).all(stream, from, limit) as unknown as StoredEvent[];
  }

  override async readAll(from: Position, options: ReadAllOptions = {}): Promise<readonly StoredEvent[]> {
    const { backwards = false, limit = 1_000 } = options;
    if (backwards) {
      return this.allBackwards.all(Math.min(from, Number.MAX_SAFE_INTEGER), limit) as unknown as StoredEvent[];
    }
    return this.recentAfter(from, limit) ?? (this.allForwards.all(from, limit) as unknown as StoredEvent[]);
  }

  override async head(): Promise<Position> {
    return this.newest;
  }

  override async *subscribe(
    after: Position,
    { signal, batchSize = 1_000 }: SubscribeOptions,
  ): AsyncGenerator<readonly StoredEvent[]> {
    let position = after;
    while (!signal.aborted) {
      const batch = await this.readAll(position, { limit: batchSize });
      const last = batch.at(-1);
      if (!last) {
        if (position >= this.newest) await this.nextAppend(signal);
        continue;
      }
      yield batch;
      position = last.position;
      // Reading the file is synchronous: give the loop a turn between batches of a long catch-up.
      if (batch.length === batchSize) await nextTick();
    }
  }

  /** The store closes its connections itself, and as a whole: what is closed last leaves one file behind, not three. */
  override async close(): Promise<void> {}

  private remember(stream: string, { revision, position }: Appended, events: readonly SealedEvent[]): void {
    const firstRevision = revision - events.length + 1;
    const firstPosition = position - events.length + 1;
    // Answers come in commit order, so this is where the last ones ended, unless a group's answer was lost with it.
    if (firstPosition !== this.newest + 1) {
      this.recent.length = 0;
      this.recentCharacters = 0;
    }
    for (const [index, event] of events.entries()) {
      const { id, type, data, metadata, hash } = event;
      this.recentCharacters += data.length + metadata.length;
      this.recent.push({
        position: firstPosition + index,
        stream,
        revision: firstRevision + index,
        id,
        type,
        data,
        metadata,
        hash,
      });
    }
    this.newest = position;
    this.ends.set(stream, revision);
    this.forgetOldest();
    for (const wake of this.sleepers) wake();
  }

  private nextAppend(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.sleepers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.sleepers.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  /** Drops the older half when there is too much, so that the cost is spread over many appends. */
  private forgetOldest(): void {
    if (this.recent.length <= RECENT_EVENTS && this.recentCharacters <= RECENT_CHARACTERS) return;
    for (const event of this.recent.splice(0, Math.ceil(this.recent.length / 2))) {
      this.recentCharacters -= event.data.length + event.metadata.length;
    }
  }

  private recentAfter(position: Position, limit: number): StoredEvent[] | undefined {
    const first = this.recent[0];
    if (!first) return position >= this.newest ? [] : undefined;
    if (position < first.position - 1) return undefined;
    const start = position - first.position + 1;
    return this.recent.slice(start, start + limit);
  }
}
