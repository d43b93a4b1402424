import type { Job } from '../ports/work-queue.js';

/** What a worker from outside is given to do. */
export interface ForeignTask {
  /** Any JSON value, as the kind describes it. */
  readonly input: unknown;
  /** Of what the log says is being tried; a report names it, so that one of an earlier attempt is known. */
  readonly attempt: number;
}

/**
 * One kind of job that is done by workers from outside, in whatever language: they claim it by HTTP, and report. A system
 * registers it beside its other executors, and opens such jobs by its work rules.
 *
 * The log decides, as ever. A job may be delivered again while its former worker still reports: every method looks at
 * what the log says before it changes anything.
 */
export interface ForeignExecutor {
  readonly kind: string;

  /** Begins an attempt. @returns undefined when nothing is left to do: the job leaves the queue. */
  begin(job: Job): Promise<ForeignTask | undefined>;

  /**
   * Takes an attempt's output.
   *
   * @returns `recorded` when the log has it; `queued` for a kind of which the log knows nothing: then the report counts
   *   if the lease still held.
   * @throws Refused `invalid` for an output that will not do, `conflict` for one of an attempt that is not in hand any
   *   more; nothing has changed then.
   */
  complete(job: Job, attempt: number, output: unknown): Promise<'recorded' | 'queued'>;

  /** Nobody will try again after this attempt: lets the run end as the dialect says. @returns, @throws as `complete` */
  fail(job: Job, attempt: number, error: string): Promise<'recorded' | 'queued'>;

  /** All workers that had it were lost: lets the run end, whichever attempt is in hand. */
  exhausted(job: Job, error: string): Promise<void>;
}
