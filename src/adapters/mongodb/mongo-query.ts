import type { Filter } from 'mongodb';
import type { Condition, Scalar, ViewIndex, ViewQuery } from '../../kernel/ports/view-store.js';
import { escapeName, sortKey, type KnownShape, type MongoDocument } from './mongo-documents.js';

type Terms = Filter<MongoDocument>;

/** Matches nothing: every document has a key. */
const NOTHING: Terms = { _id: { $in: [] } };

/** Path of a field's sort key. */
export function fieldPath(name: string): string {
  return `state.fields.${escapeName(name)}`;
}

export function indexKey(fields: ViewIndex['fields']): Record<string, 1> {
  return Object.fromEntries(['state.live', ...fields.map(fieldPath), '_id'].map((path) => [path, 1]));
}

export function arrayIndexKey(name: string): Record<string, 1> {
  return { 'state.live': 1, [arrayPath(name)]: 1, _id: 1 };
}

/** What `where` asks for, of documents that are not deleted. */
export function whereTerms(where: ViewQuery['where'] = {}, { arrays }: Pick<KnownShape, 'arrays'>): Terms[] {
  const terms = Object.entries(where).map(([name, condition]) =>
    arrays.has(name) ? elementTerm(name, condition) : conditionTerm(fieldPath(name), condition),
  );
  return [{ 'state.live': true }, ...terms];
}

/**
 * What lies behind a cursor: later in the first path, or equal there and later in the second, and so on.
 *
 * @param paths What the query is ordered by, the key last.
 */
export function behindTerms(
  paths: readonly string[],
  cursor: readonly (string | null)[],
  descending: boolean,
): Terms[] {
  const steps = paths.map((path, index): Terms => {
    const equals = paths.slice(0, index).map((earlier, at) => ({ [earlier]: cursor[at] ?? null }));
    return { $and: [...equals, behind(path, cursor[index] ?? null, descending)] };
  });
  // The first says nothing new, but it is what an index can be entered by.
  return [notBefore(paths[0] ?? '_id', cursor[0] ?? null, descending), { $or: steps }];
}

/** The place of a document in the order of a query. */
export function writeCursor({ _id, state }: MongoDocument, orderBy: readonly string[]): string {
  const values = [...orderBy.map((name) => state.fields?.[escapeName(name)] ?? null), _id];
  return Buffer.from(JSON.stringify(values)).toString('base64url');
}

/** @throws RangeError for what is no cursor, or one of a query in another order. */
export function readCursor(cursor: string, length: number): (string | null)[] {
  const values = parse(Buffer.from(cursor, 'base64url').toString());
  const fits = Array.isArray(values) && values.length === length && values.every(isKeyOrNull);
  if (!fits || values.at(-1) === null) throw new RangeError('The cursor belongs to another query');
  return values;
}

function arrayPath(name: string): string {
  return `state.arrays.${escapeName(name)}`;
}

function elementTerm(name: string, condition: Condition): Terms {
  return typeof condition === 'string' ? { [arrayPath(name)]: condition } : NOTHING;
}

function conditionTerm(path: string, condition: Condition): Terms {
  if (typeof condition !== 'object' || condition === null) return { [path]: sortKey(condition) };
  // A missing field is in no range: it has no sort key, and a comparison with a text finds texts only.
  const { gte, lt } = condition;
  const from = gte === undefined ? '' : textKey(gte);
  return { [path]: lt === undefined ? { $gte: from } : { $gte: from, $lt: textKey(lt) } };
}

function behind(path: string, value: string | null, descending: boolean): Terms {
  // Null comes first: nothing lies before it, and everything that has a sort key lies behind it.
  if (value === null) return descending ? NOTHING : { [path]: { $gte: '' } };
  return { [path]: descending ? { $not: { $gte: value } } : { $gt: value } };
}

function notBefore(path: string, value: string | null, descending: boolean): Terms {
  if (value === null) return descending ? { [path]: null } : {};
  return { [path]: descending ? { $not: { $gt: value } } : { $gte: value } };
}

function textKey(value: Scalar): string {
  return sortKey(value) ?? '';
}

function isKeyOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
