import { Query, QueryHandler, type IQueryHandler } from '@nestjs/cqrs';
import { runSummaryView, type RunSummaryDoc } from '../../../../projections/hypershift/run-summary.view.js';
import { usageKey, usageView } from '../../../../projections/hypershift/usage.view.js';
import { workspaceKey, workspaceView } from '../../../../projections/hypershift/workspace.view.js';
import { Kernel } from '../../../kernel/kernel.js';
import { periodOf } from '../hypershift.streams.js';
import { monthlyLimit } from '../workspaces/tiers.js';
import { slo, windowStart } from './slo.js';
import type { SloBody, UsageBody } from './insights.dto.js';

/** What a workspace has used of the present month. */
export class GetUsage extends Query<UsageBody> {
  constructor(readonly tenant: string) {
    super();
  }
}

/** Completed, failed and blocked runs, newest first. */
export class ListOutcomes extends Query<RunSummaryDoc[]> {
  constructor(readonly tenant: string) {
    super();
  }
}

/** Success and duration over the last `days` days. */
export class GetSlo extends Query<SloBody> {
  constructor(
    readonly tenant: string,
    readonly days: number,
  ) {
    super();
  }
}

@QueryHandler(GetUsage)
export class GetUsageHandler implements IQueryHandler<GetUsage> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ tenant }: GetUsage): Promise<UsageBody> {
    const { views, ports } = this.kernel;
    const period = periodOf(ports.clock.now());
    const [usage, workspace] = await Promise.all([
      views.get(usageView, usageKey(tenant, period), tenant),
      views.get(workspaceView, workspaceKey(tenant), tenant),
    ]);
    const tier = workspace?.tier ?? 'free';
    return { workspace_id: tenant, period, runs: usage?.runs ?? 0, limit: monthlyLimit(tier), tier };
  }
}

@QueryHandler(ListOutcomes)
export class ListOutcomesHandler implements IQueryHandler<ListOutcomes> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ tenant }: ListOutcomes): Promise<RunSummaryDoc[]> {
    const query = { where: { tenant, outcome: true }, orderBy: ['createdAt', 'number'], descending: true };
    return this.kernel.views.findAll(runSummaryView, query, tenant);
  }
}

@QueryHandler(GetSlo)
export class GetSloHandler implements IQueryHandler<GetSlo> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ tenant, days }: GetSlo): Promise<SloBody> {
    const from = windowStart(this.kernel.ports.clock.now(), days);
    const query = { where: { tenant, completedAt: { gte: from } }, orderBy: ['completedAt'] };
    const outcomes = await this.kernel.views.findAll(runSummaryView, query, tenant);
    return { workspace_id: tenant, days, ...slo(outcomes) };
  }
}
