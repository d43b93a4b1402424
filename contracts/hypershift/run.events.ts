import { z } from 'zod';
import { defineEvent, type EventOf } from '../define-event.js';

const scope = z.object({ system: z.literal('hypershift'), tenant: z.string(), runId: z.string() });

/** The steps of a pipeline, in order. */
export const stepNames = ['architect', 'builder', 'sentinel', 'sre', 'finops'] as const;
export const stepName = z.enum(stepNames);
export type StepName = z.infer<typeof stepName>;

/** Where a run can fail: in a step, at the gate, or while publishing. */
export const failedStep = z.enum([...stepNames, 'approval', 'deploy']);
export type FailedStep = z.infer<typeof failedStep>;

/** What the user asked for. Absent keys stay absent. */
export const userIntent = z.strictObject({
  description: z.string(),
  target: z.string().optional(),
  constraints: z.string().optional(),
});

/** What a run is made of when it is asked for. */
export const runRequest = z.object({
  userIntent,
  codename: z.string().nullable(),
  tags: z.array(z.string()),
  requireApproval: z.boolean(),
  createdBy: z.string().nullable(),
  /** The run that this one repeats, and with which it starts at once. */
  replayOf: z.string().nullable(),
});
export type RunRequest = z.infer<typeof runRequest>;

/** A run was asked for. Nothing has been executed yet. `number` counts the workspace's runs of the month, from 1. */
export const runCreated = defineEvent('run.created', {
  version: 1,
  data: scope.extend({ ...runRequest.shape, number: z.number().int().min(1) }),
});

/** The pipeline was set going. */
export const runStarted = defineEvent('run.started', { version: 1, data: scope.extend({ by: z.string().nullable() }) });

/** A step was left to workers from outside: whichever claims it first begins it. */
export const stepOffered = defineEvent('step.offered', {
  version: 1,
  data: scope.extend({ step: stepName, index: z.number().int().min(1).max(5) }),
});

/** The output of a step that was offered was accepted, and the pipeline is to go on by itself. */
export const stepReturned = defineEvent('step.returned', {
  version: 1,
  data: scope.extend({ step: stepName, index: z.number().int().min(1).max(5) }),
});

/** A worker began a step. `index` counts steps from 1, `attempt` the tries at this step from 1. */
export const stepStarted = defineEvent('step.started', {
  version: 1,
  data: scope.extend({ step: stepName, index: z.number().int().min(1).max(5), attempt: z.number().int().min(1) }),
});

/** A step's output was accepted, as its agent gave it. */
export const stepCompleted = defineEvent('step.completed', {
  version: 1,
  data: scope.extend({ step: stepName, index: z.number().int().min(1).max(5), output: z.unknown() }),
});

/** Sentinel let the build pass, and a human must approve its deployment. */
export const runAwaitingApproval = defineEvent('run.awaiting_approval', { version: 1, data: scope });

/** A human allowed the deployment. `by` is `unknown` when nobody was named. */
export const runApproved = defineEvent('run.approved', { version: 1, data: scope.extend({ by: z.string() }) });

/** A human refused the deployment; the run stays blocked for good. */
export const runRejected = defineEvent('run.rejected', {
  version: 1,
  data: scope.extend({ by: z.string(), durationMs: z.number().int().min(0) }),
});

/** Sentinel vetoed the deployment; the run stays blocked for good. */
export const runBlocked = defineEvent('run.blocked', {
  version: 1,
  data: scope.extend({
    reason: z.literal('sentinel_veto'),
    findings: z.number().int().min(0),
    durationMs: z.number().int().min(0),
  }),
});

/** The build can be reached at `url`, for the checks of the steps that follow. */
export const deployPublished = defineEvent('deploy.published', { version: 1, data: scope.extend({ url: z.string() }) });

/** Every step is done. */
export const runCompleted = defineEvent('run.completed', {
  version: 1,
  data: scope.extend({ deploymentUrl: z.string().nullable(), durationMs: z.number().int().min(0) }),
});

/** The published build is the run's deployment. */
export const deploySucceeded = defineEvent('deploy.succeeded', {
  version: 1,
  data: scope.extend({ deploymentUrl: z.string() }),
});

/** A step failed, and the run with it. */
export const runFailed = defineEvent('run.failed', {
  version: 1,
  data: scope.extend({ error: z.string(), failedStep, durationMs: z.number().int().min(0) }),
});

/** Somebody rolled the run back; no infrastructure changes with it. */
export const rollbackExecuted = defineEvent('rollback.executed', {
  version: 1,
  data: scope.extend({ by: z.string().nullable() }),
});

/** Somebody said how the run went. What was not said is absent. */
export const feedbackRecorded = defineEvent('feedback.recorded', {
  version: 1,
  data: scope.extend({ useful: z.boolean().optional(), deploySucceeded: z.boolean().optional() }),
});

export const runEvents = [
  runCreated,
  runStarted,
  stepOffered,
  stepReturned,
  stepStarted,
  stepCompleted,
  runAwaitingApproval,
  runApproved,
  runRejected,
  runBlocked,
  deployPublished,
  runCompleted,
  deploySucceeded,
  runFailed,
  rollbackExecuted,
  feedbackRecorded,
] as const;
export type RunEvent = EventOf<(typeof runEvents)[number]>;
