import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { InvalidSettings } from '../../kernel/errors.js';
import type { Clock } from '../../kernel/ports/clock.js';
import { START } from '../../kernel/ports/event-log.js';
import { eventsSchema, SqliteEventLog } from './sqlite-event-log.js';
import { SqliteViewStore } from './sqlite-view-store.js';
import { jobsSchema, SqliteWorkQueue } from './sqlite-work-queue.js';
import { readOnlyWriter, Writer, type WriterHooks } from './writer.js';

/**
 * The embedded store: log, views and queue in one file, `<folder>/runledger.db`. One process at a time.
 *
 * Writes go to one writer thread; reads are made on the calling thread, on a connection of its own.
 */
export class SqliteStore {
  private closing: Promise<void> | undefined;

  private constructor(
    readonly log: SqliteEventLog,
    readonly views: SqliteViewStore,
    readonly queue: SqliteWorkQueue,
    private readonly shutDown: () => Promise<void>,
  ) {}

  /** @throws InvalidSettings when another process has the folder open. */
  static async open(options: { folder: string; clock: Clock; hooks?: WriterHooks | undefined }): Promise<SqliteStore> {
    const { folder, clock, hooks } = options;
    mkdirSync(folder, { recursive: true });
    const lock = takeLock(join(folder, 'runledger.lock'), folder);
    const path = join(folder, 'runledger.db');
    const { writer, head } = await Writer.start(path, eventsSchema + jobsSchema, hooks);
    const reader = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
    reader.exec('PRAGMA cache_size = -16384');
    const log = new SqliteEventLog(writer, reader, head);
    return new SqliteStore(
      log,
      new SqliteViewStore(writer, reader),
      new SqliteWorkQueue(writer, reader, clock),
      async () => {
        reader.close();
        await writer.close();
        lock.close();
      },
    );
  }

  /**
   * Opens what is there for reading, also while another process writes it: the log as far as it is now. Writes are
   * refused.
   *
   * @throws InvalidSettings when there is no store in the folder.
   */
  static openForReading({ folder, clock }: { folder: string; clock: Clock }): SqliteStore {
    const path = join(folder, 'runledger.db');
    if (!existsSync(path)) {
      throw new InvalidSettings(
        `There is no ledger in ${folder}: name its data folder, or the server that has it open`,
      );
    }
    const reader = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
    const { head } = reader.prepare('SELECT max(position) AS head FROM events').get() as { head: number | null };
    return new SqliteStore(
      new SqliteEventLog(readOnlyWriter, reader, head ?? START),
      new SqliteViewStore(readOnlyWriter, reader),
      new SqliteWorkQueue(readOnlyWriter, reader, clock),
      async () => reader.close(),
    );
  }

  /** Lets everything that was asked for finish, then closes. May be called more than once. */
  close(): Promise<void> {
    return (this.closing ??= this.shutDown());
  }
}

/** A lock that the operating system gives back when the process ends, however it ends. */
function takeLock(path: string, folder: string): DatabaseSync {
  const lock = new DatabaseSync(path, { timeout: 0 });
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (cause) {
    lock.close();
    throw new InvalidSettings(
      `The data folder ${folder} is in use by another process: stop it, or set RUNLEDGER_DATA_DIR`,
      { cause },
    );
  }
  return lock;
}
