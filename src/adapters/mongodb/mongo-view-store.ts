import { MongoClient, type AnyBulkWriteOperation, type Collection, type Db, type Filter } from 'mongodb';
import { Unavailable } from '../../kernel/errors.js';
import {
  ViewStore,
  type CollectionShape,
  type CollectionWrite,
  type Page,
  type StoredDocument,
  type ViewQuery,
} from '../../kernel/ports/view-store.js';
import {
  collectionFromMongo,
  collectionToMongo,
  escapeName,
  fromMongo,
  knownShape,
  toMongo,
  unescapeName,
  type KnownShape,
  type MongoDocument,
} from './mongo-documents.js';
import { isDuplicateKey, isUnknownCollection, translated } from './mongo-errors.js';
import { arrayIndexKey, behindTerms, fieldPath, indexKey, readCursor, whereTerms, writeCursor } from './mongo-query.js';

export interface MongoViewStoreOptions {
  /** Database of the views; nothing else should live in it. @default the URL's, or else 'runledger' */
  readonly database?: string;
  /** The longest that one operation may take, with everything that the driver tries again. @default 10_000 */
  readonly timeoutMs?: number;
}

/** Only what one call can carry in its time. */
const CHUNK_DOCUMENTS = 1_000;
const CHUNK_CHARACTERS = 8_388_608;
const FEW_KEYS = 4;
/** The part of an operation's time after which a client that hears nothing at all is replaced. */
const SILENCE = 0.3;
const LAST_INDEX = 'key';
/** Each time at least one document more is there. */
const MAX_ATTEMPTS = 20;

/**
 * Views in MongoDB: a collection each, their documents as `mongo-documents.ts` says.
 *
 * Asks for nothing that a server without sessions lacks: no transaction, no change stream, no update by pipeline. Writes
 * are acknowledged by the majority and reads see only what the majority has: a checkpoint that was read cannot vanish in
 * a change of primary and leave a view behind that believes to be further than it is.
 */
export class MongoViewStore extends ViewStore {
  private readonly shapes = new Map<string, KnownShape>();
  private readonly writing = new Map<string, Promise<unknown>>();
  private db: Db;
  /** Clients on which somebody may still wait. */
  private readonly replaced = new Set<MongoClient>();
  /** When the server last answered, by a clock that never jumps, in ms. */
  private answeredAt = performance.now();

  private constructor(
    private client: MongoClient,
    /** Makes another client of the same server. */
    private readonly renew: () => MongoClient,
    private readonly database: string,
    private readonly timeoutMs: number,
  ) {
    super();
    this.db = client.db(database);
  }

  /**
   * @param url `mongodb://` or `mongodb+srv://`.
   * @throws Unavailable when the server does not answer. A store that is open finds its server again by itself.
   */
  static async connect(url: string, options: MongoViewStoreOptions = {}): Promise<MongoViewStore> {
    const { timeoutMs = 10_000 } = options;
    const open = (): MongoClient =>
      new MongoClient(url, {
        appName: 'runledger',
        writeConcern: { w: 'majority' },
        readConcern: { level: 'majority' },
        readPreference: 'primary',
        serverSelectionTimeoutMS: timeoutMs,
        connectTimeoutMS: timeoutMs,
        waitQueueTimeoutMS: timeoutMs,
        // A connection that stays silent is closed, or each call to a frozen server would keep one for ever.
        socketTimeoutMS: timeoutMs * 2,
      });
    const client = open();
    const named = /^[^:]+:\/\/[^/]*\/[^?]/.test(url) ? client.options.dbName : 'runledger';
    const database = options.database ?? named;
    const store = new MongoViewStore(client, open, database, timeoutMs);
    try {
      await store.limited((maxTimeMS) => store.db.command({ ping: 1, maxTimeMS }));
    } catch (error) {
      await client.close();
      throw error;
    }
    return store;
  }

  override async prepare(collection: string, shape: CollectionShape): Promise<void> {
    const indexes = new Map<string, Record<string, 1>>();
    for (const { fields } of shape.indexes) indexes.set(`by:${fields.map(escapeName).join('+')}`, indexKey(fields));
    for (const name of shape.arrays ?? []) indexes.set(`in:${escapeName(name)}`, arrayIndexKey(name));
    // Last, so that where it is there, the others are: see `shape`.
    indexes.set(LAST_INDEX, indexKey([]));
    const present = new Set(await this.indexNames(collection));
    // One by one: FerretDB drops the connection when one call names several that others have made meanwhile.
    for (const [name, key] of indexes) {
      if (present.has(name)) continue;
      await this.limited((maxTimeMS) => this.collection(collection).createIndexes([{ name, key }], { maxTimeMS }));
    }
    this.shapes.set(collection, knownShape(shape));
  }

  override async load(collection: string, keys: readonly string[]): Promise<readonly StoredDocument[]> {
    const found: MongoDocument[][] = [];
    if (keys.length <= FEW_KEYS) {
      // The cheapest look-up there is, and on FerretDB the only one that does not read the whole collection.
      found.push(...(await Promise.all([...new Set(keys)].map((key) => this.loadBy(collection, key)))));
    } else {
      for (let from = 0; from < keys.length; from += CHUNK_DOCUMENTS) {
        found.push(await this.loadBy(collection, { $in: keys.slice(from, from + CHUNK_DOCUMENTS) }));
      }
    }
    return Promise.all(found.flat().map(fromMongo));
  }

  override async write(writes: readonly CollectionWrite[]): Promise<void> {
    await allSettledOrThrow(
      writes.map(({ collection, documents }) => this.inTurn(collection, () => this.writeAll(collection, documents))),
    );
  }

  override async find(collection: string, query: ViewQuery): Promise<Page> {
    const { orderBy = [], descending = false, limit = 100, after } = query;
    const paths = [...orderBy.map(fieldPath), '_id'];
    const terms = whereTerms(query.where, await this.shape(collection));
    if (after !== undefined) terms.push(...behindTerms(paths, readCursor(after, paths.length), descending));
    const direction = descending ? -1 : 1;
    const rows = await this.limited((maxTimeMS, signal) =>
      this.collection(collection)
        .find({ $and: terms }, { maxTimeMS, signal, batchSize: limit + 2 })
        .sort(paths.map((path): [string, 1 | -1] => [path, direction]))
        .limit(limit + 1)
        .project<MongoDocument>(Object.fromEntries(['state.position', 'state.doc', ...paths].map((path) => [path, 1])))
        .toArray(),
    );
    const documents = await Promise.all(rows.slice(0, limit).map(fromMongo));
    const last = rows[limit - 1];
    return rows.length <= limit || !last ? { documents } : { documents, next: writeCursor(last, orderBy) };
  }

  override async count(collection: string, where?: ViewQuery['where']): Promise<number> {
    const terms = whereTerms(where, await this.shape(collection));
    return this.limited((maxTimeMS, signal) =>
      this.collection(collection).countDocuments({ $and: terms }, { maxTimeMS, signal }),
    );
  }

  override async collections(): Promise<readonly string[]> {
    const found = await this.limited((maxTimeMS, signal) =>
      this.db.listCollections({}, { nameOnly: true, maxTimeMS, signal }).toArray(),
    );
    return found.flatMap(({ name }) => collectionFromMongo(name) ?? []).sort();
  }

  override async drop(collection: string): Promise<void> {
    await this.inTurn(collection, async () => {
      this.shapes.delete(collection);
      try {
        await this.limited((maxTimeMS) => this.collection(collection).drop({ maxTimeMS }), { once: true });
      } catch (error) {
        if (!isUnknownCollection(error)) throw error;
      }
    });
  }

  override async close(): Promise<void> {
    await Promise.allSettled(this.writing.values());
    await Promise.all([this.client, ...this.replaced].map((client) => client.close()));
  }

  private collection(name: string): Collection<MongoDocument> {
    return this.db.collection<MongoDocument>(collectionToMongo(name));
  }

  private async loadBy(
    collection: string,
    _id: string | { readonly $in: readonly string[] },
  ): Promise<MongoDocument[]> {
    return this.limited((maxTimeMS, signal) =>
      this.collection(collection)
        .find({ _id } as Filter<MongoDocument>, { maxTimeMS, signal, batchSize: CHUNK_DOCUMENTS + 1 })
        .project<MongoDocument>({ 'state.position': 1, 'state.doc': 1 })
        .toArray(),
    );
  }

  /** In the documents' order: no document is stored before those that precede it, so a last one can vouch for them. */
  private async writeAll(collection: string, documents: readonly StoredDocument[]): Promise<void> {
    if (documents.length === 0) return;
    const shape = await this.shape(collection);
    let chunk: MongoDocument[] = [];
    let characters = 0;
    for (const document of documents) {
      const stored = await toMongo(document, shape);
      const { doc = '' } = stored.state;
      chunk.push(stored);
      characters += typeof doc === 'string' ? doc.length : doc.length();
      if (chunk.length < CHUNK_DOCUMENTS && characters < CHUNK_CHARACTERS) continue;
      await this.writeChunk(collection, chunk);
      [chunk, characters] = [[], 0];
    }
    if (chunk.length > 0) await this.writeChunk(collection, chunk);
  }

  private async writeChunk(collection: string, documents: readonly MongoDocument[]): Promise<void> {
    const operations = documents.map(guarded);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.limited((maxTimeMS) =>
          this.collection(collection).bulkWrite(operations, { ordered: true, maxTimeMS }),
        );
        return;
      } catch (error) {
        // Somebody else inserted the document at the same moment. MongoDB mostly tries again by itself.
        if (!isDuplicateKey(error)) throw error;
        if (attempt === MAX_ATTEMPTS)
          throw new Unavailable('Too many writers insert the same documents', { cause: error });
      }
    }
  }

  /** The shape that was prepared, here or, as the indexes tell, by another process. */
  private async shape(collection: string): Promise<KnownShape> {
    const known = this.shapes.get(collection);
    if (known) return known;
    const names = await this.indexNames(collection);
    const named = (kind: string): string[] =>
      names.filter((name) => name.startsWith(kind)).map((name) => name.slice(3));
    const shape: KnownShape = {
      fields: new Set(named('by:').flatMap((fields) => fields.split('+').map(unescapeName))),
      arrays: new Set(named('in:').map(unescapeName)),
    };
    if (names.includes(LAST_INDEX)) this.shapes.set(collection, shape);
    return shape;
  }

  private async indexNames(collection: string): Promise<readonly string[]> {
    try {
      const indexes = await this.limited((maxTimeMS) =>
        this.collection(collection).listIndexes({ maxTimeMS }).toArray(),
      );
      return indexes.map(({ name }: { name: string }) => name);
    } catch (error) {
      if (isUnknownCollection(error)) return [];
      throw error;
    }
  }

  /**
   * Writes to one collection go one after another. The server's guard needs no such care, but two batches of one process
   * that overlap would only hinder each other; and FerretDB looks at the guard and writes in two steps.
   */
  private async inTurn<T>(collection: string, work: () => Promise<T>): Promise<T> {
    const running = (this.writing.get(collection) ?? Promise.resolve()).then(work, work);
    this.writing.set(collection, running);
    try {
      return await running;
    } finally {
      if (this.writing.get(collection) === running) this.writing.delete(collection);
    }
  }

  /**
   * Time limits both at the server and here: a server that is frozen keeps none. What has no answer after a while is asked
   * once more: the driver does not notice that a connection breaks just when it is written to, and waits. Reads can be
   * repeated, and so can writes, which are guarded.
   *
   * @param once For what must not come a second time.
   */
  private async limited<T>(
    work: (maxTimeMS: number, signal: AbortSignal) => Promise<T>,
    { once = false }: { readonly once?: boolean } = {},
  ): Promise<T> {
    const { client } = this;
    const late = new AbortController();
    const again = Promise.withResolvers<T>();
    const doubt = setTimeout(() => {
      this.replace(client);
      if (!once) work(this.timeoutMs, late.signal).then(again.resolve, () => undefined);
    }, this.silenceMs);
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Unavailable(`MongoDB did not answer within ${this.timeoutMs} ms`));
        late.abort();
      }, this.timeoutMs);
    });
    try {
      const result = await Promise.race([work(this.timeoutMs, late.signal), again.promise, limit]);
      this.answeredAt = performance.now();
      return result;
    } catch (error) {
      throw translated(error);
    } finally {
      clearTimeout(doubt);
      clearTimeout(timer);
    }
  }

  private get silenceMs(): number {
    return this.timeoutMs * SILENCE;
  }

  /**
   * Begins anew where the server has answered this client nothing for a while: a client may wait for ever although its
   * server is back. (A question of the driver's monitor, 7.9, that is written to a connection which has just broken is
   * never answered, and until it is the monitor asks nothing more.) A server that is really away answers no other client
   * either, and that does no harm: what waits on the old one still gets its answer should there be one.
   */
  private replace(client: MongoClient): void {
    if (this.client !== client || performance.now() - this.answeredAt < this.silenceMs) return;
    this.client = this.renew();
    this.db = this.client.db(this.database);
    this.answeredAt = performance.now();
    this.replaced.add(client);
    const end = (): void => {
      this.replaced.delete(client);
      client.close(true).catch(() => undefined);
    };
    setTimeout(end, this.timeoutMs).unref();
  }
}

/** Puts the document in the place of one at a lower position, or of none: see `MongoDocument`. */
function guarded({ _id, state }: MongoDocument): AnyBulkWriteOperation<MongoDocument> {
  return { updateOne: { filter: { _id }, update: { $max: { state } }, upsert: true } };
}

/** Waits for all, so that nothing goes on behind the caller's back, and throws the first error. */
async function allSettledOrThrow(running: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(running)).find(({ status }) => status === 'rejected');
  if (failed) throw (failed as PromiseRejectedResult).reason;
}
