import type { DomainEvent, Recorded } from '../event-catalog.js';
import type { Job } from '../ports/work-queue.js';

/** What a system's events say about work: which jobs one opens, and which run's work it ends. */
export interface WorkRules {
  readonly system: string;
  /** The event types that open or end work. */
  readonly types: readonly string[];
  /**
   * The jobs that this event opens. Their ids must follow from the event alone: the event's id, or begin with it. Their
   * group must be no other system's: where run ids are plain numbers, it begins with the system's name.
   */
  opens(recorded: Recorded<DomainEvent>): readonly Job[];
  /** Jobs for what a command goes on to do by itself. They are put on the queue only when it never came to that. */
  expects(recorded: Recorded<DomainEvent>): readonly Job[];
  /** The group that has nothing left to do with this event; undefined when it ends none. */
  ends(recorded: Recorded<DomainEvent>): string | undefined;
  /** The group whose waiting jobs are taken off the queue with this event; undefined when it cancels none. */
  cancels(recorded: Recorded<DomainEvent>): string | undefined;
}

export interface JobContext {
  readonly job: Job;
  /** Delivery count, from 1. A job may be delivered again after a crash: look at the log before acting. */
  readonly attempt: number;
  /** Fires when the lease is lost or the service stops: give up, and report nothing. */
  readonly signal: AbortSignal;
}

/**
 * Does one kind of job. Must be safe to run twice: it reads from the log what is left to do.
 *
 * Resolves when nothing is left to do; rejects to be tried again after a backoff.
 */
export interface Executor {
  readonly kind: string;
  execute(context: JobContext): Promise<void>;
  /** The job failed `maxAttempts` times and will not be tried again: let the run end as the dialect says. */
  exhausted(job: Job, error: string): Promise<void>;
}
