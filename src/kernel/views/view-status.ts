import { START, type Position } from '../ports/event-log.js';
import type { AnyView } from './view.js';
import type { Poison, ViewInstance } from './view-instance.js';

/** How one view stands, for health, metrics and operators. */
export interface ViewStatus {
  readonly name: string;
  readonly version: number;
  /** `building`: nothing to answer from yet. `rebuilding`: a second collection is built beside the serving one. */
  readonly state: 'building' | 'live' | 'rebuilding' | 'paused' | 'stopped';
  /** Of the collection that answers; how far it is. */
  readonly collection: string | null;
  readonly position: Position;
  readonly head: Position;
  readonly poison: Poison | null;
  readonly rebuild: { readonly collection: string; readonly position: Position } | null;
}

/** A view with the collection that answers, and the one that is being built. */
export interface Standing {
  readonly view: AnyView;
  readonly serving?: ViewInstance;
  readonly building?: ViewInstance;
}

export function statusOf({ view, serving, building }: Standing, head: Position): ViewStatus {
  const poison = serving?.poison ?? building?.poison ?? null;
  const state = poison
    ? 'stopped'
    : building?.paused
      ? 'paused'
      : !serving
        ? 'building'
        : building
          ? 'rebuilding'
          : 'live';
  return {
    name: view.name,
    version: view.version,
    state,
    collection: serving?.collection ?? null,
    position: serving?.position ?? START,
    head,
    poison,
    rebuild: building ? { collection: building.collection, position: building.position } : null,
  };
}
