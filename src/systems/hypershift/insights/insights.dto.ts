import { ApiProperty } from '@nestjs/swagger';
import type { RunSummaryDoc } from '../../../../projections/hypershift/run-summary.view.js';

export class UsageBody {
  @ApiProperty()
  workspace_id!: string;
  @ApiProperty({ example: '2025-02-01', description: 'First day of the month, UTC.' })
  period!: string;
  @ApiProperty({ type: 'integer', description: 'Runs created, replays included.' })
  runs!: number;
  @ApiProperty({ type: 'integer', enum: [10, 1000] })
  limit!: number;
  @ApiProperty({ enum: ['free', 'pro'] })
  tier!: string;
}

export class OutcomeBody {
  @ApiProperty()
  run_id!: string;
  @ApiProperty({ enum: ['completed', 'failed', 'blocked'] })
  status!: string;
  @ApiProperty({ type: 'integer', nullable: true })
  duration_ms!: number | null;
  @ApiProperty({ type: String, nullable: true })
  failed_step!: string | null;
  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  completed_at!: string | null;
}

export class OutcomesBody {
  @ApiProperty()
  workspace_id!: string;
  @ApiProperty({ type: [OutcomeBody], description: 'Newest first.' })
  outcomes!: readonly OutcomeBody[];
}

export class SloBody {
  @ApiProperty()
  workspace_id!: string;
  @ApiProperty({ type: 'integer', minimum: 1, maximum: 30 })
  days!: number;
  @ApiProperty({ type: 'integer' })
  total_runs!: number;
  @ApiProperty({ type: 'integer' })
  success_count!: number;
  @ApiProperty({ type: 'integer' })
  failure_count!: number;
  @ApiProperty({ type: 'integer' })
  blocked_count!: number;
  @ApiProperty({ minimum: 0, maximum: 1 })
  success_rate!: number;
  @ApiProperty({ type: Number, nullable: true })
  avg_duration_ms!: number | null;
}

export function toOutcome({ id, status, durationMs, failedStep, completedAt }: RunSummaryDoc): OutcomeBody {
  return { run_id: id, status, duration_ms: durationMs, failed_step: failedStep, completed_at: completedAt };
}
