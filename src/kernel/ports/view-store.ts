import type { Position } from './event-log.js';

/** A view's document as stored. `doc` is null where the document was deleted: the position still guards it. */
export interface StoredDocument {
  readonly key: string;
  readonly position: Position;
  readonly doc: JsonObject | null;
}

export type JsonObject = { readonly [field: string]: unknown };
export type Scalar = string | number | boolean | null;

/** Either equality, or a half-open range on the field that the query is ordered by. */
export type Condition = Scalar | { readonly gte?: string | number; readonly lt?: string | number };

/**
 * An index that a view declares. Queries may filter by equality on a prefix of `fields` and order by the rest.
 * Fields are top-level names of the document.
 */
export interface ViewIndex {
  readonly fields: readonly string[];
}

export interface CollectionShape {
  readonly indexes: readonly ViewIndex[];
  /** Top-level fields that hold arrays of strings, each of which a query can match as an element. */
  readonly arrays?: readonly string[];
}

export interface ViewQuery {
  /** Equality, range, or for a declared array field the element it must contain. A null also matches a missing field. */
  readonly where?: { readonly [field: string]: Condition };
  /** Fields to order by, all in one direction; ties are broken by key in the same direction. @default by key */
  readonly orderBy?: readonly string[];
  readonly descending?: boolean;
  /** @default 100 */
  readonly limit?: number;
  /** `next` of the page before. Stable under writes: a document that does not move is seen exactly once. */
  readonly after?: string;
}

export interface Page {
  readonly documents: readonly StoredDocument[];
  /** Where the next page begins; absent on the last one. */
  readonly next?: string;
}

export interface CollectionWrite {
  readonly collection: string;
  readonly documents: readonly StoredDocument[];
}

/** Documents as far as an auditor needs them. */
export type ViewReader = Pick<ViewStore, 'load' | 'find' | 'collections'>;

/**
 * Documents by key, in collections that are versions of views. Needs no transaction: each document carries the
 * position of the last event folded into it, and a write never moves a document to an older position.
 */
export abstract class ViewStore {
  /** Makes the collection and its indexes when they are not there. May be called again and again, in parallel. */
  abstract prepare(collection: string, shape: CollectionShape): Promise<void>;

  /** The documents of those keys that exist, deleted ones included, in any order. Empty for an unknown collection. */
  abstract load(collection: string, keys: readonly string[]): Promise<readonly StoredDocument[]>;

  /**
   * Writes documents, each only where the stored one is absent or at a lower position. Batches are not atomic, but of
   * one collection's documents none is stored before those that precede it: after a failure any first part of them may
   * be there, and writing the batch again is harmless.
   *
   * @throws Unavailable when the store cannot be reached.
   */
  abstract write(writes: readonly CollectionWrite[]): Promise<void>;

  /** Documents that are not deleted, filtered, ordered and paged. Empty for an unknown collection. */
  abstract find(collection: string, query: ViewQuery): Promise<Page>;

  /** How many documents that are not deleted match. */
  abstract count(collection: string, where?: ViewQuery['where']): Promise<number>;

  /** Names of all collections, sorted. */
  abstract collections(): Promise<readonly string[]>;

  /** Removes a collection with all its documents; no error when it is not there. */
  abstract drop(collection: string): Promise<void>;

  abstract close(): Promise<void>;
}
