import { ApiProperty, ApiPropertyOptional, IntersectionType } from '@nestjs/swagger';
import { Transform } from 'class-transformer';
import { IsIn, IsInt, IsOptional, IsString, Length, Matches, Max, Min } from 'class-validator';
import { Refused } from '../../kernel/errors.js';
import type { Caller } from '../access/caller.js';
import { EventFilter } from './event-filter.js';
import type { Order } from './event-pages.js';

export const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;
const POSITION = /^\d{1,16}$/;
const TIME = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2}))?$/;
const TIME_MESSAGE = '$property: a date, or a time with its zone: 2026-01-31 or 2026-01-31T12:00:00Z';
const POSITION_MESSAGE = '$property: a position is a whole number';
/** Several values of one name come as an array: that is no text. */
const Text = (): PropertyDecorator => (target, name) => {
  IsOptional()(target, name);
  Length(1, 1_000, { message: '$property: 1 to 1000 characters' })(target, name);
  IsString({ message: '$property: give it once' })(target, name);
};

/** What events have to be. Criteria are met all together. */
export class EventFilterQuery {
  @Text()
  @ApiPropertyOptional({ description: 'The system whose stream the event is in' })
  system?: string;

  @Text()
  @ApiPropertyOptional()
  tenant?: string;

  @Text()
  @ApiPropertyOptional({
    description: 'A type, or the beginning of types with an asterisk; several are separated by commas',
    example: 'run.*',
  })
  type?: string;

  @Text()
  @ApiPropertyOptional({ description: 'The run that the event is about' })
  run?: string;

  @Text()
  @ApiPropertyOptional({ description: 'Who acted' })
  actor?: string;

  @Text()
  @ApiPropertyOptional({ description: 'The correlation id' })
  correlation?: string;

  @Matches(TIME, { message: TIME_MESSAGE })
  @Text()
  @ApiPropertyOptional({ description: 'Recorded at this time or later', example: '2026-01-31T12:00:00Z' })
  from?: string;

  @Matches(TIME, { message: TIME_MESSAGE })
  @Text()
  @ApiPropertyOptional({ description: 'Recorded before this time', example: '2026-02-01' })
  to?: string;

  @Matches(POSITION, { message: POSITION_MESSAGE })
  @Text()
  @ApiPropertyOptional({ description: 'At a higher position' })
  after?: string;

  @Matches(POSITION, { message: POSITION_MESSAGE })
  @Text()
  @ApiPropertyOptional({ description: 'At a lower position' })
  before?: string;
}

export class PageQuery {
  @IsIn(['asc', 'desc'], { message: 'order: asc or desc' })
  @IsOptional()
  @ApiPropertyOptional({ enum: ['asc', 'desc'], default: 'asc', description: "The log's order, or the newest first" })
  order?: Order;

  @Max(MAX_LIMIT, { message: `limit: ${MAX_LIMIT} at most` })
  @Min(1, { message: 'limit: 1 at least' })
  @IsInt({ message: 'limit: a whole number' })
  @Transform(({ value }: { value: unknown }) =>
    typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : NaN,
  )
  @IsOptional()
  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT })
  limit?: number;

  @Text()
  @ApiPropertyOptional({ description: '`next` or `previous` of another page, asked for with the same filters' })
  cursor?: string;
}

export class EventPageQuery extends IntersectionType(EventFilterQuery, PageQuery) {}

/** An event as it was recorded. */
export class EventBody {
  @ApiProperty({ type: 'integer', description: 'Place in the whole log: rising, with gaps' })
  position!: number;

  @ApiProperty({ format: 'uuid' })
  id!: string;

  @ApiProperty({ example: 'run.created' })
  type!: string;

  @ApiProperty({ description: 'What stands before the first dot of the stream' })
  system!: string;

  @ApiProperty({ type: String, nullable: true })
  tenant!: string | null;

  @ApiProperty()
  stream!: string;

  @ApiProperty({ type: 'integer', description: 'Place in its stream: 0, 1, 2 … without gaps' })
  revision!: number;

  @ApiProperty({ format: 'date-time' })
  at!: string;

  @ApiProperty({ type: String, nullable: true, description: 'Who acted; null when nobody was named' })
  actor!: string | null;

  @ApiProperty({ description: 'Shared by everything that followed from one request from outside' })
  correlationId!: string;

  @ApiProperty({ type: String, nullable: true, description: 'The event or request that led here' })
  causationId!: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'W3C trace context' })
  traceparent!: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'The command, where it had an Idempotency-Key' })
  commandId!: string | null;

  @ApiProperty({ type: 'integer', description: 'Of `data`, as it was written then' })
  schemaVersion!: number;

  @ApiProperty({ description: 'SHA-256 in hex: closes the chain of the stream' })
  hash!: string;

  @ApiProperty({ type: 'object', additionalProperties: true, description: 'As /docs/asyncapi describes it by type' })
  data!: Record<string, unknown>;
}

export class StreamPageBody {
  @ApiProperty({ type: [EventBody] })
  events!: EventBody[];

  @ApiProperty({ type: String, nullable: true, description: 'Cursor of the page that follows; null on the last one' })
  next!: string | null;

  @ApiProperty({ type: String, nullable: true, description: 'Cursor of the page before; null on the first one' })
  previous!: string | null;
}

export class EventPageBody extends StreamPageBody {
  @ApiProperty({
    type: 'integer',
    description: 'The highest position that was looked at: `after` it is what will be recorded later',
  })
  position!: number;
}

/**
 * @param after Goes before that of the query.
 * @throws Refused `invalid` for a time that is on no calendar, or a position that is no safe integer.
 */
export function filterOf(query: EventFilterQuery, caller: Caller, after?: number): EventFilter {
  const { system, tenant, type, run, actor, correlation } = query;
  const types = type?.split(',').map((each) => each.trim());
  if (types?.some((each) => !/^[^*]+\*?$|^\*$/.test(each))) {
    throw new Refused('invalid', 'type: types or beginnings such as run.*, separated by commas');
  }
  return new EventFilter(
    {
      system,
      tenant,
      types,
      run,
      actor,
      correlation,
      fromMs: timeOf('from', query.from),
      toMs: timeOf('to', query.to),
      after: after ?? positionOf('after', query.after),
      before: positionOf('before', query.before),
    },
    caller,
  );
}

export function positionOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const position = Number(text);
  if (POSITION.test(text) && Number.isSafeInteger(position)) return position;
  throw new Refused('invalid', `${name}: a position is a whole number`);
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new Refused('invalid', `${name}: there is no such time`);
  return ms;
}
