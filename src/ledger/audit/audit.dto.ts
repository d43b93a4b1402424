import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
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
