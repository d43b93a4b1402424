import { runEvents, type RunEvent } from '../../../contracts/hypershift/run.events.js';
import {
  apiKeyEvents,
  usageEvents,
  workspaceEvents,
  type UsageEvent,
} from '../../../contracts/hypershift/workspace.events.js';
import { apiKeyView } from '../../../projections/hypershift/api-key.view.js';
import { auditLogView } from '../../../projections/hypershift/audit-log.view.js';
import { lastDeployView } from '../../../projections/hypershift/last-deploy.view.js';
import { runSummaryView } from '../../../projections/hypershift/run-summary.view.js';
import { runView } from '../../../projections/hypershift/run.view.js';
import { usageView } from '../../../projections/hypershift/usage.view.js';
import { workspaceView } from '../../../projections/hypershift/workspace.view.js';
import { defineAggregate } from '../../kernel/aggregate.js';
import type { Recorded } from '../../kernel/event-catalog.js';
import type { Job } from '../../kernel/ports/work-queue.js';
import type { RunRules } from '../../kernel/runs/run-index.view.js';
import type { SystemDefinition } from '../../kernel/system.js';
import type { WorkRules } from '../../kernel/work/executor.js';
import { deploymentKeys } from './deployments/deployment-keys.js';
import { hypershiftDialect } from './hypershift.dialect.js';
import { apiKeyDecider } from './keys/api-key.decider.js';
import { runDecider } from './runs/run.decider.js';
import { workerKind } from './runs/worker-step.executor.js';
import { ReservedRunExecutor } from './runs/reserved-run.executor.js';
import { usageDecider } from './workspaces/usage.decider.js';
import { workspaceDecider } from './workspaces/workspace.decider.js';

const PIPELINE = 'hypershift.pipeline';
const GOES_ON: ReadonlySet<string> = new Set(['run.started', 'run.approved', 'step.returned']);

/** Which events set a pipeline going, and which end it. Each trigger has a job of its own, named by its event. */
const work: WorkRules = {
  system: 'hypershift',
  types: [
    'usage.run_reserved',
    'run.created',
    'run.started',
    'step.offered',
    'step.returned',
    'run.awaiting_approval',
    'run.approved',
    'run.rejected',
    'run.blocked',
    'run.completed',
    'run.failed',
  ],

  opens(recorded) {
    const { event, id, correlationId } = recorded as Recorded<RunEvent>;
    if (event.type === 'step.offered') {
      const { runId: group, step, index } = event.data;
      return [{ id, kind: workerKind(step), group, payload: { correlationId, index } }] satisfies Job[];
    }
    if (!GOES_ON.has(event.type)) return [];
    return [{ id, kind: PIPELINE, group: event.data.runId, payload: { correlationId } }] satisfies Job[];
  },

  expects(recorded) {
    const { event, id, correlationId } = recorded as Recorded<UsageEvent>;
    if (event.type !== 'usage.run_reserved') return [];
    return [
      { id, kind: ReservedRunExecutor.kind, group: event.data.runId, payload: { ...event.data, correlationId } },
    ] satisfies Job[];
  },

  ends(recorded) {
    const { event } = recorded as Recorded<RunEvent>;
    switch (event.type) {
      case 'run.created':
      case 'step.offered':
      case 'step.returned':
      case 'run.awaiting_approval':
      case 'run.rejected':
      case 'run.blocked':
      case 'run.completed':
      case 'run.failed':
        return event.data.runId;
      default:
        return undefined;
    }
  },

  cancels: () => undefined,
};

/** The states are those of `GET /runs`. A reserved run is asked for, and not there yet. */
const runs: RunRules = {
  types: [...work.types, 'usage.deploy_recorded'],
  state({ type }, before) {
    switch (type) {
      case 'usage.run_reserved':
        return before ?? 'reserved';
      case 'run.created':
        return 'pending';
      case 'run.started':
      case 'run.approved':
        return 'running';
      case 'run.awaiting_approval':
      case 'run.rejected':
      case 'run.blocked':
        return 'blocked';
      case 'run.completed':
        return 'completed';
      case 'run.failed':
        return 'failed';
      default:
        return undefined;
    }
  },
  artifacts: (runId) => [deploymentKeys(runId)],
};

/** What the kernel knows of HyperShift: an orchestrator of deploy pipelines. */
export const hypershift: SystemDefinition = {
  name: 'hypershift',
  dialect: hypershiftDialect,
  events: [...runEvents, ...workspaceEvents, ...usageEvents, ...apiKeyEvents],
  views: [runView, runSummaryView, auditLogView, workspaceView, usageView, apiKeyView, lastDeployView],
  work,
  aggregates: [
    defineAggregate({ prefix: 'hypershift.run-', decider: runDecider, ofRun: true, show: (state) => ({ ...state }) }),
    defineAggregate({ prefix: 'hypershift.workspace-', decider: workspaceDecider, ofRun: false }),
    defineAggregate({ prefix: 'hypershift.usage-', decider: usageDecider, ofRun: false }),
    defineAggregate({ prefix: 'hypershift.apikey-', decider: apiKeyDecider, ofRun: false }),
  ],
  runs,
};
