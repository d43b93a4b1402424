import type { RunSummaryDoc } from '../../../../projections/hypershift/run-summary.view.js';
import type { SloBody } from './insights.dto.js';

const DAY_MS = 86_400_000;
const DEFAULT_DAYS = 7;
const MAX_DAYS = 30;

/** HyperShift API, "SLO": 7 where nothing usable is given, then 1 to 30, fractions dropped. */
export function readDays(given: unknown): number {
  const days = typeof given === 'string' ? Number(given) : Number.NaN;
  if (Number.isNaN(days) || days === 0) return DEFAULT_DAYS;
  return Math.trunc(Math.min(MAX_DAYS, Math.max(1, days)));
}

/** The moment from which outcomes count, ISO 8601 UTC. */
export function windowStart(nowMs: number, days: number): string {
  return new Date(nowMs - days * DAY_MS).toISOString();
}

/** HyperShift API, "SLO": figures over the outcomes of the window. */
export function slo(outcomes: readonly RunSummaryDoc[]): Omit<SloBody, 'workspace_id' | 'days'> {
  const count = (status: RunSummaryDoc['status']): number => outcomes.filter((run) => run.status === status).length;
  const durations = outcomes.map(({ durationMs }) => durationMs).filter((duration) => duration !== null);
  const total = outcomes.length;
  const success = count('completed');
  return {
    total_runs: total,
    success_count: success,
    failure_count: count('failed'),
    blocked_count: count('blocked'),
    success_rate: total === 0 ? 0 : success / total,
    avg_duration_ms: durations.length === 0 ? null : durations.reduce((sum, each) => sum + each, 0) / durations.length,
  };
}
