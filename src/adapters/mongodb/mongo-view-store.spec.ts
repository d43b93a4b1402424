import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MongoClient } from 'mongodb';
import { eventually } from '../../../test/support/eventually.js';
import { openTestMongo, type TestMongo } from '../../../test/support/mongodb.js';
import { startFerretDb } from '../../../test/support/servers/ferretdb.mjs';
import type { TestServer } from '../../../test/support/servers/server-process.mjs';
import { TcpProxy } from '../../../test/support/tcp-proxy.js';
import { TooLarge, Unavailable } from '../../kernel/errors.js';
import type { CollectionShape, JsonObject, StoredDocument, ViewStore } from '../../kernel/ports/view-store.js';
import { MongoViewStore } from './mongo-view-store.js';

const shape: CollectionShape = { indexes: [{ fields: ['at', 'size'] }], arrays: ['tags'] };
const one = (key: string, position: number, doc: JsonObject | null = {}): StoredDocument => ({ key, position, doc });
const keysOf = (documents: readonly StoredDocument[]): string[] => documents.map(({ key }) => key);

describe('views in MongoDB', () => {
  let mongo: TestMongo;
  let views: MongoViewStore;
  const collection = 'sample.things.v1.1';

  beforeAll(async () => {
    mongo = await openTestMongo();
  });
  afterAll(() => mongo.close());
  beforeEach(async () => {
    views = await MongoViewStore.connect(mongo.url, { database: mongo.database });
    await views.prepare(collection, shape);
  });
  afterEach(async () => {
    await views.drop(collection);
    await views.close();
  });

  const write = (...documents: StoredDocument[]): Promise<void> => views.write([{ collection, documents }]);
  const stored = async (key: string): Promise<unknown> => (await views.load(collection, [key]))[0]?.doc;

  it('bear the names of the views, and hold their documents as JSON text with what is looked for beside it', async () => {
    await write(one('a', 7, { at: '2026', size: 1.5, tags: ['x'], more: { $a: 1 } }));
    const client = new MongoClient(mongo.url);
    try {
      const raw = await client.db(mongo.database).collection<{ _id: string }>(collection).findOne({ _id: 'a' });
      expect(raw).toMatchObject({
        state: {
          position: 7,
          live: true,
          fields: { at: '"2026', size: '!bff8000000000000' },
          arrays: { tags: ['x'] },
          doc: '{"at":"2026","size":1.5,"tags":["x"],"more":{"$a":1}}',
        },
      });
    } finally {
      await client.close();
    }
  });

  it('take documents of many megabytes, and what BSON could not hold', async () => {
    const doc = {
      '\ud800': ['\udfff'],
      nested: { 'a.b': { $set: 1, '\0': 2 } },
      text: 'ä long one '.repeat(3_000_000),
    };
    await write(one('large', 1, doc));
    const found = (await stored('large')) as typeof doc;
    expect(found['\ud800']).toEqual(['\udfff']);
    expect(found.nested).toEqual(doc.nested);
    expect(found.text === doc.text).toBe(true);
  });

  it('refuse a document above the limit of the server, and say so', async () => {
    const text = randomBytes(20_000_000).toString('base64');
    await expect(write(one('a', 1), one('huge', 1, { text }), one('z', 1))).rejects.toBeInstanceOf(TooLarge);
    expect(keysOf(await views.load(collection, ['a', 'huge', 'z']))).not.toContain('z');
  });

  it('are found in a process that never prepared them', async () => {
    const long = 'x'.repeat(5_000);
    const other = await MongoViewStore.connect(mongo.url, { database: mongo.database });
    try {
      await other.write([{ collection, documents: [one('b', 1, { at: `${long}b`, tags: ['t'] })] }]);
      await write(one('a', 1, { at: `${long}a`, tags: ['t', 'u'] }));
      expect(keysOf((await other.find(collection, { where: { tags: 't' }, orderBy: ['at'] })).documents)).toEqual([
        'a',
        'b',
      ]);
      expect(await other.count(collection, { tags: 'u' })).toBe(1);
      expect(await other.count(collection, { tags: null })).toBe(0);
    } finally {
      await other.close();
    }
  });

  it('have one order over values of every type', async () => {
    const values = [null, false, true, -2, 0, 1e300, '', '!', '10', '9'];
    await write(...values.map((at, n) => one(`k${n}`, 1, { at })));
    for (const descending of [false, true]) {
      const seen: string[] = [];
      let after: string | undefined;
      do {
        const page = await views.find(collection, { orderBy: ['at'], descending, limit: 3, ...(after && { after }) });
        seen.push(...keysOf(page.documents));
        after = page.next;
      } while (after !== undefined);
      const rising = values.map((_, n) => `k${n}`);
      expect(seen).toEqual(descending ? rising.toReversed() : rising);
    }
  });

  it.each([
    '',
    'nonsense',
    Buffer.from('["a"]').toString('base64url'),
    Buffer.from('[null,null]').toString('base64url'),
  ])('refuse the cursor %j', async (after) => {
    await expect(views.find(collection, { orderBy: ['at'], after })).rejects.toBeInstanceOf(RangeError);
  });

  it('keep the newest when several processes write the same documents', async () => {
    const others = await Promise.all([1, 2].map(() => MongoViewStore.connect(mongo.url, { database: mongo.database })));
    try {
      // Each in its own order, all for the first time: they insert the same documents.
      await Promise.all(
        [views, ...others].map((store, n) =>
          store.write([
            { collection, documents: Array.from({ length: 200 }, (_, k) => one(`k${(k * (n + 1)) % 200}`, 1)) },
          ]),
        ),
      );
      for (const [n, store] of others.entries()) {
        await store.write([{ collection, documents: [one('k1', 9 - n, { from: n })] }]);
      }
      expect(await views.count(collection)).toBe(200);
      expect(await stored('k1')).toEqual({ from: 0 });
      const newest = 'k2';
      for (let position = 10; position < 100; position += 2) {
        const versions = [position + 1, position].map((each) => one(newest, each, { each }));
        const writes = others.map((store, n) => {
          const version = versions[n] ?? one(newest, position);
          return store.write([{ collection, documents: [version, one('k3', version.position)] }]);
        });
        await Promise.all(writes);
        expect(await stored(newest)).toEqual({ each: position + 1 });
      }
    } finally {
      await Promise.all(others.map((store) => store.close()));
    }
  });
});

describe('an outage', () => {
  const collection = 'sample.outage.v1.1';
  const TIMEOUT_MS = 1_000;
  let server: TestServer;
  let views: MongoViewStore;

  beforeEach(async () => {
    server = await startFerretDb();
    views = await MongoViewStore.connect(server.url, { timeoutMs: TIMEOUT_MS });
    await views.prepare(collection, shape);
    await views.write([{ collection, documents: [one('before', 1, { at: '1', tags: ['x'] })] }]);
  });
  afterEach(async () => {
    server.thaw();
    await views.close();
    await server.close();
  });

  const everything = (store: ViewStore): Promise<unknown>[] => [
    store.prepare('sample.other.v1.1', shape),
    store.load(collection, ['before']),
    store.load(collection, ['a', 'b', 'c', 'd', 'e', 'f']),
    store.write([{ collection, documents: [one('during', 2)] }]),
    store.find(collection, { where: { tags: 'x' } }),
    store.count(collection),
    store.collections(),
    store.drop('sample.other.v1.1'),
  ];
  const refused = async (): Promise<void> => {
    const results = await Promise.allSettled(everything(views));
    expect(results.map((result) => (result.status === 'rejected' ? result.reason : 'done'))).toEqual(
      results.map(() => expect.any(Unavailable)),
    );
  };
  /** The driver finds out by itself, after a moment. */
  const healed = (store = views): Promise<unknown> =>
    eventually(() =>
      store.write([{ collection, documents: [one('after', 3)] }]).then(
        () => true,
        (error: unknown) => {
          expect(error).toBeInstanceOf(Unavailable);
          return false;
        },
      ),
    );

  it('makes every operation Unavailable, and passes when the server is back', async () => {
    await server.stop();
    await refused();
    await server.start();
    await healed();
    expect(keysOf((await views.find(collection, {})).documents)).toEqual(expect.arrayContaining(['after', 'before']));
    expect(await views.count(collection, { tags: 'x' })).toBe(1);
  });

  it('is one too when the server is frozen: every operation ends in time, and works again after it', async () => {
    server.freeze();
    await refused();
    server.thaw();
    await healed();
    expect((await views.load(collection, ['before']))[0]).toMatchObject({ position: 1 });
  });

  it('is over soon where connections break in the middle of everything', async () => {
    const proxy = await TcpProxy.open(server.port);
    const url = `mongodb://127.0.0.1:${proxy.port}/`;
    const stores = await Promise.all(
      Array.from({ length: 6 }, () => MongoViewStore.connect(url, { timeoutMs: 3_000 })),
    );
    let over = false;
    let done = 0;
    const use = async (store: MongoViewStore): Promise<void> => {
      while (!over) {
        try {
          await store.write([{ collection, documents: [one('busy', ++done)] }]);
          await Promise.all([store.load(collection, ['busy', 'before', 'x']), store.find(collection, {})]);
        } catch (error) {
          expect(error).toBeInstanceOf(Unavailable);
        }
      }
    };
    // What is asked just as a connection breaks the driver may never hear of again; its own questions, too.
    const busy = stores.flatMap((store) => Array.from({ length: 4 }, () => use(store)));
    try {
      await eventually(() => done > 500);
      for (let time = 0; time < 3; time++) {
        const before = proxy.lost;
        proxy.muteServer();
        await eventually(() => proxy.lost - before >= 3);
        proxy.cut();
        proxy.unmute();
      }
      over = true;
      for (const store of stores) await healed(store);
      await Promise.all(busy);
    } finally {
      over = true;
      await Promise.all(stores.map((store) => store.close()));
      await proxy.close();
    }
  }, 120_000);

  it('leaves no document behind one that precedes it, however the server dies', async () => {
    const documents = Array.from({ length: 4_000 }, (_, n) => one(`k${String(n).padStart(4, '0')}`, 5, { n }));
    const writing = views.write([{ collection, documents: [...documents, one('checkpoint', 5, null)] }]);
    const ended = writing.then(
      () => 'written',
      (error: unknown) => error,
    );
    const other = await MongoViewStore.connect(server.url);
    await eventually(async () => (await other.load(collection, ['k0100'])).length === 1);
    await other.close();
    await server.kill();
    expect(await ended).toBeInstanceOf(Unavailable);
    await server.start();
    await healed();
    const { documents: found } = await views.find(collection, { where: { n: { gte: 0 } }, limit: 5_000 });
    expect(keysOf(found)).toEqual(keysOf(documents.slice(0, found.length)));
    expect(found.length).toBeGreaterThan(100);
    expect(await views.load(collection, ['checkpoint'])).toEqual([]);
  });

  it('at the start is Unavailable', async () => {
    await server.stop();
    await expect(MongoViewStore.connect(server.url, { timeoutMs: TIMEOUT_MS })).rejects.toBeInstanceOf(Unavailable);
  });

  it('comes after the store was closed too', async () => {
    const closed = await MongoViewStore.connect(server.url);
    await closed.close();
    await expect(closed.count(collection)).rejects.toBeInstanceOf(Unavailable);
  });
});
