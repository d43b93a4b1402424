import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { InvalidSettings } from '../../kernel/errors.js';
import type { Clock } from '../../kernel/ports/clock.js';
import { moveDerived } from './one-file-folder.js';
import { eventsSchema, SqliteEventLog } from './sqlite-event-log.js';
import { SqliteViewStore } from './sqlite-view-store.js';
import { jobsSchema, SqliteWorkQueue } from './sqlite-work-queue.js';
import { readOnlyWriter, Writer, type WriterHooks } from './writer.js';

/**
 * The embedded store: one folder, one process at a time. `runledger.db` holds the log; `views.db` holds what is derived
 * from it: views, cursors and jobs.
 *
 * Writes go to one writer thread per file, so that no append waits for a view. Only events wait for the disk: views and
 * jobs may lag behind the log after a power loss, never run ahead of it, and are folded and compared again at the start.
 * Reads are made on the calling thread, on connections of their own.
 */
export class SqliteStore {
  private closing: Promise<void> | undefined;

  private constructor(
    readonly log: SqliteEventLog,
    readonly views: SqliteViewStore,
    readonly queue: SqliteWorkQueue,
    private readonly shutDown: () => Promise<void>,
  ) {}

  /** @throws InvalidSettings when another process has the folder open, or `views.db` is damaged. */
  static async open(options: { folder: string; clock: Clock; hooks?: WriterHooks | undefined }): Promise<SqliteStore> {
    const { folder, clock, hooks } = options;
    mkdirSync(folder, { recursive: true });
    const lock = takeLock(join(folder, 'runledger.lock'), folder);
    const [events, derived] = pathsIn(folder);
    try {
      moveDerived(events, derived);
      const [writer, deriver] = await Promise.all([
        Writer.start({ path: events, schema: eventsSchema, synchronous: 'FULL', cacheKib: 4_096 }, hooks),
        Writer.start({ path: derived, schema: jobsSchema, synchronous: 'NORMAL', cacheKib: 16_384 }, hooks),
      ]);
      const [reader, viewReader] = [openReader(events), openReader(derived)];
      return new SqliteStore(
        new SqliteEventLog(writer, reader),
        new SqliteViewStore(deriver, viewReader),
        new SqliteWorkQueue(deriver, viewReader, clock),
        async () => {
          reader.close();
          viewReader.close();
          await Promise.all([writer.close(), deriver.close()]);
          lock.close();
        },
      );
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /**
   * Opens what is there for reading, also while another process writes it: the log as far as it is now. Writes are
   * refused.
   *
   * @throws InvalidSettings when there is no store in the folder.
   */
  static openForReading({ folder, clock }: { folder: string; clock: Clock }): SqliteStore {
    const [events, derived] = pathsIn(folder);
    if (!existsSync(events)) {
      throw new InvalidSettings(
        `There is no ledger in ${folder}: name its data folder, or the server that has it open`,
      );
    }
    const reader = openReader(events);
    // A folder that was last used when all was in one file is moved by the next start.
    const viewReader = openReader(existsSync(derived) ? derived : events);
    return new SqliteStore(
      new SqliteEventLog(readOnlyWriter, reader),
      new SqliteViewStore(readOnlyWriter, viewReader),
      new SqliteWorkQueue(readOnlyWriter, viewReader, clock),
      async () => {
        reader.close();
        viewReader.close();
      },
    );
  }

  /** Lets everything that was asked for finish, then closes. May be called more than once. */
  close(): Promise<void> {
    return (this.closing ??= this.shutDown());
  }
}

function pathsIn(folder: string): [events: string, derived: string] {
  return [join(folder, 'runledger.db'), join(folder, 'views.db')];
}

function openReader(path: string): DatabaseSync {
  const reader = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  reader.exec('PRAGMA cache_size = -4096');
  return reader;
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
