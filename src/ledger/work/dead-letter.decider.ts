import type { WorkEvent } from '../../../contracts/runledger/work.events.js';
import type { Decider } from '../../kernel/decider.js';
import { streamPart } from '../../kernel/stream-part.js';

export const DEAD_LETTER_PREFIX = 'runledger.job-';

export const deadLetterStream = (jobId: string): string => `${DEAD_LETTER_PREFIX}${streamPart(jobId)}`;

/** Records what an operator made of a job that had been given up: whoever does so has seen that it is there. */
export const deadLetterDecider: Decider<null, WorkEvent, WorkEvent> = {
  initial: null,
  lastEventOnly: true,
  decide: (event) => [event],
  evolve: () => null,
};
