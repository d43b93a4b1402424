import type { RunEvent } from '../../contracts/hypershift/run.events.js';
import type { View } from '../../src/kernel/views/view.js';

/** One document per line of a run's audit log, spelled as on the wire. It never changes. */
export interface AuditEntryDoc {
  readonly runId: string;
  /** Rises along the log and never changes; not without gaps: it is the event's place in the run's stream, from 1. */
  readonly id: number;
  readonly at: string;
  readonly action: string;
  readonly actor: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

export const auditLogView: View<AuditEntryDoc, RunEvent> = {
  name: 'hypershift.audit-log',
  version: 1,
  indexes: [{ fields: ['runId', 'id'] }],
  writeOnce: true,
  types: [
    'run.created',
    'run.started',
    'step.completed',
    'run.blocked',
    'run.awaiting_approval',
    'run.approved',
    'run.rejected',
    'run.completed',
    'deploy.succeeded',
    'run.failed',
    'rollback.executed',
  ],
  keys: ({ event, revision }) => [`${event.data.runId}:${revision}`],

  evolve(doc, { event, revision, at, actor: caller }) {
    const line = lineOf(event, caller);
    if (doc || !line) return doc ?? null;
    const { actor, details } = line;
    return { runId: event.data.runId, id: revision + 1, at, action: event.type, actor, details };
  },
};

/** HyperShift API, "Get run logs": what each action tells, and whom it names. */
function lineOf(event: RunEvent, caller: string | null): Pick<AuditEntryDoc, 'actor' | 'details'> | undefined {
  const { data } = event;
  switch (event.type) {
    case 'run.created': {
      const { userIntent, createdBy } = event.data;
      return { actor: createdBy, details: { user_intent: userIntent, created_by: createdBy } };
    }
    case 'run.started':
      return { actor: event.data.by ?? 'system', details: { run_id: data.runId } };
    case 'step.completed':
      return { actor: null, details: { step: event.data.step, output: event.data.output } };
    case 'run.blocked':
      return { actor: null, details: { reason: event.data.reason } };
    case 'run.awaiting_approval':
      return { actor: null, details: {} };
    case 'run.approved':
    case 'run.rejected':
      return { actor: caller, details: { by: event.data.by } };
    case 'run.completed':
      return {
        actor: null,
        details: { deployment_url: event.data.deploymentUrl, duration_ms: event.data.durationMs },
      };
    case 'deploy.succeeded':
      return { actor: null, details: { deployment_url: event.data.deploymentUrl } };
    case 'run.failed':
      return { actor: null, details: { error: event.data.error, failed_step: event.data.failedStep } };
    case 'rollback.executed':
      return { actor: caller, details: { run_id: data.runId } };
    case 'step.offered':
    case 'step.returned':
    case 'step.started':
    case 'deploy.published':
    case 'feedback.recorded':
      return undefined;
  }
}
