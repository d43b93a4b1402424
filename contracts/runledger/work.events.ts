import { z } from 'zod';
import { defineEvent, type EventOf } from '../define-event.js';

/** A job that had been given up, and what an operator made of it. Recorded before it is done. */
const deadJob = z.object({
  system: z.literal('runledger'),
  tenant: z.literal('runledger'),
  jobId: z.string(),
  kind: z.string(),
  /** What the job is about: a run's id, as a rule. */
  group: z.string(),
  /** Why it had been given up. */
  error: z.string(),
});

/** It was to be tried again, its attempts counted anew. */
export const workRequeued = defineEvent('work.requeued', { version: 1, data: deadJob });

/** It was to be removed for good. */
export const workDiscarded = defineEvent('work.discarded', { version: 1, data: deadJob });

export const workEvents = [workRequeued, workDiscarded] as const;
export type WorkEvent = EventOf<(typeof workEvents)[number]>;
