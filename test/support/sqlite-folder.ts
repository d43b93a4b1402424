import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SqliteStore } from '../../src/adapters/sqlite/sqlite-store.js';
import { TestClock } from './test-clock.js';

/** An embedded store in a temporary folder of its own. */
export class SqliteFolder {
  private constructor(
    private readonly folder: string,
    readonly clock: TestClock,
    private current: SqliteStore,
  ) {}

  static async open(): Promise<SqliteFolder> {
    const folder = await mkdtemp(join(tmpdir(), 'runledger-sqlite-'));
    const clock = new TestClock();
    return new SqliteFolder(folder, clock, await SqliteStore.open({ folder, clock }));
  }

  get store(): SqliteStore {
    return this.current;
  }

  async reopen(): Promise<SqliteStore> {
    await this.current.close();
    this.current = await SqliteStore.open({ folder: this.folder, clock: this.clock });
    return this.current;
  }

  /** Runs a statement on a connection of its own, behind the store's back, where views and jobs are. */
  tamper(sql: string): void {
    const database = new DatabaseSync(join(this.folder, 'views.db'), { timeout: 5_000 });
    database.exec(sql);
    database.close();
  }

  async close(): Promise<void> {
    await this.current.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
