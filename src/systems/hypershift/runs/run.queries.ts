import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { auditLogView, type AuditEntryDoc } from '../../../../projections/hypershift/audit-log.view.js';
import { runSummaryView, type RunSummaryDoc } from '../../../../projections/hypershift/run-summary.view.js';
import { runView, type RunDoc } from '../../../../projections/hypershift/run.view.js';
import { Kernel } from '../../../kernel/kernel.js';
import { runNotFound } from '../hypershift.dialect.js';

/** One run. `tenant` undefined: whatever workspace it belongs to. */
export class GetRun extends Query<RunDoc> {
  constructor(
    readonly runId: string,
    readonly tenant: string | undefined,
  ) {
    super();
  }
}

/** A workspace's runs, newest first; only those with `tag` when it is given. */
export class ListRuns extends Query<RunSummaryDoc[]> {
  constructor(
    readonly tenant: string,
    readonly tag: string | undefined,
  ) {
    super();
  }
}

/** A run's audit log, oldest first. */
export class GetRunLogs extends Query<AuditEntryDoc[]> {
  constructor(
    readonly runId: string,
    readonly tenant: string | undefined,
  ) {
    super();
  }
}

@QueryHandler(GetRun)
export class GetRunHandler implements IQueryHandler<GetRun> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ runId, tenant }: GetRun): Promise<RunDoc> {
    const run = isKey(runId) ? await this.kernel.views.get(runView, runId, tenant) : undefined;
    if (!run || (tenant !== undefined && run.tenant !== tenant)) throw runNotFound();
    return run;
  }
}

@QueryHandler(ListRuns)
export class ListRunsHandler implements IQueryHandler<ListRuns> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ tenant, tag }: ListRuns): Promise<RunSummaryDoc[]> {
    const where = { tenant, ...(tag === undefined ? {} : { tags: tag }) };
    const query = { where, orderBy: ['createdAt', 'number'], descending: true };
    return this.kernel.views.findAll(runSummaryView, query, tenant);
  }
}

@QueryHandler(GetRunLogs)
export class GetRunLogsHandler implements IQueryHandler<GetRunLogs> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ runId, tenant }: GetRunLogs): Promise<AuditEntryDoc[]> {
    const run = isKey(runId) ? await this.kernel.views.get(runView, runId, tenant) : undefined;
    if (!run || (tenant !== undefined && run.tenant !== tenant)) throw runNotFound();
    return this.kernel.views.findAll(auditLogView, { where: { runId }, orderBy: ['id'] }, run.tenant);
  }
}

/** Ids come from outside; the kernel keeps keys that begin with `$` for itself. */
function isKey(id: string): boolean {
  return id !== '' && !id.startsWith('$');
}
