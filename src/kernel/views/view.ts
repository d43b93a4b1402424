import type { DomainEvent, Recorded } from '../event-catalog.js';
import type { CollectionShape } from '../ports/view-store.js';

/**
 * A view is a pure fold by key: which documents an event touches, and what becomes of each.
 *
 * `evolve` gets undefined where there is no document, and gives null where there is to be none. The same reference
 * back means that nothing has changed. It reads no clock and no other view, so a rebuild gives the same documents.
 */
export interface View<Doc extends object = object, Event extends DomainEvent = DomainEvent> extends CollectionShape {
  /** `<system>.<thing>`; the system's events are what it folds. */
  readonly name: string;
  /** Raise it with any change of meaning: the new version is built beside the old one and takes over when it is there. */
  readonly version: number;
  /** The event types it wants to see. */
  readonly types: readonly Event['type'][];
  /** True where no two events touch one document: then none is looked for before it is written. @default false */
  readonly writeOnce?: boolean;
  keys(recorded: Recorded<Event>): readonly string[];
  evolve(doc: Doc | undefined, recorded: Recorded<Event>, key: string): Doc | null;
}

/** A view of any shape, as registries hold it. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyView = View<any, any>;

/**
 * Marks in each collection, kept as deleted documents so that no query shows them: that it was begun from the first
 * event, how far it has been folded, and that it has answered queries. A collection without its marks was lost. The
 * position of the first tells up to where orders to rebuild are carried out by it.
 */
export const ORIGIN_MARK = '$origin';
export const CHECKPOINT_MARK = '$checkpoint';
export const SERVING_MARK = '$serving';

/** `<view>.v<version>.<build>`: builds of one version are counted from 1. */
export function collectionName(view: AnyView, build: number): string {
  return `${view.name}.v${view.version}.${build}`;
}

/** Reads a collection's name back; undefined when it is none of this view's. */
export function parseCollection(view: AnyView, collection: string): { version: number; build: number } | undefined {
  if (!collection.startsWith(`${view.name}.v`)) return undefined;
  const match = /^(\d+)\.(\d+)$/.exec(collection.slice(view.name.length + 2));
  return match ? { version: Number(match[1]), build: Number(match[2]) } : undefined;
}
