/**
 * The only thread that writes to its SQLite file: one message is one transaction.
 *
 * Runs as it stands, also straight from TypeScript in tests: it imports nothing of ours but types, and uses no syntax
 * that needs more than having its types removed.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import type {
  AppendResult,
  AppendUnit,
  SqlResult,
  SqlUnit,
  SqlValue,
  UnitResult,
  WriterFile,
  WriterReply,
  WriterRequest,
} from './writer-protocol.js';

const port = parentPort;
if (!port) throw new Error('The SQLite writer runs as a worker thread only');
const { path, schema, synchronous, cacheKib } = workerData as WriterFile;

const database = new DatabaseSync(path, { timeout: 5_000 });
database.exec(
  `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -${cacheKib};`,
);
database.exec(schema);

const LAST_REVISION = 'SELECT revision FROM events WHERE stream = ? ORDER BY revision DESC LIMIT 1';
const IDS_FROM = 'SELECT id, position FROM events WHERE stream = ? AND revision > ? ORDER BY revision LIMIT ?';
const INSERT =
  'INSERT INTO events (position, stream, revision, id, type, data, metadata, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)';

const prepared = new Map<string, StatementSync>();
/** Position of the newest event; unknown before the first append, and after a group that failed. */
let head: number | undefined;

port.on('message', (request: WriterRequest) => {
  if ('close' in request) {
    database.close();
    port.close();
    return;
  }
  reply(runGroup(request.group));
});
reply({ ready: true });

function reply(message: WriterReply): void {
  port?.postMessage(message);
}

function runGroup(units: readonly (AppendUnit | SqlUnit)[]): WriterReply {
  try {
    database.exec('BEGIN IMMEDIATE');
    const results = units.map(runUnit);
    database.exec('COMMIT');
    return { results };
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    head = undefined;
    return { failed: messageOf(error) };
  }
}

function runUnit(unit: AppendUnit | SqlUnit): UnitResult {
  if (unit.kind === 'append') return { ok: append(unit) };
  try {
    return { ok: runStatements(unit) };
  } catch (error) {
    // A full or failing disk fails the whole group; a statement of its own making fails alone.
    if (!database.isTransaction || !isOwnFault(error)) throw error;
    return { error: messageOf(error) };
  }
}

function append(unit: AppendUnit): AppendResult {
  const row = prepare(LAST_REVISION).get(unit.stream) as { revision: number } | undefined;
  const actual = row?.revision ?? -1;
  if (actual !== unit.expected) return repeated(unit) ?? { actual };
  let revision = actual;
  let position = head ?? readHead();
  for (const [id, type, data, metadata, hash] of unit.events) {
    revision += 1;
    position += 1;
    prepare(INSERT).run(position, unit.stream, revision, id, type, data, metadata, hash);
  }
  head = position;
  return { revision, position, repeated: false };
}

function readHead(): number {
  const row = prepare('SELECT max(position) AS head FROM events').get() as { head: number | null };
  return row.head ?? 0;
}

/** The first answer again, when exactly these events were appended there before. */
function repeated(unit: AppendUnit): AppendResult | undefined {
  const rows = prepare(IDS_FROM).all(unit.stream, unit.expected, unit.events.length) as {
    id: string;
    position: number;
  }[];
  const last = rows.at(-1);
  if (!last || rows.length !== unit.events.length) return undefined;
  if (rows.some((row, index) => row.id !== unit.events[index]?.[0])) return undefined;
  return { revision: unit.expected + rows.length, position: last.position, repeated: true };
}

function runStatements(unit: SqlUnit): SqlResult {
  return unit.statements.map(({ sql, params }) => {
    const statement = prepare(sql);
    const returns = statement.columns().length > 0;
    const rows: Record<string, SqlValue>[] = [];
    let changes = 0;
    for (const row of params) {
      if (returns) rows.push(...(statement.all(...row) as Record<string, SqlValue>[]));
      else changes += Number(statement.run(...row).changes);
    }
    return { changes: returns ? rows.length : changes, rows };
  });
}

function prepare(sql: string): StatementSync {
  const known = prepared.get(sql);
  if (known) return known;
  const statement = database.prepare(sql);
  if (!/^\s*(CREATE|DROP|ALTER)\b/i.test(sql)) prepared.set(sql, statement);
  return statement;
}

/**
 * SQLITE_ERROR, SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH, or a value that never came as far as SQLite: the
 * statement is wrong, the store is well.
 */
function isOwnFault(error: unknown): boolean {
  const { errcode } = error as { errcode?: number };
  return errcode === undefined || [1, 18, 19, 20].includes(errcode & 0xff);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
