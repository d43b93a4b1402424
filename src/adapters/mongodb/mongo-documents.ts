import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { Binary, BSON } from 'mongodb';
import { TooLarge } from '../../kernel/errors.js';
import type { CollectionShape, JsonObject, Scalar, StoredDocument } from '../../kernel/ports/view-store.js';

/**
 * A view's document as MongoDB keeps it.
 *
 * The document itself is JSON text: BSON takes no names that begin with `$`, hold a dot or a zero byte on every server,
 * knows no lone surrogates, and ends at 16 MiB; the text comes back as it went in. What queries look at lies beside it.
 *
 * All lies in one field, so that the guard is a single step of the server's: `$max` puts a state in the place of the
 * stored one only if it is greater, and objects are compared field by field. So the position comes first; and since each
 * write has a smaller `turn` than those before it, nothing takes the place of a state at the same position.
 */
export interface MongoDocument {
  readonly _id: string;
  readonly state: MongoState;
}

export interface MongoState {
  readonly position: number;
  readonly turn: number;
  /** Absent where the document was deleted. All queries ask for it, and all indexes begin with it. */
  readonly live?: true;
  /** Fields by escaped name: see `sortKey`. What is null or missing is left out: it sorts before all texts. */
  readonly fields?: Readonly<Record<string, string>>;
  /** The declared array fields by escaped name, as they are. */
  readonly arrays?: Readonly<Record<string, readonly string[]>>;
  /** JSON text, gzipped when it is long. */
  readonly doc?: string | Binary;
}

/** What of a collection's shape matters when a document is written or looked for. */
export interface KnownShape {
  readonly fields: ReadonlySet<string>;
  readonly arrays: ReadonlySet<string>;
}

/** Longer texts are gzipped. */
const PLAIN_CHARACTERS = 1_048_576;
/** MongoDB's limit, less what the update command needs around the document. */
const MAX_BSON_BYTES = 16_777_216 - 16_384;
/** A field that no index names can be looked for too, as far as its texts are no longer than this. */
const UNDECLARED_CHARACTERS = 1_024;

const zip = promisify(gzip);
const unzip = promisify(gunzip);

let lastTurn = 0;

/** @throws TooLarge for a document that is above MongoDB's limit even when it is compressed. */
export async function toMongo({ key, position, doc }: StoredDocument, shape: KnownShape): Promise<MongoDocument> {
  lastTurn = Math.min(lastTurn - 1, -Date.now() * 1_000);
  const turn = lastTurn;
  if (doc === null) return { _id: key, state: { position, turn } };
  const text = JSON.stringify(doc);
  const isLong = text.length > PLAIN_CHARACTERS;
  const searchable = { live: true, fields: sortKeysOf(doc, shape), arrays: arraysOf(doc, shape) } as const;
  const state = { position, turn, ...searchable, doc: isLong ? new Binary(await zip(text)) : text };
  if (isLong && BSON.calculateObjectSize(state) > MAX_BSON_BYTES) {
    throw new TooLarge(`A document exceeds MongoDB's limit of ${MAX_BSON_BYTES} bytes`, MAX_BSON_BYTES);
  }
  return { _id: key, state };
}

export async function fromMongo({ _id, state: { position, doc } }: MongoDocument): Promise<StoredDocument> {
  if (doc === undefined) return { key: _id, position, doc: null };
  const text = typeof doc === 'string' ? doc : (await unzip(doc.value())).toString();
  return { key: _id, position, doc: JSON.parse(text) as JsonObject };
}

/**
 * A text that sorts by bytes as the value sorts among all values: switches before numbers, and those before texts. So
 * one comparison does for all types, while MongoDB's own finds only values of the type it is given. Null has none.
 */
export function sortKey(value: Scalar): string | null {
  if (typeof value === 'string') return `"${value}`;
  if (typeof value === 'boolean') return ` ${value}`;
  return value === null || !Number.isFinite(value) ? null : `!${sortableHex(value)}`; // JSON has null for the infinite
}

/** Makes any text a name that every server takes as a field or an index, and as part of a path. */
export function escapeName(name: string): string {
  return percentEncoded(name, /[^A-Za-z0-9_-]|^__|^$/gu);
}

/** A collection's name in MongoDB: the view's, where that is a legal one. @throws RangeError when it is too long. */
export function collectionToMongo(name: string): string {
  const escaped = percentEncoded(name, /[^A-Za-z0-9._:-]|^\.|^system\.|^$|\.$/gu);
  // The limit of 255 bytes includes the database's name, of at most 63.
  if (escaped.length > 190) throw new RangeError(`The collection name ${name.slice(0, 40)}… is too long for MongoDB`);
  return escaped;
}

export function unescapeName(escaped: string): string {
  return escaped === '%' ? '' : decodeURIComponent(escaped);
}

/** The name behind a collection of MongoDB; undefined when it is none of ours. */
export function collectionFromMongo(escaped: string): string | undefined {
  try {
    const name = unescapeName(escaped);
    return collectionToMongo(name) === escaped ? name : undefined;
  } catch {
    return undefined;
  }
}

/** @returns a shape without what is said twice, as far as reading and writing documents need it. */
export function knownShape({ indexes, arrays = [] }: CollectionShape): KnownShape {
  return { fields: new Set(indexes.flatMap(({ fields }) => fields)), arrays: new Set(arrays) };
}

function sortKeysOf(doc: JsonObject, { fields, arrays }: KnownShape): Record<string, string> {
  const keys: Record<string, string> = {};
  for (const [name, value] of Object.entries(doc)) {
    if (arrays.has(name) || !isScalar(value)) continue;
    if (typeof value === 'string' && value.length > UNDECLARED_CHARACTERS && !fields.has(name)) continue;
    const key = sortKey(value);
    if (key !== null) keys[escapeName(name)] = key;
  }
  return keys;
}

function arraysOf(doc: JsonObject, { arrays }: KnownShape): Record<string, readonly string[]> {
  const found: Record<string, readonly string[]> = {};
  for (const name of arrays) {
    const value = Object.hasOwn(doc, name) ? doc[name] : undefined;
    if (!Array.isArray(value)) continue;
    found[escapeName(name)] = [...new Set(value.filter((element): element is string => typeof element === 'string'))];
  }
  return found;
}

function isScalar(value: unknown): value is Scalar {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

/** 16 hex digits that sort as the numbers do: the sign bit flipped, and of negative numbers all others too. */
function sortableHex(value: number): string {
  const bits = new BigUint64Array(new Float64Array([value === 0 ? 0 : value]).buffer)[0] ?? 0n;
  const sign = 1n << 63n;
  const sortable = bits & sign ? BigInt.asUintN(64, ~bits) : bits | sign;
  return sortable.toString(16).padStart(16, '0');
}

/** Every byte of what `pattern` finds as `%XX`; nothing at all as `%`. */
function percentEncoded(text: string, pattern: RegExp): string {
  return text.replace(pattern, (found) => {
    const bytes = [...Buffer.from(found)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`);
    return bytes.join('') || '%';
  });
}
