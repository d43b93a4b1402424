import { ApiProperty, ApiPropertyOptional, OmitType, PartialType } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsBoolean,
  IsIn,
  IsInt,
  IsNotEmpty,
  IsOptional,
  IsString,
  Length,
  Matches,
  Max,
  MaxLength,
  Min,
  ValidateIf,
} from 'class-validator';
import { DEFAULT_OVERLAP_MS, MAX_OVERLAP_MS } from './schedule.js';

const MAX_NAMES = 50;
const TYPE = /^(\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?)$/;
const TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;
const TIME_MESSAGE = '$property: a date, or a time with its zone: 2026-01-31 or 2026-01-31T12:00:00Z';
const WHOLE = { message: '$property: a position, a whole number from 0 on' };
const NAMES = { message: `$property: an array of 1 to ${MAX_NAMES} texts` };

/** May be absent, but not null. */
const Optional = (): PropertyDecorator => ValidateIf((_body, value) => value !== undefined);
const Position = (): PropertyDecorator => (target, name) => {
  Optional()(target, name);
  Max(Number.MAX_SAFE_INTEGER, WHOLE)(target, name);
  Min(0, WHOLE)(target, name);
  IsInt(WHOLE)(target, name);
};
const Secret = (): PropertyDecorator => (target, name) => {
  Optional()(target, name);
  // A message of our own: the usual one could quote it.
  IsString({ message: 'secret: a text' })(target, name);
};

export class CreateWebhookBody {
  @Length(1, 200, { message: 'tenant: 1 to 200 characters' })
  @IsString({ message: 'tenant: a text' })
  @Optional()
  @ApiPropertyOptional({ description: 'Whose events are told; may be left out where the token is for one tenant' })
  tenant?: string;

  @MaxLength(2_000, { message: 'url: 2000 characters at most' })
  @IsNotEmpty({ message: 'url: where to send to' })
  @IsString({ message: 'url: where to send to' })
  @ApiProperty({ description: 'http or https, without a user name', example: 'https://example.org/hooks' })
  url!: string;

  @MaxLength(1_000, { message: 'description: 1000 characters at most' })
  @IsString({ message: 'description: a text' })
  @Optional()
  @ApiPropertyOptional({ default: '' })
  description?: string;

  @Matches(TYPE, { each: true, message: 'types: each a type, a beginning such as run.*, or *' })
  @ArrayMaxSize(MAX_NAMES, NAMES)
  @ArrayMinSize(1, NAMES)
  @IsArray(NAMES)
  @ApiProperty({ type: [String], description: 'Types, or their beginnings; `*` for all', example: ['run.*'] })
  types!: string[];

  @IsString({ each: true, message: 'systems: each the name of a system' })
  @ArrayMaxSize(MAX_NAMES, NAMES)
  @ArrayMinSize(1, NAMES)
  @IsArray(NAMES)
  @IsOptional()
  @ApiPropertyOptional({ type: [String], nullable: true, description: 'Null or left out: all systems' })
  systems?: string[] | null;

  @Secret()
  @ApiPropertyOptional({ description: '`whsec_` and 24 to 64 bytes in base64; made by the server when left out' })
  secret?: string;

  @Position()
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    description: 'Begin after this position (0: with the first event); left out: with what is recorded from now on',
  })
  after?: number;
}

export class UpdateWebhookBody extends PartialType(
  OmitType(CreateWebhookBody, ['tenant', 'secret', 'after'] as const),
  { skipNullProperties: false },
) {}

export class EnableWebhookBody {
  @Position()
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    description: 'Go on after this position, and leave out what was recorded before; left out: where it stopped',
  })
  after?: number;
}

export class RotateSecretBody {
  @Secret()
  @ApiPropertyOptional({ description: '`whsec_` and 24 to 64 bytes in base64; made by the server when left out' })
  secret?: string;

  @Max(MAX_OVERLAP_MS, { message: `overlapMs: ${MAX_OVERLAP_MS} at most` })
  @Min(0, { message: 'overlapMs: 0 at least' })
  @IsInt({ message: 'overlapMs: a whole number' })
  @Optional()
  @ApiPropertyOptional({
    type: 'integer',
    minimum: 0,
    maximum: MAX_OVERLAP_MS,
    default: DEFAULT_OVERLAP_MS,
    description: 'For how long the former secret signs beside the new one, in ms',
  })
  overlapMs?: number;
}

export class DisabledBody {
  @ApiProperty({
    enum: ['operator', 'gone', 'failing'],
    description: 'Somebody did; it answered 410; it answered nothing with 2xx for five days',
  })
  reason!: string;

  @ApiProperty({ format: 'date-time' })
  at!: string;
}

export class SigningSecretBody {
  @ApiProperty({ type: String, nullable: true, format: 'date-time', description: 'Null for the newest' })
  until!: string | null;
}

export class WebhookHealthBody {
  @ApiProperty({ type: 'integer' })
  delivered!: number;

  @ApiProperty({ type: 'integer' })
  failedAttempts!: number;

  @ApiProperty({ type: 'integer', description: 'Deliveries that were given up' })
  abandoned!: number;

  @ApiProperty({ type: String, nullable: true, format: 'date-time' })
  lastSuccessAt!: string | null;

  @ApiProperty({ type: String, nullable: true, format: 'date-time' })
  lastFailureAt!: string | null;

  @ApiProperty({ type: String, nullable: true, format: 'date-time', description: 'Since when nothing has arrived' })
  failingSince!: string | null;
}

export class WebhookBody {
  @ApiProperty({ example: 'we_4h7q2m1c9x0b3k5v' })
  id!: string;

  @ApiProperty()
  tenant!: string;

  @ApiProperty()
  url!: string;

  @ApiProperty()
  description!: string;

  @ApiProperty({ type: [String] })
  types!: string[];

  @ApiProperty({ type: [String], nullable: true, description: 'Null: all systems' })
  systems!: string[] | null;

  @ApiProperty({ type: 'integer', description: 'Told is what lies after this position' })
  after!: number;

  @ApiProperty({ enum: ['enabled', 'disabled'] })
  status!: string;

  @ApiProperty({ type: DisabledBody, nullable: true })
  disabled!: DisabledBody | null;

  @ApiProperty({ type: [SigningSecretBody], description: 'How many secrets sign, newest first; never the secrets' })
  secrets!: SigningSecretBody[];

  @ApiProperty({ type: WebhookHealthBody, nullable: true, description: 'Null before the first attempt' })
  health!: WebhookHealthBody | null;

  @ApiProperty({ format: 'date-time' })
  createdAt!: string;

  @ApiProperty({ format: 'date-time' })
  updatedAt!: string;
}

export class WebhookWithSecretBody extends WebhookBody {
  @ApiProperty({ description: 'Shown this once, and never again', example: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD' })
  secret!: string;
}

export class WebhookListBody {
  @ApiProperty({ type: [WebhookBody] })
  webhooks!: WebhookBody[];
}

export class ListWebhooksQuery {
  @Length(1, 200, { message: 'tenant: 1 to 200 characters' })
  @IsString({ message: 'tenant: give it once' })
  @Optional()
  @ApiPropertyOptional()
  tenant?: string;
}

export const DEFAULT_DELIVERIES = 20;
export const MAX_DELIVERIES = 100;

export class ListDeliveriesQuery {
  @IsIn(['requested', 'retrying', 'delivered', 'dead'], { message: 'status: requested, retrying, delivered or dead' })
  @Optional()
  @ApiPropertyOptional({ enum: ['requested', 'retrying', 'delivered', 'dead'] })
  status?: 'requested' | 'retrying' | 'delivered' | 'dead';

  @Max(MAX_DELIVERIES, { message: `limit: ${MAX_DELIVERIES} at most` })
  @Min(1, { message: 'limit: 1 at least' })
  @IsInt({ message: 'limit: a whole number' })
  @Type(() => Number)
  @Optional()
  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: MAX_DELIVERIES, default: DEFAULT_DELIVERIES })
  limit?: number;

  @Length(1, 1_000, { message: 'cursor: take it from next of another page' })
  @IsString({ message: 'cursor: give it once' })
  @Optional()
  @ApiPropertyOptional({ description: '`next` of the page before' })
  cursor?: string;
}

export class ToldEventBody {
  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty()
  type!: string;

  @ApiProperty()
  system!: string;

  @ApiProperty()
  stream!: string;

  @ApiProperty({ type: 'integer' })
  revision!: number;

  @ApiProperty({ type: 'integer' })
  position!: number;

  @ApiProperty({ type: String, nullable: true })
  runId!: string | null;
}

export class AttemptRequestBody {
  @ApiProperty()
  url!: string;

  @ApiProperty({
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'As they were sent, but for the signature',
  })
  headers!: Record<string, string>;
}

export class DeliveryAttemptBody {
  @ApiProperty({ type: 'integer', description: 'How often the delivery had been asked for again' })
  round!: number;

  @ApiProperty({ type: 'integer', description: 'From 1 in each round' })
  attempt!: number;

  @ApiProperty({ type: AttemptRequestBody, description: 'The body is that of the delivery' })
  request!: AttemptRequestBody;

  @ApiProperty({ format: 'date-time' })
  sentAt!: string;

  @ApiProperty({ description: 'Until the answer was there, in ms' })
  durationMs!: number;

  @ApiProperty({ type: 'integer', nullable: true, description: 'Null when there was no answer' })
  status!: number | null;

  @ApiProperty({ description: 'The start of the answer: 1 KiB at most' })
  response!: string;

  @ApiProperty({ type: String, nullable: true, description: 'Why it failed; null when it arrived' })
  error!: string | null;
}

export class DeliveryBody {
  @ApiProperty({ format: 'uuid', description: '`webhook-id` of every attempt' })
  id!: string;

  @ApiProperty()
  webhook!: string;

  @ApiProperty({ enum: ['requested', 'retrying', 'delivered', 'dead'] })
  status!: string;

  @ApiProperty({ type: ToldEventBody, nullable: true, description: 'The event it tells of; null for a test' })
  event!: ToldEventBody | null;

  @ApiProperty({
    type: String,
    nullable: true,
    description: 'What is sent. In lists null where it is long, and to be asked for with the delivery itself',
  })
  body!: string | null;

  @ApiProperty({ format: 'date-time' })
  createdAt!: string;

  @ApiProperty({ format: 'date-time' })
  updatedAt!: string;

  @ApiProperty({ type: String, nullable: true, format: 'date-time', description: 'When the next attempt is due' })
  retryAt!: string | null;

  @ApiProperty({ type: [DeliveryAttemptBody], description: 'The newest 20, oldest first' })
  attempts!: DeliveryAttemptBody[];
}

export class DeliveryPageBody {
  @ApiProperty({ type: [DeliveryBody], description: 'Newest first; what waits for its first attempt is not there yet' })
  deliveries!: DeliveryBody[];

  @ApiProperty({ type: String, nullable: true })
  next!: string | null;
}

export class RequestedDeliveryBody {
  @ApiProperty({ format: 'uuid', description: 'To be found among the deliveries' })
  delivery!: string;
}

export class ResendBody {
  @IsBoolean({ message: 'failed: true or false' })
  @Optional()
  @ApiPropertyOptional({ description: 'Everything that was given up' })
  failed?: boolean;

  @Position()
  @ApiPropertyOptional({ type: 'integer', description: 'Whatever the filter lets through after this position' })
  after?: number;

  @Position()
  @ApiPropertyOptional({ type: 'integer', description: 'Before this position' })
  before?: number;

  @Matches(TIME, { message: TIME_MESSAGE })
  @Optional()
  @ApiPropertyOptional({ description: 'Recorded at this time or later', example: '2026-01-31T12:00:00Z' })
  from?: string;

  @Matches(TIME, { message: TIME_MESSAGE })
  @Optional()
  @ApiPropertyOptional({ description: 'Recorded before this time' })
  to?: string;
}

export class ResentBody {
  @ApiProperty({ type: 'integer', description: 'Deliveries that this request asked for' })
  requested!: number;

  @ApiProperty({ description: 'Whether that was all; otherwise send the same again, with `after` as `next` says' })
  complete!: boolean;

  @ApiProperty({ type: 'integer', nullable: true, description: 'The `after` to go on with in a range' })
  next!: number | null;
}
