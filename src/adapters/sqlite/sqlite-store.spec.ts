import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sealedEvent } from '../../../test/support/sealed-event.js';
import { TestClock } from '../../../test/support/test-clock.js';
import { SqliteStore } from './sqlite-store.js';

const VIEW = 'sample.view';
const SHAPE = { indexes: [{ fields: ['n'] }], arrays: ['tags'] };
const DOCUMENTS = [
  { key: 'a', position: 1, doc: { n: 1, tags: ['red', 'blue'] } },
  { key: 'b', position: 2, doc: { n: 2, tags: ['red'] } },
];
const LEASE = { kinds: ['sample.work'], worker: 'w', leaseMs: 1_000 };

describe('SqliteStore', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runledger-sqlite-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const open = (path = folder): Promise<SqliteStore> => SqliteStore.open({ folder: path, clock: new TestClock() });

  async function fill(): Promise<void> {
    const store = await open();
    await store.log.append('sample.stream', 'none', [sealedEvent(), sealedEvent()]);
    await store.views.prepare(VIEW, SHAPE);
    await store.views.write([{ collection: VIEW, documents: DOCUMENTS }]);
    await store.queue.put([1, 2].map((n) => ({ id: `j${n}`, kind: 'sample.work', group: 'g', payload: { n } })));
    await store.queue.lease(LEASE);
    await store.close();
  }

  /** Makes the folder one of the time when events, views and jobs lay in one file. */
  async function intoOneFile(): Promise<void> {
    const database = new DatabaseSync(join(folder, 'runledger.db'));
    database.prepare('ATTACH ? AS derived').run(join(folder, 'views.db'));
    const sql =
      "SELECT type, name, sql FROM derived.sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type = 'trigger'";
    const found = database.prepare(sql).all() as { type: string; name: string; sql: string }[];
    const tables = found.filter(({ type }) => type === 'table').map(({ name }) => `"${name}"`);
    for (const each of found) if (each.type === 'table') database.exec(each.sql);
    for (const table of tables) database.exec(`INSERT INTO main.${table} SELECT * FROM derived.${table}`);
    for (const each of found) if (each.type !== 'table') database.exec(each.sql);
    database.close();
    await rm(join(folder, 'views.db'));
  }

  async function expectAll(store: SqliteStore): Promise<void> {
    expect(await store.log.head()).toBe(2);
    expect(await store.views.load(VIEW, ['a', 'b'])).toEqual(DOCUMENTS);
    const red = await store.views.find(VIEW, { where: { tags: 'red', n: 2 } });
    expect(red.documents.map(({ key }) => key)).toEqual(['b']);
    expect(await store.queue.stats()).toMatchObject([{ kind: 'sample.work', waiting: 1, leased: 1 }]);
  }

  it('moves views and jobs of a folder that has all in one file, and goes on from there', async () => {
    await fill();
    await intoOneFile();
    const reading = SqliteStore.openForReading({ folder, clock: new TestClock() });
    expect(await reading.views.load(VIEW, ['a', 'b'])).toEqual(DOCUMENTS);
    await reading.close();
    for (let start = 1; start <= 2; start++) {
      const store = await open();
      await expectAll(store);
      await store.close();
    }
    const store = await open();
    await store.views.write([
      { collection: VIEW, documents: [{ key: 'a', position: 9, doc: { n: 9, tags: ['red'] } }] },
    ]);
    expect(await store.views.count(VIEW, { tags: 'blue' })).toBe(0);
    expect(await store.queue.abandon('w')).toBe(1);
    expect((await store.queue.lease({ ...LEASE, limit: 2 })).map(({ job, attempt }) => [job.id, attempt])).toEqual([
      ['j1', 2],
      ['j2', 1],
    ]);
    await store.close();
  });

  it('moves again what was interrupted between the two files', async () => {
    await fill();
    await intoOneFile();
    const before = join(folder, 'before.db');
    await cp(join(folder, 'runledger.db'), before);
    await (await open()).close();
    // Of the two commits only the first has come to the disk.
    await cp(before, join(folder, 'runledger.db'));
    const store = await open();
    await expectAll(store);
    await store.close();
    const file = new DatabaseSync(join(folder, 'runledger.db'), { readOnly: true });
    const tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    expect(file.prepare(tables).all()).toEqual([{ name: 'events' }]);
    file.close();
  });

  it('says of a damaged file of views that it may be removed', async () => {
    await fill();
    await writeFile(join(folder, 'views.db'), 'no database, but longer than the header of one would be'.repeat(20));
    await expect(open()).rejects.toThrow('views.db is damaged: remove it');
    await rm(join(folder, 'views.db'));
    const store = await open();
    expect([await store.log.head(), await store.views.collections()]).toEqual([2, []]);
    await store.close();
  });
});
