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
  /** What each of its collections has stopped at. */
  readonly errors: readonly StoppedAt[];
  /** Events of the log that the serving collection passes per second; null where nobody tells. */
  readonly rate: number | null;
  readonly rebuild: RebuildStatus | null;
}

export interface StoppedAt extends Poison {
  readonly collection: string;
}

export interface RebuildStatus {
  readonly collection: string;
  readonly position: Position;
  readonly paused: boolean;
  readonly rate: number | null;
}

/** A view with the collection that answers, and the one that is being built. */
export interface Standing {
  readonly view: AnyView;
  readonly serving?: ViewInstance;
  readonly building?: ViewInstance;
}

/** @param now Steady time in ms. */
export function statusOf({ view, serving, building }: Standing, head: Position, now: number): ViewStatus {
  const poison = serving?.poison ?? building?.poison ?? null;
  const errors = [serving, building].flatMap((each) =>
    each?.poison ? [{ collection: each.collection, ...each.poison }] : [],
  );
  return {
    name: view.name,
    version: view.version,
    state: stateOf({ poisoned: poison !== null, serves: serving !== undefined, building }),
    collection: serving?.collection ?? null,
    position: serving?.position ?? START,
    head,
    poison,
    errors,
    rate: serving ? serving.meter.perSecond(now) : null,
    rebuild: building
      ? {
          collection: building.collection,
          position: building.position,
          paused: building.paused,
          rate: building.meter.perSecond(now),
        }
      : null,
  };
}

/** The one word for it. */
export function stateOf(seen: {
  readonly poisoned: boolean;
  readonly serves: boolean;
  readonly building: { readonly paused: boolean } | null | undefined;
}): ViewStatus['state'] {
  if (seen.poisoned) return 'stopped';
  if (seen.building?.paused) return 'paused';
  if (!seen.serves) return 'building';
  return seen.building ? 'rebuilding' : 'live';
}
