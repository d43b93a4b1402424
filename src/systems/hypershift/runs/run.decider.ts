import type { FailedStep, RunEvent, RunRequest, StepName } from '../../../../contracts/hypershift/run.events.js';
import { stepNames } from '../../../../contracts/hypershift/run.events.js';
import type { Decider } from '../../../kernel/decider.js';
import { Refused } from '../../../kernel/errors.js';

export interface RunScope {
  readonly system: 'hypershift';
  readonly tenant: string;
  readonly runId: string;
}

export interface CreateCommand {
  readonly type: 'create';
  readonly scope: RunScope;
  readonly number: number;
  readonly run: RunRequest;
}

/** What happens to a run that exists. */
export type RunChange = (
  | { readonly type: 'start' }
  | { readonly type: 'approve' | 'reject'; readonly by: string }
  | {
      readonly type: 'beginStep';
      /** Steps that are left to workers from outside. @default none */
      readonly offers?: readonly StepName[];
    }
  /** A worker from outside takes the step that was offered to it, if it still is. */
  | { readonly type: 'takeStep'; readonly step: StepName; readonly index: number }
  | {
      readonly type: 'completeStep';
      readonly step: StepName;
      readonly attempt: number;
      readonly output: unknown;
      /** The same worker goes on with the next step at once. */
      readonly thenBegin: boolean;
      readonly offers?: readonly StepName[];
    }
  | { readonly type: 'failStep'; readonly step: FailedStep; readonly attempt: number; readonly error: string }
  | { readonly type: 'publish'; readonly attempt: number; readonly url: string }
  | { readonly type: 'rollBack'; readonly by: string | null }
  | { readonly type: 'giveFeedback'; readonly useful?: boolean; readonly deploySucceeded?: boolean }
) & {
  /** The workspace that the run must belong to; any, when left out. */
  readonly within?: string | undefined;
};

export type RunCommand = CreateCommand | RunChange;

export type Outputs = Partial<Record<StepName, unknown>>;

/** A run that exists. `index` is the step in hand, counted from 1; `attempt` is 0 before a worker has begun it. */
interface Existing {
  readonly scope: RunScope;
  readonly run: RunRequest;
  readonly startedAt: string | null;
  readonly index: number;
  readonly attempt: number;
  /** Whether the step in hand is left to workers from outside. */
  readonly offered: boolean;
  readonly outputs: Outputs;
  readonly deploymentUrl: string | null;
  /** Whether it went through to the end. */
  readonly completed: boolean;
}

export type RunState =
  { readonly status: 'absent' } | ({ readonly status: 'pending' | 'running' | 'waiting' | 'over' } & Existing);

/** The step that begins with publishing what was built. */
export const DEPLOYS_BEFORE: StepName = 'sre';
const LAST = stepNames.length;
const SENTINEL = stepNames.indexOf('sentinel') + 1;

/** One deploy pipeline. HyperShift API, "Runs"; the state machine of its section on runs. */
export const runDecider: Decider<RunState, RunCommand, RunEvent> = {
  initial: { status: 'absent' },

  decide(command, state, at) {
    if (command.type === 'create') return state.status === 'absent' ? created(command) : [];
    if (state.status === 'absent') throw new Refused('not_found', 'Run not found');
    const { scope } = state;
    // HyperShift API: a run of another workspace than the one that was named does not exist.
    if (command.within !== undefined && command.within !== scope.tenant)
      throw new Refused('not_found', 'Run not found');
    switch (command.type) {
      case 'start':
        if (state.status !== 'pending') throw new Refused('conflict', 'Run is not pending');
        return [{ type: 'run.started', data: { ...scope, by: state.run.createdBy } }];
      case 'approve':
        assertWaiting(state);
        return [{ type: 'run.approved', data: { ...scope, by: command.by } }];
      case 'reject':
        assertWaiting(state);
        return [{ type: 'run.rejected', data: { ...scope, by: command.by, durationMs: duration(state, at) } }];
      case 'beginStep':
        if (state.status !== 'running' || state.offered) return [];
        return [next(state, state.index, state.attempt + 1, command.offers)];
      case 'takeStep':
        if (state.status !== 'running' || !state.offered || state.index !== command.index) return [];
        return [begun(state, state.index, state.attempt + 1)];
      case 'completeStep':
        return holds(state, command.attempt, command.step) ? completed(state, command, at) : [];
      case 'failStep': {
        const { error, step: failedStep } = command;
        if (!holds(state, command.attempt, failedStep === 'deploy' ? DEPLOYS_BEFORE : failedStep)) return [];
        return [{ type: 'run.failed', data: { ...scope, error, failedStep, durationMs: duration(state, at) } }];
      }
      case 'publish':
        if (!holds(state, command.attempt, DEPLOYS_BEFORE) || state.deploymentUrl !== null) return [];
        return [{ type: 'deploy.published', data: { ...scope, url: command.url } }];
      case 'rollBack':
        return [{ type: 'rollback.executed', data: { ...scope, by: command.by } }];
      case 'giveFeedback': {
        const { useful, deploySucceeded } = command;
        const given = {
          ...(useful === undefined ? {} : { useful }),
          ...(deploySucceeded === undefined ? {} : { deploySucceeded }),
        };
        return [{ type: 'feedback.recorded', data: { ...scope, ...given } }];
      }
    }
  },

  evolve(state, event, at) {
    if (event.type === 'run.created') return begin(event);
    if (state.status === 'absent') return state;
    switch (event.type) {
      case 'run.started':
        return { ...state, status: 'running', startedAt: at, index: 1, attempt: 0 };
      case 'step.offered':
        return { ...state, index: event.data.index, offered: true };
      case 'step.started':
        return { ...state, index: event.data.index, attempt: event.data.attempt };
      case 'step.completed':
        return {
          ...state,
          index: Math.min(event.data.index + 1, LAST),
          attempt: 0,
          offered: false,
          outputs: { ...state.outputs, [event.data.step]: event.data.output },
        };
      case 'run.awaiting_approval':
        return { ...state, status: 'waiting' };
      case 'run.approved':
        return { ...state, status: 'running' };
      case 'deploy.published':
        return { ...state, deploymentUrl: event.data.url };
      case 'run.completed':
        return { ...state, status: 'over', completed: true };
      case 'run.rejected':
      case 'run.blocked':
      case 'run.failed':
        return { ...state, status: 'over' };
      case 'step.returned':
      case 'deploy.succeeded':
      case 'rollback.executed':
      case 'feedback.recorded':
        return state;
    }
  },
};

function begin({ data }: Extract<RunEvent, { type: 'run.created' }>): RunState {
  const { system, tenant, runId, number: _number, ...run } = data;
  return {
    status: 'pending',
    scope: { system, tenant, runId },
    run,
    startedAt: null,
    index: 0,
    attempt: 0,
    offered: false,
    outputs: {},
    deploymentUrl: null,
    completed: false,
  };
}

/** A run that repeats another starts at once. */
function created({ scope, number, run }: CreateCommand): RunEvent[] {
  const event: RunEvent = { type: 'run.created', data: { ...scope, number, ...run } };
  return run.replayOf === null ? [event] : [event, { type: 'run.started', data: { ...scope, by: run.createdBy } }];
}

/** What follows from an accepted output: the next step, the gate, a veto, or the end. */
function completed(state: Existing, report: Extract<RunChange, { type: 'completeStep' }>, at: string): RunEvent[] {
  const { step, output, thenBegin } = report;
  const { scope, index, deploymentUrl } = state;
  const done: RunEvent = { type: 'step.completed', data: { ...scope, step, index, output } };
  const durationMs = duration(state, at);
  if (step === 'sentinel' && vetoes(output)) {
    const findings = countFindings(output);
    return [done, { type: 'run.blocked', data: { ...scope, reason: 'sentinel_veto', findings, durationMs } }];
  }
  // HyperShift API, "Approve run": the veto comes first, then the gate.
  if (index === SENTINEL && state.run.requireApproval) return [done, { type: 'run.awaiting_approval', data: scope }];
  // Whoever did the step does not go on with the run: somebody must.
  const over: RunEvent[] = state.offered ? [done, { type: 'step.returned', data: { ...scope, step, index } }] : [done];
  if (index < LAST) return thenBegin ? [...over, next(state, index + 1, 1, report.offers)] : over;
  const end: RunEvent[] = [...over, { type: 'run.completed', data: { ...scope, deploymentUrl, durationMs } }];
  if (deploymentUrl !== null) end.push({ type: 'deploy.succeeded', data: { ...scope, deploymentUrl } });
  return end;
}

/** The step is begun by whoever asks, or offered to others. */
function next(state: Existing, index: number, attempt: number, offers: readonly StepName[] = []): RunEvent {
  const begins = begun(state, index, attempt);
  const { step } = begins.data;
  return offers.includes(step) ? { type: 'step.offered', data: { ...state.scope, step, index } } : begins;
}

function begun(state: Existing, index: number, attempt: number): Extract<RunEvent, { type: 'step.started' }> {
  const step = stepNames[index - 1];
  if (!step) throw new RangeError(`A pipeline has no step ${index}`);
  return { type: 'step.started', data: { ...state.scope, step, index, attempt } };
}

/** Whether a report comes from the attempt that has the step in hand: an earlier one was given up. */
function holds(state: Exclude<RunState, { status: 'absent' }>, attempt: number, step: FailedStep): boolean {
  const inHand = state.status === 'running' && state.attempt === attempt && attempt > 0;
  // Every step counts its attempts from 1.
  return inHand && stepNames[state.index - 1] === step;
}

function assertWaiting(state: Exclude<RunState, { status: 'absent' }>): void {
  if (state.status !== 'waiting') throw new Refused('conflict', 'Run is not awaiting approval');
}

function vetoes(output: unknown): boolean {
  return typeof output === 'object' && output !== null && (output as { veto?: unknown }).veto === true;
}

function countFindings(output: unknown): number {
  const { findings } = output as { findings?: unknown };
  return Array.isArray(findings) ? findings.length : 0;
}

/** From the start to now in whole ms, never negative however the clock was set meanwhile. */
function duration({ startedAt }: Existing, at: string): number {
  return startedAt === null ? 0 : Math.max(0, Date.parse(at) - Date.parse(startedAt));
}
