import { z } from 'zod';
import { defineEvent, type EventOf } from '../define-event.js';

/**
 * What operators order of a projection, each projection on a stream of its own. The event is the order: whichever
 * process folds the projection carries it out, once, also when it learns of it late.
 */
const order = z.object({
  system: z.literal('runledger'),
  tenant: z.literal('runledger'),
  /** The view's name. */
  projection: z.string(),
});

/** Build it anew from the first event, beside the collection that serves. One that is being built already will do. */
export const projectionRebuildRequested = defineEvent('projection.rebuild_requested', { version: 1, data: order });

/** Hold the build of this collection where it is. */
export const projectionPaused = defineEvent('projection.paused', {
  version: 1,
  data: order.extend({ collection: z.string() }),
});

/** Let it go on. */
export const projectionResumed = defineEvent('projection.resumed', {
  version: 1,
  data: order.extend({ collection: z.string() }),
});

/** Pass over the event at which this collection has stopped; whatever else was in it stays unknown to the projection. */
export const projectionSkipped = defineEvent('projection.skipped', {
  version: 1,
  data: order.extend({
    collection: z.string(),
    /** Of the event that cannot be folded. */
    position: z.number().int(),
    eventId: z.string(),
    stream: z.string(),
    /** Why it could not. */
    error: z.string(),
  }),
});

/** Remove a collection that neither serves nor is being built. */
export const projectionCollectionDropped = defineEvent('projection.collection_dropped', {
  version: 1,
  data: order.extend({ collection: z.string() }),
});

export const projectionEvents = [
  projectionRebuildRequested,
  projectionPaused,
  projectionResumed,
  projectionSkipped,
  projectionCollectionDropped,
] as const;
export type ProjectionEvent = EventOf<(typeof projectionEvents)[number]>;
