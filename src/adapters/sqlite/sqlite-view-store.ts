import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { Unavailable } from '../../kernel/errors.js';
import {
  ViewStore,
  type CollectionShape,
  type CollectionWrite,
  type Condition,
  type Page,
  type StoredDocument,
  type ViewQuery,
} from '../../kernel/ports/view-store.js';
import type { SqlUnit, SqlValue } from './writer-protocol.js';
import type { StoreWriter } from './writer.js';

interface Row {
  readonly key: string;
  readonly position: number;
  readonly doc: string | null;
}

const PREFIX = 'view:';
/** Stands for a missing field: before all numbers, and those before all texts, as MongoDB has it. */
const NOTHING = Number.NEGATIVE_INFINITY;

/**
 * One table of JSON documents per collection, with an expression index per declared index, and per array field a table
 * of its elements that a trigger keeps.
 */
export class SqliteViewStore extends ViewStore {
  private readonly statements = new Map<string, StatementSync>();
  private readonly known = new Set<string>();
  private readonly arrays = new Map<string, ReadonlySet<string>>();

  constructor(
    private readonly writer: StoreWriter,
    private readonly reader: DatabaseSync,
  ) {
    super();
  }

  override async prepare(collection: string, shape: CollectionShape): Promise<void> {
    await this.writer.run(schemaOf(collection, shape).map((sql) => ({ sql, params: [[]] })));
    this.known.add(collection);
    this.arrays.set(collection, new Set(shape.arrays ?? []));
  }

  override async load(collection: string, keys: readonly string[]): Promise<readonly StoredDocument[]> {
    if (keys.length === 0 || !this.exists(collection)) return [];
    const sql = `SELECT key, position, doc FROM ${table(collection)} WHERE key IN (SELECT value FROM json_each(?))`;
    return this.queryCollection(collection, sql, [JSON.stringify(keys)]).map(toDocument);
  }

  override async write(writes: readonly CollectionWrite[]): Promise<void> {
    const statements: SqlUnit['statements'][number][] = [];
    for (const { collection, documents } of writes) {
      if (documents.length === 0) continue;
      if (!this.exists(collection)) await this.prepare(collection, { indexes: [] });
      statements.push({
        sql: `INSERT INTO ${table(collection)} (key, position, doc) VALUES (?, ?, ?)
              ON CONFLICT (key) DO UPDATE SET position = excluded.position, doc = excluded.doc
              WHERE excluded.position > position`,
        params: documents.map(({ key, position, doc }) => [key, position, doc === null ? null : JSON.stringify(doc)]),
      });
    }
    if (statements.length === 0) return;
    try {
      await this.writer.run(statements);
    } catch (error) {
      if (!isGone(error)) throw error;
      for (const { collection } of writes) this.known.delete(collection);
      throw new Unavailable('A collection was dropped meanwhile', { cause: error });
    }
  }

  override async find(collection: string, query: ViewQuery): Promise<Page> {
    if (!this.exists(collection)) return { documents: [] };
    const { orderBy = [], descending = false, limit = 100, after } = query;
    const direction = descending ? 'DESC' : 'ASC';
    const order = [...orderBy.map((name) => field(name)), 'key'];
    const filter = this.filter(collection, query.where);
    if (after !== undefined) {
      const values = readCursor(after, order.length);
      const [behind, from] = descending ? ['<', '<='] : ['>', '>='];
      filter.terms.push(`(${order.join(', ')}) ${behind} (${values.map(() => '?').join(', ')})`);
      // Says nothing new, but this is the form in which an index over expressions is entered at the right place.
      filter.terms.push(`${order[0]} ${from} ?`);
      filter.params.push(...values, values[0] ?? NOTHING);
    }
    const rows = this.queryCollection(
      collection,
      `SELECT key, position, doc FROM ${table(collection)} WHERE ${filter.terms.join(' AND ')}
       ORDER BY ${order.map((term) => `${term} ${direction}`).join(', ')} LIMIT ?`,
      [...filter.params, limit + 1],
    );
    const documents = rows.slice(0, limit).map(toDocument);
    const last = rows[limit - 1];
    if (rows.length <= limit || !last) return { documents };
    return { documents, next: writeCursor([...this.extract(last.doc, orderBy), last.key]) };
  }

  /** What SQLite orders a document by. Of one: taken of all that are found it would be most of the work. */
  private extract(doc: string | null, names: readonly string[]): SqlValue[] {
    if (names.length === 0) return [];
    const columns = names.map((name, index) => `${field(name, '?1')} AS o${index}`);
    const [row] = this.query(`SELECT ${columns.join(', ')}`, [doc]) as unknown as Record<string, SqlValue>[];
    return names.map((_, index) => row?.[`o${index}`] ?? null);
  }

  override async count(collection: string, where?: ViewQuery['where']): Promise<number> {
    if (!this.exists(collection)) return 0;
    const { terms, params } = this.filter(collection, where);
    const sql = `SELECT count(*) AS n FROM ${table(collection)} WHERE ${terms.join(' AND ')}`;
    const [row] = this.queryCollection(collection, sql, params) as unknown as { n: number }[];
    return row?.n ?? 0;
  }

  override async collections(): Promise<readonly string[]> {
    const sql = "SELECT name AS key FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 5) = ? ORDER BY name";
    return this.query(sql, [PREFIX])
      .map(({ key }) => decode(key.slice(PREFIX.length)))
      .sort();
  }

  override async drop(collection: string): Promise<void> {
    const elements = this.query(
      "SELECT name AS key FROM sqlite_master WHERE type = 'table' AND substr(name, 1, ?) = ?",
      [elementsPrefix(collection).length, elementsPrefix(collection)],
    );
    this.known.delete(collection);
    this.arrays.delete(collection);
    this.statements.clear();
    await this.writer.run(
      [table(collection), ...elements.map(({ key }) => quote(key))].map((name) => ({
        sql: `DROP TABLE IF EXISTS ${name}`,
        params: [[]],
      })),
    );
  }

  /** The store closes its connections itself, and as a whole: what is closed last leaves one file behind, not three. */
  override async close(): Promise<void> {}

  private exists(collection: string): boolean {
    if (this.known.has(collection)) return true;
    const sql = "SELECT name AS key FROM sqlite_master WHERE type = 'table' AND name = ?";
    if (this.query(sql, [PREFIX + encode(collection)]).length === 0) return false;
    this.known.add(collection);
    return true;
  }

  /** Nothing, where the collection has gone since it was last seen: others may drop it at any time. */
  private queryCollection(collection: string, sql: string, params: readonly SqlValue[]): Row[] {
    try {
      return this.query(sql, params);
    } catch (error) {
      if (!isGone(error)) throw error;
      this.known.delete(collection);
      return [];
    }
  }

  private query(sql: string, params: readonly SqlValue[]): Row[] {
    let statement = this.statements.get(sql);
    if (!statement) {
      statement = this.reader.prepare(sql);
      this.statements.set(sql, statement);
    }
    return statement.all(...params) as unknown as Row[];
  }

  private filter(collection: string, where: ViewQuery['where'] = {}): { terms: string[]; params: SqlValue[] } {
    const terms = ['doc IS NOT NULL'];
    const params: SqlValue[] = [];
    const arrays = this.arraysOf(collection);
    for (const [name, condition] of Object.entries(where)) {
      if (arrays?.has(name)) {
        terms.push(`key IN (SELECT key FROM ${elements(collection, name)} WHERE value = ?)`);
        params.push(condition as SqlValue);
      } else {
        addTerms(name, condition, terms, params);
      }
    }
    return { terms, params };
  }

  /** The array fields that a collection was prepared with, by this process or by one before it. */
  private arraysOf(collection: string): ReadonlySet<string> {
    const known = this.arrays.get(collection);
    if (known) return known;
    const prefix = elementsPrefix(collection);
    const sql = "SELECT name AS key FROM sqlite_master WHERE type = 'table' AND substr(name, 1, ?) = ?";
    const arrays = new Set(this.query(sql, [prefix.length, prefix]).map(({ key }) => decode(key.slice(prefix.length))));
    this.arrays.set(collection, arrays);
    return arrays;
  }
}

function isGone(error: unknown): boolean {
  return /^(SQLite: )?no such table/.test((error as { message?: string }).message ?? '');
}

function addTerms(name: string, condition: Condition, terms: string[], params: SqlValue[]): void {
  const term = field(name);
  if (typeof condition !== 'object' || condition === null) {
    terms.push(`${term} = ?`);
    params.push(typeof condition === 'boolean' ? Number(condition) : (condition ?? NOTHING));
    // What is extracted of `true` is 1: only its type tells it from the number.
    if (typeof condition === 'boolean') terms.push(`${typeOf(name)} IN ('true', 'false')`);
    if (typeof condition === 'number') terms.push(`${typeOf(name)} IN ('integer', 'real')`);
    return;
  }
  // A missing field is in no range.
  terms.push(condition.gte === undefined ? `${term} > ?` : `${term} >= ?`);
  params.push(condition.gte ?? NOTHING);
  if (condition.lt === undefined) return;
  terms.push(`${term} < ?`);
  params.push(condition.lt);
}

function schemaOf(collection: string, { indexes, arrays = [] }: CollectionShape): string[] {
  const name = table(collection);
  const statements = [
    `CREATE TABLE IF NOT EXISTS ${name} (key TEXT NOT NULL PRIMARY KEY, position INTEGER NOT NULL, doc TEXT) STRICT`,
  ];
  for (const { fields } of indexes) {
    const index = quote(`index:${encode(collection)}:${fields.map(encode).join('+')}`);
    statements.push(
      `CREATE INDEX IF NOT EXISTS ${index} ON ${name} (${[...fields.map((name) => field(name)), 'key'].join(', ')})`,
    );
  }
  for (const array of arrays) {
    const list = elements(collection, array);
    const path = text(`$.${JSON.stringify(array)}`);
    const fill = `INSERT OR IGNORE INTO ${list} SELECT value, new.key FROM json_each(new.doc, ${path}) WHERE new.doc IS NOT NULL;`;
    statements.push(
      `CREATE TABLE IF NOT EXISTS ${list} (value TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (value, key)) STRICT, WITHOUT ROWID`,
      `CREATE INDEX IF NOT EXISTS ${quote(`elements-by-key:${encode(collection)}:${encode(array)}`)} ON ${list} (key)`,
      `CREATE TRIGGER IF NOT EXISTS ${quote(`added:${encode(collection)}:${encode(array)}`)} AFTER INSERT ON ${name} BEGIN ${fill} END`,
      `CREATE TRIGGER IF NOT EXISTS ${quote(`changed:${encode(collection)}:${encode(array)}`)} AFTER UPDATE OF doc ON ${name}
       WHEN json_extract(old.doc, ${path}) IS NOT json_extract(new.doc, ${path})
       BEGIN DELETE FROM ${list} WHERE key = new.key; ${fill} END`,
    );
  }
  return statements;
}

function toDocument({ key, position, doc }: Row): StoredDocument {
  return { key, position, doc: doc === null ? null : (JSON.parse(doc) as StoredDocument['doc']) };
}

function table(collection: string): string {
  return quote(PREFIX + encode(collection));
}

function elements(collection: string, array: string): string {
  return quote(elementsPrefix(collection) + encode(array));
}

function elementsPrefix(collection: string): string {
  return `elements:${encode(collection)}:`;
}

/** Names of tables and the like do not tell upper from lower case, and ours are divided by colons. */
function encode(name: string): string {
  return name.replace(/[A-Z%:+]/g, (character) => `%${character.charCodeAt(0).toString(16)}`);
}

function decode(name: string): string {
  return name.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function typeOf(name: string): string {
  return `json_type(doc, ${text(`$.${JSON.stringify(name)}`)})`;
}

/** A field's value, never null: rows can then be compared as a whole, and an index serves order and paging alike. */
function field(name: string, doc = 'doc'): string {
  return `ifnull(json_extract(${doc}, ${text(`$.${JSON.stringify(name)}`)}), -9e999)`;
}

function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}

function writeCursor(values: readonly SqlValue[]): string {
  return Buffer.from(JSON.stringify(values)).toString('base64url'); // makes null of the missing
}

/** @throws RangeError for what is no cursor, or one of a query in another order. */
function readCursor(cursor: string, length: number): SqlValue[] {
  const values = parsed(Buffer.from(cursor, 'base64url').toString());
  const fits = Array.isArray(values) && values.length === length && values.every(isValue);
  if (!fits) throw new RangeError('The cursor belongs to another query');
  return (values as SqlValue[]).map((value) => value ?? NOTHING);
}

function isValue(value: unknown): boolean {
  return value === null || typeof value === 'string' || typeof value === 'number';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Whoever looks at it finds that it is no cursor.
    return undefined;
  }
}
