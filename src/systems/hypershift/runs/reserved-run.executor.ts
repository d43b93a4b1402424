import { usageRunReserved, type UsageEvent } from '../../../../contracts/hypershift/workspace.events.js';
import type { Kernel } from '../../../kernel/kernel.js';
import type { Job } from '../../../kernel/ports/work-queue.js';
import type { Executor, JobContext } from '../../../kernel/work/executor.js';
import { createReserved } from './create-run.js';

type Reserved = Extract<UsageEvent, { type: 'usage.run_reserved' }>['data'];

/** Creates runs that were let through when the server ended before it could create them. */
export class ReservedRunExecutor implements Executor {
  static readonly kind = 'hypershift.reserved-run';
  readonly kind = ReservedRunExecutor.kind;

  constructor(private readonly kernel: Kernel) {}

  async execute({ job }: JobContext): Promise<void> {
    const { tenant, runId, run, number } = usageRunReserved.data.parse(job.payload) satisfies Reserved;
    await createReserved(this.kernel, { tenant, runId, run, number });
  }

  async exhausted({ id }: Job, error: string): Promise<void> {
    this.kernel.logger.error({ job: id, error }, 'a run that was let through could not be created');
  }
}
