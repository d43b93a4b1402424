import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { RunSummaryDoc } from '../../../../projections/hypershift/run-summary.view.js';
import { readDays, slo, windowStart } from './slo.js';

function outcome(status: RunSummaryDoc['status'], durationMs: number | null): RunSummaryDoc {
  return {
    id: 'req-abc-12345678',
    tenant: 'ws-acme',
    status,
    createdAt: '2026-01-01T00:00:00.000Z',
    number: 1,
    codename: null,
    tags: [],
    durationMs,
    failedStep: null,
    completedAt: '2026-01-01T00:00:01.000Z',
    outcome: true,
  };
}

describe('the number of days', () => {
  it.each([
    [undefined, 7],
    ['', 7],
    ['abc', 7],
    ['0', 7],
    ['-0', 7],
    ['NaN', 7],
    [['3', '4'], 7],
    ['1', 1],
    ['30', 30],
    ['31', 30],
    ['1e9', 30],
    ['Infinity', 30],
    ['-5', 1],
    ['-Infinity', 1],
    ['0.5', 1],
    ['2.9', 2],
    ['30.9', 30],
  ])('%j stands for %j', (given, days) => {
    expect(readDays(given)).toBe(days);
  });

  it('reaches back from now to the millisecond', () => {
    expect(windowStart(Date.parse('2026-03-08T12:00:00.123Z'), 7)).toBe('2026-03-01T12:00:00.123Z');
  });
});

describe('the figures', () => {
  it('are zero, and without an average, where nothing happened', () => {
    expect(slo([])).toEqual({
      total_runs: 0,
      success_count: 0,
      failure_count: 0,
      blocked_count: 0,
      success_rate: 0,
      avg_duration_ms: null,
    });
  });

  it('are neither rounded nor spoiled by runs without a duration', () => {
    const outcomes = [outcome('completed', 10), outcome('failed', 21), outcome('blocked', null)];
    expect(slo(outcomes)).toEqual({
      total_runs: 3,
      success_count: 1,
      failure_count: 1,
      blocked_count: 1,
      success_rate: 1 / 3,
      avg_duration_ms: 15.5,
    });
  });

  it('have no average where no run has a duration', () => {
    expect(slo([outcome('blocked', null)])).toMatchObject({ total_runs: 1, avg_duration_ms: null });
  });

  it('always add up', () => {
    const any = fc.record({
      status: fc.constantFrom('completed' as const, 'failed' as const, 'blocked' as const),
      durationMs: fc.option(fc.nat()),
    });
    fc.assert(
      fc.property(fc.array(any), (runs) => {
        const figures = slo(runs.map(({ status, durationMs }) => outcome(status, durationMs)));
        expect(figures.success_count + figures.failure_count + figures.blocked_count).toBe(figures.total_runs);
        expect(figures.success_rate).toBe(runs.length === 0 ? 0 : figures.success_count / runs.length);
      }),
    );
  });
});
