import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { plainToInstance } from 'class-transformer';
import { IsString, ValidateIf, validateSync } from 'class-validator';
import type { RunRequest } from '../../../../contracts/hypershift/run.events.js';
import type { AuditEntryDoc } from '../../../../projections/hypershift/audit-log.view.js';
import type { RunSummaryDoc } from '../../../../projections/hypershift/run-summary.view.js';
import type { RunDoc } from '../../../../projections/hypershift/run.view.js';
import { Refused } from '../../../kernel/errors.js';

/** What the user wants, in a sentence. */
export class UserIntentDto {
  @ApiProperty({ example: 'Deploy a Next.js app' })
  @IsString()
  description!: string;

  @ApiPropertyOptional({ example: 'production' })
  @ValidateIf((intent: UserIntentDto) => intent.target !== undefined)
  @IsString()
  target?: string;

  @ApiPropertyOptional({ example: 'free tier only' })
  @ValidateIf((intent: UserIntentDto) => intent.constraints !== undefined)
  @IsString()
  constraints?: string;
}

export class CreateRunDto {
  @ApiProperty({ type: UserIntentDto, description: 'Left out, the whole body is taken as the intent.' })
  user_intent!: UserIntentDto;

  @ApiPropertyOptional({ type: String, nullable: true })
  codename?: string | null;

  @ApiPropertyOptional({ type: [String] })
  tags?: string[];

  @ApiPropertyOptional({ default: false })
  require_approval?: boolean;
}

export class FeedbackDto {
  @ApiPropertyOptional()
  useful?: boolean;

  @ApiPropertyOptional()
  deploy_succeeded?: boolean;
}

/**
 * The intent of a body: its `user_intent`, or the body itself where that is absent or null. Unknown keys are dropped.
 *
 * @throws Refused `invalid` with `details` by field; none where there is no object at all.
 */
export function readIntent(body: unknown): RunRequest['userIntent'] {
  const fields = isObject(body) ? body : {};
  const given = fields['user_intent'] ?? body;
  if (!isObject(given)) throw new Refused('invalid', 'Invalid user_intent', { details: {} });
  const { description, target, constraints } = given;
  const known = {
    description,
    ...(target === undefined ? {} : { target }),
    ...(constraints === undefined ? {} : { constraints }),
  };
  const intent = plainToInstance(UserIntentDto, known);
  const problems = validateSync(intent);
  if (problems.length > 0) {
    const details = Object.fromEntries(problems.map((each) => [each.property, Object.values(each.constraints ?? {})]));
    throw new Refused('invalid', 'Invalid user_intent', { details });
  }
  return known as RunRequest['userIntent'];
}

/** A request to create a run. HyperShift API, "Create run": what is not of its type is as if it were not there. */
export function readRunRequest(body: unknown, createdBy: string | null): RunRequest {
  const userIntent = readIntent(body);
  const { codename, tags, require_approval } = body as Record<string, unknown>;
  return {
    userIntent,
    codename: typeof codename === 'string' ? codename : null,
    tags: Array.isArray(tags) ? tags.filter((tag) => typeof tag === 'string') : [],
    requireApproval: Boolean(require_approval),
    createdBy,
    replayOf: null,
  };
}

/** @throws Refused `invalid` when neither field is a boolean. */
export function readFeedback(body: unknown): { useful?: boolean; deploySucceeded?: boolean } {
  const { useful, deploy_succeeded: deploySucceeded } = isObject(body) ? body : {};
  const given = {
    ...(typeof useful === 'boolean' ? { useful } : {}),
    ...(typeof deploySucceeded === 'boolean' ? { deploySucceeded } : {}),
  };
  if (Object.keys(given).length > 0) return given;
  throw new Refused('invalid', 'Body must include useful or deploy_succeeded, true or false');
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export class RunIdBody {
  @ApiProperty({ example: 'req-mi8x2k1a-4f9d0c2b' })
  run_id!: string;
}

export class MessageBody {
  @ApiProperty()
  message!: string;
}

export class RunMessageBody extends MessageBody {
  @ApiProperty()
  run_id!: string;
}

export class RollbackBody extends MessageBody {
  @ApiProperty()
  audit_recorded!: boolean;
}

const STATUSES = ['pending', 'running', 'completed', 'failed', 'blocked'] as const;

export class RunSummaryBody {
  @ApiProperty()
  id!: string;
  @ApiProperty({ enum: STATUSES })
  status!: string;
  @ApiProperty({ format: 'date-time' })
  created_at!: string;
  @ApiProperty({ type: String, nullable: true })
  codename!: string | null;
  @ApiProperty({ type: [String] })
  tags!: readonly string[];
}

export class RunListBody {
  @ApiProperty({ type: [RunSummaryBody], description: 'Newest first, complete.' })
  runs!: readonly RunSummaryBody[];
}

const output = {
  description: "That step's output, any JSON; null until it is done.",
  oneOf: ['object', 'array', 'string', 'number', 'boolean', 'null'].map((type) => ({ type })),
};
const time = { type: String, format: 'date-time', nullable: true } as const;
const nullableText = { type: String, nullable: true } as const;
const nullableFlag = { type: Boolean, nullable: true } as const;

export class RunBody {
  @ApiProperty()
  id!: string;
  @ApiProperty({ enum: STATUSES })
  status!: string;
  @ApiProperty({ type: 'integer', minimum: 0, maximum: 6 })
  current_step!: number;
  @ApiProperty(nullableText)
  error!: string | null;
  @ApiProperty({ type: UserIntentDto })
  user_intent!: RunDoc['userIntent'];
  @ApiProperty(output)
  architect_output!: unknown;
  @ApiProperty(output)
  builder_output!: unknown;
  @ApiProperty(output)
  sentinel_output!: unknown;
  @ApiProperty(output)
  sre_output!: unknown;
  @ApiProperty(output)
  finops_output!: unknown;
  @ApiProperty({ format: 'date-time' })
  created_at!: string;
  @ApiProperty({ format: 'date-time' })
  updated_at!: string;
  @ApiProperty(nullableText)
  deployment_url!: string | null;
  @ApiProperty(nullableText)
  codename!: string | null;
  @ApiProperty({ type: [String] })
  tags!: readonly string[];
  @ApiProperty()
  require_approval!: boolean;
  @ApiProperty(time)
  approved_at!: string | null;
  @ApiProperty(nullableText)
  approved_by!: string | null;
  @ApiProperty(time)
  rejected_at!: string | null;
  @ApiProperty(nullableText)
  rejected_by!: string | null;
  @ApiProperty(nullableFlag)
  feedback_useful!: boolean | null;
  @ApiProperty(nullableFlag)
  feedback_deploy_succeeded!: boolean | null;
  @ApiProperty(time)
  feedback_at!: string | null;
  @ApiProperty()
  workspace_id!: string;
  @ApiProperty(nullableText)
  created_by!: string | null;
  @ApiProperty(time)
  started_at!: string | null;
  @ApiProperty(time)
  completed_at!: string | null;
  @ApiProperty(nullableText)
  failed_step!: string | null;
  @ApiProperty({ type: 'integer', nullable: true })
  duration_ms!: number | null;
}

export class AuditEntryBody {
  @ApiProperty({ type: 'integer', minimum: 1 })
  id!: number;
  @ApiProperty()
  run_id!: string;
  @ApiProperty({ format: 'date-time' })
  created_at!: string;
  @ApiProperty({ example: 'run.created' })
  action!: string;
  @ApiProperty(nullableText)
  actor!: string | null;
  @ApiProperty({ type: 'object', additionalProperties: true })
  details!: Readonly<Record<string, unknown>>;
}

export class RunLogsBody {
  @ApiProperty()
  run_id!: string;
  @ApiProperty({ type: [AuditEntryBody], description: 'Oldest first. Lines are never changed or removed.' })
  logs!: readonly AuditEntryBody[];
}

export function toRunSummary({ id, status, createdAt, codename, tags }: RunSummaryDoc): RunSummaryBody {
  return { id, status, created_at: createdAt, codename, tags };
}

export function toRun(doc: RunDoc): RunBody {
  const { outputs } = doc;
  return {
    id: doc.id,
    status: doc.status,
    current_step: doc.currentStep,
    error: doc.error,
    user_intent: doc.userIntent,
    architect_output: outputs.architect ?? null,
    builder_output: outputs.builder ?? null,
    sentinel_output: outputs.sentinel ?? null,
    sre_output: outputs.sre ?? null,
    finops_output: outputs.finops ?? null,
    created_at: doc.createdAt,
    updated_at: doc.updatedAt,
    deployment_url: doc.deploymentUrl,
    codename: doc.codename,
    tags: doc.tags,
    require_approval: doc.requireApproval,
    approved_at: doc.approvedAt,
    approved_by: doc.approvedBy,
    rejected_at: doc.rejectedAt,
    rejected_by: doc.rejectedBy,
    feedback_useful: doc.feedbackUseful,
    feedback_deploy_succeeded: doc.feedbackDeploySucceeded,
    feedback_at: doc.feedbackAt,
    workspace_id: doc.tenant,
    created_by: doc.createdBy,
    started_at: doc.startedAt,
    completed_at: doc.completedAt,
    failed_step: doc.failedStep,
    duration_ms: doc.durationMs,
  };
}

export function toAuditEntry({ id, runId, at, action, actor, details }: AuditEntryDoc): AuditEntryBody {
  return { id, run_id: runId, created_at: at, action, actor, details };
}
