import type { RunEvent, StepName } from '../../../../contracts/hypershift/run.events.js';
import { stepNames } from '../../../../contracts/hypershift/run.events.js';
import { Conflict, TooLarge, Unavailable } from '../../../kernel/errors.js';
import type { Kernel } from '../../../kernel/kernel.js';
import type { Job } from '../../../kernel/ports/work-queue.js';
import type { Outcome } from '../../../kernel/streams.js';
import type { Executor, JobContext } from '../../../kernel/work/executor.js';
import { StepFailed, type StepAgents, type StepInputs } from '../agents/step-agent.js';
import type { Deployments } from '../deployments/deployments.js';
import { periodOf, runStream, usageStream } from '../hypershift.streams.js';
import { usageDecider } from '../workspaces/usage.decider.js';
import { DEPLOYS_BEFORE, runDecider, type RunCommand, type RunState } from './run.decider.js';

export type Running = Exclude<RunState, { status: 'absent' }> & { status: 'running' };

export interface PipelineOptions {
  /** Pause between steps, in ms, so that people can follow. */
  readonly stepDelayMs: number;
  /** Steps that are left to workers from outside: the pipeline ends there, and another job goes on. @default none */
  readonly offers?: readonly StepName[];
}

/**
 * Takes a run through its pipeline, from wherever its stream says that it stands. Steps that are completed are not run
 * again; a worker that was overtaken finds its reports refused, and stops.
 */
export class PipelineExecutor implements Executor {
  readonly kind = 'hypershift.pipeline';

  constructor(
    private readonly kernel: Kernel,
    private readonly agents: StepAgents,
    private readonly deployments: Deployments,
    private readonly options: PipelineOptions,
  ) {}

  async execute({ job, signal }: JobContext): Promise<void> {
    const runId = job.group;
    let state = await this.enter(runId, signal);
    while (isRunning(state) && !state.offered) {
      const next = await this.runStep(runId, state, signal);
      if (next === 'overtaken') return;
      state = next;
      if (isRunning(state) && state.attempt === 0 && !state.offered) {
        await this.pause(signal);
        state = await this.begin(runId, state, signal);
      }
    }
    await this.countDeploy(state);
  }

  async exhausted(job: Job, error: string): Promise<void> {
    const state = await this.kernel.streams.read(runDecider, runStream(job.group));
    if (!isRunning(state)) return;
    const begun = await this.change(job.group, { type: 'beginStep' });
    if (!isRunning(begun.state)) return;
    const { attempt } = begun.state;
    await this.change(job.group, { type: 'failStep', step: stepOf(begun.state), attempt, error: `Given up: ${error}` });
  }

  /** The run as it stands, with its next step begun. */
  private async enter(runId: string, signal: AbortSignal): Promise<RunState> {
    const { stepDelayMs, offers = [] } = this.options;
    if (stepDelayMs === 0) return (await this.change(runId, { type: 'beginStep', offers })).state;
    const state = await this.kernel.streams.read(runDecider, runStream(runId));
    return isRunning(state) && !state.offered ? this.begin(runId, state, signal) : state;
  }

  /** HyperShift pauses after steps 1 to 4, and once more before the fourth. */
  private async begin(runId: string, state: Running, signal: AbortSignal): Promise<RunState> {
    if (stepOf(state) === DEPLOYS_BEFORE) await this.pause(signal);
    return (await this.change(runId, { type: 'beginStep', offers: this.options.offers ?? [] })).state;
  }

  private async runStep(runId: string, state: Running, signal: AbortSignal): Promise<RunState | 'overtaken'> {
    const { attempt } = state;
    const step = stepOf(state);
    let failing: StepName | 'deploy' = step;
    try {
      let deploymentUrl = state.deploymentUrl;
      if (step === DEPLOYS_BEFORE) {
        failing = 'deploy';
        deploymentUrl = await this.publish(runId, state, signal);
        failing = step;
      }
      const context = { runId, codename: state.run.codename, signal };
      // JSON has no undefined: an agent that gives nothing gives null.
      const output = (await this.agents[step].run(inputsOf(state, deploymentUrl), context)) ?? null;
      signal.throwIfAborted();
      const thenBegin = this.options.stepDelayMs === 0;
      const report = {
        type: 'completeStep',
        step,
        attempt,
        output,
        thenBegin,
        offers: this.options.offers ?? [],
      } as const;
      const done = await this.change(runId, report);
      return done.events.length === 0 ? 'overtaken' : done.state;
    } catch (error) {
      if (signal.aborted) throw error;
      if (error instanceof Unavailable || error instanceof Conflict) throw error;
      const reason = this.reasonOf(error, failing, runId);
      const failed = await this.change(runId, { type: 'failStep', step: failing, attempt, error: reason });
      // Refused, it says nothing about the run, which another attempt has in hand.
      return failed.events.length === 0 ? 'overtaken' : failed.state;
    }
  }

  /** Once only: an attempt that follows finds the address in the run. */
  private async publish(runId: string, state: Running, signal: AbortSignal): Promise<string | null> {
    if (state.deploymentUrl !== null) return state.deploymentUrl;
    const url = await this.deployments.publish(runId, state.outputs.builder, signal);
    if (url !== null) await this.change(runId, { type: 'publish', attempt: state.attempt, url });
    return url;
  }

  private async countDeploy(state: RunState): Promise<void> {
    if (state.status !== 'over' || !state.completed || state.deploymentUrl === null || state.startedAt === null) return;
    const { tenant, runId } = state.scope;
    const period = periodOf(Date.parse(state.startedAt));
    const command = { type: 'recordDeploy', tenant, period, runId } as const;
    await this.kernel.streams.transact(usageDecider, usageStream(tenant, period), command);
  }

  private async pause(signal: AbortSignal): Promise<void> {
    const { stepDelayMs } = this.options;
    if (stepDelayMs > 0) await this.kernel.ports.clock.sleep(stepDelayMs, signal);
    signal.throwIfAborted();
  }

  /** What the run says of a step that cannot succeed. What users must not see stays in the server's log. */
  private reasonOf(error: unknown, failing: StepName | 'deploy', runId: string): string {
    if (error instanceof StepFailed) return error.message;
    if (error instanceof TooLarge) return `The output of ${failing} is too large to be recorded`;
    this.kernel.logger.error({ err: error, runId, step: failing }, 'a step broke');
    return `The step ${failing} broke unexpectedly`;
  }

  private change(runId: string, command: RunCommand): Promise<Outcome<RunState, RunEvent>> {
    return this.kernel.streams.transact(runDecider, runStream(runId), command);
  }
}

export function isRunning(state: RunState): state is Running {
  return state.status === 'running';
}

export function stepOf({ index }: Running): StepName {
  const step = stepNames[index - 1];
  if (!step) throw new RangeError(`A pipeline has no step ${index}`);
  return step;
}

export function inputsOf({ run, outputs }: Running, deploymentUrl: string | null): StepInputs {
  const { architect: blueprint, builder: buildPlan } = outputs;
  return { userIntent: run.userIntent as StepInputs['userIntent'], blueprint, buildPlan, deploymentUrl };
}
