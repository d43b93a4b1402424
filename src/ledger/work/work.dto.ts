import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { z } from 'zod';
import { Refused } from '../../kernel/errors.js';

export const MAX_WAIT_MS = 30_000;
const MAX_LIMIT = 100;
const MIN_LEASE_MS = 1_000;
const MAX_LEASE_MS = 3_600_000;
export const LEASE_MS = 30_000;

const text = z.string().min(1).max(1_000);
const claim = z.string().min(1);
const leaseMs = z.number().int().min(MIN_LEASE_MS).max(MAX_LEASE_MS);

/*
 * Checked by schemas and not by class-validator, which would copy what a worker has put out: whatever its size and depth.
 */
export const claimRequest = z.strictObject({
  kinds: z.array(text).min(1).max(50),
  worker: text,
  limit: z.number().int().min(1).max(MAX_LIMIT).default(1),
  leaseMs: leaseMs.default(LEASE_MS),
  waitMs: z.number().int().min(0).max(MAX_WAIT_MS).default(0),
});
export const heartbeatRequest = z.strictObject({ claim, leaseMs: leaseMs.default(LEASE_MS) });
export const completeRequest = z.strictObject({ claim, output: z.unknown().optional() });
export const failRequest = z.strictObject({
  claim,
  error: z.string().min(1).max(10_000),
  retry: z.boolean().default(true),
  delayMs: z.number().int().min(0).max(86_400_000).optional(),
});
export const deadQuery = z.strictObject({
  kind: text.optional(),
  limit: z
    .string()
    .regex(/^\d{1,4}$/, 'a number up to 1000')
    .transform(Number)
    .pipe(z.number().min(1).max(1_000))
    .optional(),
});

/** @throws Refused `invalid` that names the field. */
export function parsed<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const result = schema.safeParse(value ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys.join(', ') : undefined;
  const field = unknown ?? (issue?.path.join('.') || 'body');
  throw new Refused('invalid', `${field}: ${unknown === undefined ? issue?.message : 'is not known'}`);
}

export class ClaimRequestBody {
  @ApiProperty({ type: [String], description: 'What the worker can do; GET /ledger/work names what there is' })
  kinds!: string[];

  @ApiProperty({ description: 'A name for people' })
  worker!: string;

  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: 1 })
  limit?: number;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: MIN_LEASE_MS,
    maximum: MAX_LEASE_MS,
    default: LEASE_MS,
    description: 'How long a claim lasts without a heartbeat; then another worker gets the job',
  })
  leaseMs?: number;

  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    maximum: MAX_WAIT_MS,
    default: 0,
    description: 'How long to wait for a first job',
  })
  waitMs?: number;
}

export class ClaimedJobBody {
  @ApiProperty({ description: 'Proof of possession, for every report' })
  claim!: string;

  @ApiProperty()
  id!: string;

  @ApiProperty()
  kind!: string;

  @ApiProperty({ description: 'What the job is about: a run, as a rule' })
  group!: string;

  @ApiProperty({ type: 'integer', description: 'From 1' })
  attempt!: number;

  @ApiProperty({
    description: 'Any JSON: what there is to work on, as the kind describes it',
    type: 'object',
    additionalProperties: true,
  })
  input!: unknown;
}

export class ClaimedBody {
  @ApiProperty({ type: [ClaimedJobBody], description: 'None when nothing became ready in time' })
  jobs!: ClaimedJobBody[];
}

export class HeartbeatRequestBody {
  @ApiProperty()
  claim!: string;

  @ApiPropertyOptional({ type: 'integer', minimum: MIN_LEASE_MS, maximum: MAX_LEASE_MS, default: LEASE_MS })
  leaseMs?: number;
}

export class HeartbeatBody {
  @ApiProperty({ type: 'integer', description: 'The claim lasts so many ms from now' })
  leaseMs!: number;
}

export class CompleteRequestBody {
  @ApiProperty()
  claim!: string;

  @ApiPropertyOptional({ description: 'Any JSON, as the kind asks for it', type: 'object', additionalProperties: true })
  output?: unknown;
}

export class FailRequestBody {
  @ApiProperty()
  claim!: string;

  @ApiProperty({ description: 'What went wrong, in words that a user may read' })
  error!: string;

  @ApiPropertyOptional({ default: true, description: 'False: it will never succeed, and becomes a dead letter' })
  retry?: boolean;

  @ApiPropertyOptional({
    type: 'integer',
    description: 'Pause before the next attempt; by default it doubles each time',
  })
  delayMs?: number;
}

export class OutcomeBody {
  @ApiProperty({ enum: ['completed', 'retried', 'buried'] })
  outcome!: 'completed' | 'retried' | 'buried';

  @ApiPropertyOptional({ type: 'integer', description: 'Of a job that is tried again: after so many ms' })
  delayMs?: number;
}

export class KindBody {
  @ApiProperty()
  kind!: string;

  @ApiProperty({ description: 'Whether workers from outside do it, by claim' })
  foreign!: boolean;

  @ApiProperty({ type: 'integer', description: 'Ready now' })
  waiting!: number;

  @ApiProperty({ type: 'integer', description: 'Put off by a delay, or after a failure' })
  delayed!: number;

  @ApiProperty({ type: 'integer', description: 'In the hands of a worker' })
  leased!: number;

  @ApiProperty({ type: 'integer', description: 'Given up' })
  dead!: number;

  @ApiProperty({ type: Number, nullable: true, description: 'Age of the oldest job that is ready; null when none is' })
  oldestMs!: number | null;
}

export class WorkBody {
  @ApiProperty({ type: [KindBody] })
  kinds!: KindBody[];
}

export class DeadJobBody {
  @ApiProperty()
  id!: string;

  @ApiProperty()
  kind!: string;

  @ApiProperty()
  group!: string;

  @ApiProperty({ type: 'integer', description: 'How often it was tried' })
  attempts!: number;

  @ApiProperty()
  error!: string;

  @ApiProperty({ type: 'object', additionalProperties: true })
  payload!: unknown;
}

export class DeadJobsBody {
  @ApiProperty({ type: [DeadJobBody], description: 'Oldest first within a kind' })
  jobs!: DeadJobBody[];
}

export class DeadOutcomeBody {
  @ApiProperty()
  id!: string;

  @ApiProperty({ enum: ['requeued', 'discarded'] })
  outcome!: 'requeued' | 'discarded';
}
