import type { FailedStep, RunEvent } from '../../contracts/hypershift/run.events.js';
import type { View } from '../../src/kernel/views/view.js';
import type { RunStatus } from './run.view.js';

/** One small document per run, for lists, outcomes and the SLO. Times are ISO 8601 in UTC. */
export interface RunSummaryDoc {
  readonly id: string;
  readonly tenant: string;
  readonly status: RunStatus;
  readonly createdAt: string;
  /** Counts the workspace's runs of a month: orders runs that were created in the same millisecond. */
  readonly number: number;
  readonly codename: string | null;
  readonly tags: readonly string[];
  readonly durationMs: number | null;
  readonly failedStep: FailedStep | null;
  readonly completedAt: string | null;
  /** Whether it counts as an outcome: completed, failed or blocked, a run that waits at the gate included. */
  readonly outcome: boolean;
}

export const runSummaryView: View<RunSummaryDoc, RunEvent> = {
  name: 'hypershift.run-summary',
  version: 1,
  indexes: [
    { fields: ['tenant', 'createdAt', 'number'] },
    { fields: ['tenant', 'outcome', 'createdAt', 'number'] },
    { fields: ['tenant', 'completedAt'] },
  ],
  arrays: ['tags'],
  types: [
    'run.created',
    'run.started',
    'run.awaiting_approval',
    'run.approved',
    'run.rejected',
    'run.blocked',
    'run.completed',
    'run.failed',
  ],
  keys: ({ event }) => [event.data.runId],

  evolve(doc, { event, at }) {
    if (event.type === 'run.created') {
      const { runId: id, tenant, number, codename, tags } = event.data;
      const open = { durationMs: null, failedStep: null, completedAt: null, outcome: false };
      return { id, tenant, status: 'pending', createdAt: at, number, codename, tags, ...open };
    }
    if (!doc) return null;
    switch (event.type) {
      case 'run.started':
      case 'run.approved':
        return { ...doc, status: 'running', outcome: false };
      case 'run.awaiting_approval':
        return { ...doc, status: 'blocked', outcome: true };
      case 'run.rejected':
        return ended(doc, 'blocked', 'approval', at, event.data.durationMs);
      case 'run.blocked':
        return ended(doc, 'blocked', 'sentinel', at, event.data.durationMs);
      case 'run.completed':
        return ended(doc, 'completed', null, at, event.data.durationMs);
      case 'run.failed':
        return ended(doc, 'failed', event.data.failedStep, at, event.data.durationMs);
      case 'step.offered':
      case 'step.returned':
      case 'step.started':
      case 'step.completed':
      case 'deploy.published':
      case 'deploy.succeeded':
      case 'rollback.executed':
      case 'feedback.recorded':
        return doc;
    }
  },
};

function ended(
  doc: RunSummaryDoc,
  status: RunStatus,
  failedStep: FailedStep | null,
  completedAt: string,
  durationMs: number,
): RunSummaryDoc {
  return { ...doc, status, failedStep, completedAt, durationMs, outcome: true };
}
