import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { InvalidSettings } from '../../kernel/errors.js';

/** Everything but the events, in an order in which it can be made again. */
const DERIVED = `SELECT type, name, sql FROM old.sqlite_master
  WHERE tbl_name <> 'events' AND name NOT LIKE 'sqlite_%' ORDER BY type = 'trigger', type = 'index'`;

/**
 * Views, cursors and jobs once lay in the file of the events: moves them to one of their own. Whatever is interrupted
 * begins again at the next start, and nobody has used what there is of the new file by then.
 *
 * @throws InvalidSettings when the new file is damaged.
 */
export function moveDerived(eventsPath: string, derivedPath: string): void {
  if (!existsSync(eventsPath)) return;
  const database = new DatabaseSync(derivedPath, { timeout: 5_000 });
  try {
    openSound(database, derivedPath);
    database.prepare('ATTACH ? AS old').run(eventsPath);
    const found = database.prepare(DERIVED).all() as { type: string; name: string; sql: string }[];
    if (found.length === 0) return;
    const tables = found.filter(({ type }) => type === 'table').map(({ name }) => `"${name.replaceAll('"', '""')}"`);
    // Each file commits by itself: nothing is dropped from the one before it is on the disk in the other.
    database.exec('BEGIN IMMEDIATE');
    for (const table of tables) database.exec(`DROP TABLE IF EXISTS main.${table}`);
    for (const { type, sql } of found) if (type === 'table') database.exec(sql);
    for (const table of tables) database.exec(`INSERT INTO main.${table} SELECT * FROM old.${table}`);
    for (const { type, sql } of found) if (type !== 'table') database.exec(sql);
    database.exec('COMMIT; BEGIN IMMEDIATE');
    for (const table of tables) database.exec(`DROP TABLE old.${table}`);
    database.exec('COMMIT');
  } finally {
    database.close();
  }
}

/** SQLITE_CORRUPT and SQLITE_NOTADB. */
const DAMAGED = [11, 26];

function openSound(database: DatabaseSync, path: string): void {
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; SELECT count(*) FROM sqlite_master');
  } catch (cause) {
    if (!DAMAGED.includes(((cause as { errcode?: number }).errcode ?? 0) & 0xff)) throw cause;
    const advice = 'remove it, with -wal and -shm beside it: the next start makes it again from the log';
    throw new InvalidSettings(`${path} is damaged: ${advice}`, { cause });
  }
}
