import type { FailedStep, RunEvent, StepName } from '../../contracts/hypershift/run.events.js';
import type { View } from '../../src/kernel/views/view.js';

export type RunStatus = 'pending' | 'running' | 'completed' | 'failed' | 'blocked';

/** One document per run, with everything that `GET /runs/:id` shows. Times are ISO 8601 in UTC. */
export interface RunDoc {
  readonly id: string;
  readonly tenant: string;
  readonly status: RunStatus;
  /** 0 pending, 1–5 the step in hand, 6 completed. A failed run keeps the step it failed in. */
  readonly currentStep: number;
  readonly error: string | null;
  readonly userIntent: { readonly description: string; readonly target?: string; readonly constraints?: string };
  readonly outputs: Readonly<Partial<Record<StepName, unknown>>>;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly createdBy: string | null;
  readonly startedAt: string | null;
  readonly completedAt: string | null;
  readonly failedStep: FailedStep | null;
  readonly durationMs: number | null;
  readonly deploymentUrl: string | null;
  readonly codename: string | null;
  readonly tags: readonly string[];
  readonly requireApproval: boolean;
  readonly approvedAt: string | null;
  readonly approvedBy: string | null;
  readonly rejectedAt: string | null;
  readonly rejectedBy: string | null;
  readonly feedbackUseful: boolean | null;
  readonly feedbackDeploySucceeded: boolean | null;
  readonly feedbackAt: string | null;
}

/** The texts that clients look for in `error`. HyperShift API, "Get run". */
export const AWAITING = 'Awaiting approval for production deploy';
export const REJECTED = 'Production deploy rejected';
export const VETOED = 'Sentinel blocked deploy (security findings)';

const SENTINEL = 3;
const LAST = 5;
const COMPLETED = 6;

export const runView: View<RunDoc, RunEvent> = {
  name: 'hypershift.run',
  version: 1,
  indexes: [],
  types: [
    'run.created',
    'run.started',
    'step.started',
    'step.completed',
    'run.awaiting_approval',
    'run.approved',
    'run.rejected',
    'run.blocked',
    'run.completed',
    'run.failed',
    'feedback.recorded',
  ],
  keys: ({ event }) => [event.data.runId],

  evolve(doc, { event, at }) {
    if (event.type === 'run.created') return created(event.data, at);
    if (!doc) return null;
    const changed = { ...doc, updatedAt: at };
    switch (event.type) {
      case 'run.started':
        return { ...changed, status: 'running', currentStep: 1, startedAt: at };
      case 'step.offered':
      case 'step.returned':
        return doc;
      case 'step.started':
        return { ...changed, currentStep: event.data.index };
      case 'step.completed': {
        const outputs = { ...doc.outputs, [event.data.step]: event.data.output };
        return { ...changed, outputs, currentStep: stepAfter(event.data.index) };
      }
      case 'run.awaiting_approval':
        return { ...changed, status: 'blocked', currentStep: SENTINEL, error: AWAITING };
      case 'run.approved':
        return { ...changed, status: 'running', error: null, approvedAt: at, approvedBy: event.data.by };
      case 'run.rejected':
        return {
          ...changed,
          ...ended(at, event.data.durationMs),
          status: 'blocked',
          error: REJECTED,
          failedStep: 'approval',
          rejectedAt: at,
          rejectedBy: event.data.by,
        };
      case 'run.blocked':
        return {
          ...changed,
          ...ended(at, event.data.durationMs),
          status: 'blocked',
          currentStep: SENTINEL,
          error: VETOED,
          failedStep: 'sentinel',
        };
      case 'run.completed':
        return {
          ...changed,
          ...ended(at, event.data.durationMs),
          status: 'completed',
          currentStep: COMPLETED,
          error: null,
          deploymentUrl: event.data.deploymentUrl,
        };
      case 'run.failed': {
        const { error, failedStep, durationMs } = event.data;
        return { ...changed, ...ended(at, durationMs), status: 'failed', error, failedStep };
      }
      case 'feedback.recorded':
        return {
          ...changed,
          feedbackUseful: event.data.useful ?? doc.feedbackUseful,
          feedbackDeploySucceeded: event.data.deploySucceeded ?? doc.feedbackDeploySucceeded,
          feedbackAt: at,
        };
      case 'deploy.published':
      case 'deploy.succeeded':
      case 'rollback.executed':
        return doc;
    }
  },
};

function created(data: Extract<RunEvent, { type: 'run.created' }>['data'], at: string): RunDoc {
  return {
    id: data.runId,
    tenant: data.tenant,
    status: 'pending',
    currentStep: 0,
    error: null,
    userIntent: data.userIntent as RunDoc['userIntent'],
    outputs: {},
    createdAt: at,
    updatedAt: at,
    createdBy: data.createdBy,
    startedAt: null,
    completedAt: null,
    failedStep: null,
    durationMs: null,
    deploymentUrl: null,
    codename: data.codename,
    tags: data.tags,
    requireApproval: data.requireApproval,
    approvedAt: null,
    approvedBy: null,
    rejectedAt: null,
    rejectedBy: null,
    feedbackUseful: null,
    feedbackDeploySucceeded: null,
    feedbackAt: null,
  };
}

/** The next step is in hand as soon as one is done, but a run stays at Sentinel until SRE begins. */
function stepAfter(index: number): number {
  return index === SENTINEL ? SENTINEL : Math.min(index + 1, LAST);
}

function ended(at: string, durationMs: number): Pick<RunDoc, 'completedAt' | 'durationMs'> {
  return { completedAt: at, durationMs };
}
