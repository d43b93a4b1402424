import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Refused } from '../../kernel/errors.js';
import type { ViewQuery } from '../../kernel/ports/view-store.js';
import type { CauseNode, CauseRoot, TimelineEntry } from './causation.js';
import type { Difference } from '../../kernel/differences.js';
import type { RunDifference, RunReport } from './run-audit.js';
import type { RunState, StreamState } from './run-history.js';

export class IndexedRunBody {
  @ApiProperty()
  system!: string;
  @ApiProperty()
  tenant!: string;
  @ApiProperty()
  runId!: string;
  @ApiProperty({ type: String, nullable: true, description: "In the words of the system's own API." })
  state!: string | null;
  @ApiProperty({ description: 'When the run was first heard of: ISO 8601 UTC.' })
  createdAt!: string;
  @ApiProperty({ description: 'When its state changed last: ISO 8601 UTC.' })
  stateSince!: string;
}

export class RunIndexBody {
  @ApiProperty({ type: [IndexedRunBody] })
  runs!: IndexedRunBody[];
  @ApiProperty({ type: String, nullable: true, description: 'Give it as `after` for the next page; null on the last.' })
  next!: string | null;
}

export class TimelineEntryBody implements TimelineEntry {
  @ApiProperty()
  position!: number;
  @ApiProperty()
  id!: string;
  @ApiProperty()
  type!: string;
  @ApiProperty()
  at!: string;
  @ApiProperty({ type: String, nullable: true })
  actor!: string | null;
  @ApiProperty()
  correlationId!: string;
  @ApiProperty({ type: String, nullable: true, description: 'The event that led to it; null for a request.' })
  causationId!: string | null;
  @ApiProperty()
  stream!: string;
  @ApiProperty()
  revision!: number;
  @ApiPropertyOptional({ description: 'What was recorded; only with `data=true`.' })
  data?: unknown;
}

export class CauseNodeBody implements CauseNode {
  @ApiProperty()
  position!: number;
  @ApiProperty()
  id!: string;
  @ApiProperty()
  type!: string;
  @ApiProperty()
  at!: string;
  @ApiProperty({ type: String, nullable: true })
  actor!: string | null;
  @ApiProperty({ type: () => [CauseNodeBody] })
  causes!: CauseNodeBody[];
}

export class CauseRootBody implements CauseRoot {
  @ApiProperty({ type: String, nullable: true, description: 'Null for a request from outside.' })
  causationId!: string | null;
  @ApiProperty()
  correlationId!: string;
  @ApiProperty({ type: [CauseNodeBody] })
  causes!: CauseNodeBody[];
}

export class StreamStateBody {
  @ApiProperty()
  stream!: string;
  @ApiProperty()
  revision!: number;
  @ApiProperty({ type: Object, nullable: true, additionalProperties: true })
  state!: StreamState['state'];
  @ApiPropertyOptional({ description: 'Why the state cannot be told.' })
  unreadable?: string;
}

export class RunStateBody {
  @ApiProperty({ description: 'Of the last event that is folded in; 0 before the first.' })
  position!: number;
  @ApiProperty({ type: String, nullable: true })
  at!: string | null;
  @ApiProperty({ description: 'How many events are folded in.' })
  events!: number;
  @ApiProperty({ type: String, nullable: true })
  state!: string | null;
  @ApiProperty({ type: String, nullable: true })
  stateSince!: string | null;
  @ApiProperty({ type: [StreamStateBody] })
  streams!: StreamStateBody[];
}

export class RunHistoryBody extends IndexedRunBody {
  @ApiProperty({ type: [String], description: "The run's own streams." })
  streams!: string[];
  @ApiProperty({ type: RunStateBody, description: 'As of `at`; now, where that is left out.' })
  asOf!: RunStateBody;
  @ApiProperty({ type: [TimelineEntryBody] })
  timeline!: TimelineEntryBody[];
  @ApiProperty({ type: Number, nullable: true, description: 'Give it as `after` for the next page; null on the last.' })
  next!: number | null;
  @ApiProperty({ type: [CauseRootBody], description: 'What led to what, over the whole history up to `at`.' })
  causation!: CauseRootBody[];
}

export class DifferenceBody implements Difference {
  @ApiProperty({ description: 'JSON Pointer (RFC 6901).' })
  path!: string;
  @ApiPropertyOptional({ description: 'Missing where nothing was there.' })
  before?: unknown;
  @ApiPropertyOptional({ description: 'Missing where nothing is there.' })
  after?: unknown;
}

export class RunDifferenceBody {
  @ApiProperty({ type: RunStateBody })
  from!: RunStateBody;
  @ApiProperty({ type: RunStateBody })
  to!: RunStateBody;
  @ApiProperty({ type: [DifferenceBody] })
  differences!: DifferenceBody[];
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

/** What `GET /ledger/runs` may be asked. */
export interface RunFilters {
  readonly system?: string | undefined;
  readonly tenant?: string | undefined;
  readonly state?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly limit?: string | undefined;
  readonly after?: string | undefined;
}

/** The query of a list of runs, newest first. @throws Refused for a time or a limit that is none. */
export function runQuery({ system, tenant, state, since, until, limit, after }: RunFilters): ViewQuery {
  const range = {
    ...(since === undefined ? {} : { gte: timeOf('since', since) }),
    ...(until === undefined ? {} : { lt: timeOf('until', until) }),
  };
  const where = {
    ...(system === undefined ? {} : { system }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(state === undefined ? {} : { state }),
    ...(since === undefined && until === undefined ? {} : { createdAt: range }),
  };
  return {
    where,
    orderBy: ['createdAt'],
    descending: true,
    limit: limitOf(limit),
    ...(after === undefined || after === '' ? {} : { after }),
  };
}

/** How many answers on one page. @throws Refused */
export function limitOf(text: string | undefined, standard = DEFAULT_LIMIT): number {
  if (text === undefined || text === '') return standard;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new Refused('invalid', `limit is a whole number from 1 to ${MAX_LIMIT}`);
}

function timeOf(name: string, text: string): string {
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return new Date(ms).toISOString();
  throw new Refused('invalid', `${name} is a time like 2026-01-30T12:00:00Z`);
}

function toRunState(state: RunState): RunStateBody {
  return { ...state, streams: state.streams.map((stream) => ({ ...stream })) };
}

export function toRun({ streams, asOf, timeline, causation, ...rest }: RunReport): RunHistoryBody {
  return {
    ...rest,
    streams: [...streams],
    asOf: toRunState(asOf),
    timeline: timeline.map((entry) => ({ ...entry })),
    causation: [...causation],
  };
}

export function toDifference({ from, to, differences }: RunDifference): RunDifferenceBody {
  return { from: toRunState(from), to: toRunState(to), differences: [...differences] };
}
