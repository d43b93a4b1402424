import type { RunEvent, StepName } from '../../../../contracts/hypershift/run.events.js';
import { stepNames } from '../../../../contracts/hypershift/run.events.js';
import { Refused, TooLarge } from '../../../kernel/errors.js';
import type { Kernel } from '../../../kernel/kernel.js';
import type { Job } from '../../../kernel/ports/work-queue.js';
import type { Outcome } from '../../../kernel/streams.js';
import type { ForeignExecutor, ForeignTask } from '../../../kernel/work/foreign-executor.js';
import { MAX_ANSWER_BYTES, MAX_DEPTH, outputOf, requestBody } from '../agents/http-agent.js';
import { isJsonObject, isNestedDeeper } from '../agents/json.js';
import { runStream } from '../hypershift.streams.js';
import { inputsOf, isRunning, stepOf } from './pipeline.executor.js';
import { runDecider, type RunCommand, type RunState } from './run.decider.js';

/** All but the one before which the service publishes the build. */
export const offerable: readonly StepName[] = stepNames.filter((step) => step !== 'sre');
const OVERTAKEN = 'The step was given to another worker, or is over';

/** The kind of a step's jobs, as workers from outside name it. */
export function workerKind(step: StepName): string {
  return `hypershift.${step}`;
}

/**
 * A step that workers from outside do. They are given what an agent is sent by HTTP, and give back what it answers. Each
 * claim is another attempt of the step, so that of two workers the run hears one.
 */
export class WorkerStepExecutor implements ForeignExecutor {
  readonly kind: string;

  constructor(
    private readonly kernel: Kernel,
    private readonly step: StepName,
  ) {
    this.kind = workerKind(step);
  }

  async begin({ group: runId, payload }: Job): Promise<ForeignTask | undefined> {
    const { state, events } = await this.change(runId, {
      type: 'takeStep',
      step: this.step,
      index: Number(payload['index']),
    });
    if (events.length === 0 || !isRunning(state)) return undefined;
    const input = { ...requestBody(this.step, inputsOf(state, state.deploymentUrl), runId), run_id: runId };
    return { input, attempt: state.attempt };
  }

  async complete({ group: runId }: Job, attempt: number, answer: unknown): Promise<'recorded'> {
    const { step } = this;
    const output = outputOf(step, this.checked(answer));
    const { events } = await this.change(runId, { type: 'completeStep', step, attempt, output, thenBegin: false });
    if (events.length === 0) throw new Refused('conflict', OVERTAKEN);
    return 'recorded';
  }

  async fail({ group: runId }: Job, attempt: number, error: string): Promise<'recorded'> {
    const { events } = await this.change(runId, { type: 'failStep', step: this.step, attempt, error });
    if (events.length === 0) throw new Refused('conflict', OVERTAKEN);
    return 'recorded';
  }

  async exhausted({ group: runId, payload }: Job, error: string): Promise<void> {
    const { step } = this;
    const { state } = await this.change(runId, { type: 'takeStep', step, index: Number(payload['index']) });
    if (!isRunning(state) || stepOf(state) !== step) return;
    await this.change(runId, { type: 'failStep', step, attempt: state.attempt, error: `Given up: ${error}` });
  }

  /** What an agent may answer by HTTP, and nothing else. */
  private checked(answer: unknown): unknown {
    if (!isJsonObject(answer)) throw new Refused('invalid', `output: ${this.kind} gives a JSON object`);
    if (isNestedDeeper(answer, MAX_DEPTH)) throw new Refused('invalid', `output: at most ${MAX_DEPTH} levels of JSON`);
    if (Buffer.byteLength(JSON.stringify(answer)) > MAX_ANSWER_BYTES)
      throw new TooLarge(`output: at most ${MAX_ANSWER_BYTES} bytes`, MAX_ANSWER_BYTES);
    return answer;
  }

  private change(runId: string, command: RunCommand): Promise<Outcome<RunState, RunEvent>> {
    return this.kernel.streams.transact(runDecider, runStream(runId), command);
  }
}
