/** The steps of a deploy pipeline, in the order in which they run. */
export const stepNames = ['architect', 'builder', 'sentinel', 'sre', 'finops'] as const;
export type StepName = (typeof stepNames)[number];

/** What the user asked for, spelled as on the wire. Absent keys stay absent. */
export interface UserIntent {
  readonly description: string;
  readonly target?: string;
  readonly constraints?: string;
}

/** The run for which a step works. */
export interface StepContext {
  readonly runId: string;
  readonly codename: string | null;
  /** Fires when the run's lease is lost or the server stops: the step ends at once and rejects with the reason. */
  readonly signal: AbortSignal;
}

/** Results of the steps before. Agents may be foreign programs, so nothing is promised about their shape. */
export interface StepInputs {
  readonly userIntent: UserIntent;
  /** The architect's output. */
  readonly blueprint?: unknown;
  /** The builder's output. */
  readonly buildPlan?: unknown;
  /** Where the build is published, ending with `/`; null or absent when it is not. */
  readonly deploymentUrl?: string | null;
}

/** Carries out one step. Running it again for the same run is harmless. */
export interface StepAgent {
  readonly name: StepName;

  /**
   * @returns Any JSON value; the run keeps it as that step's output.
   * @throws StepFailed when the step cannot succeed. Anything else that is thrown is a bug or the signal's reason.
   */
  run(inputs: StepInputs, context: StepContext): Promise<unknown>;
}

export type StepAgents = Readonly<Record<StepName, StepAgent>>;

/** The step is over without a result. The message is short, holds no path of the server, and may be shown to users. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed';
}
