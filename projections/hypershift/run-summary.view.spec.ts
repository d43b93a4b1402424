import { describe, expect, it } from '@jest/globals';
import type { RunEvent } from '../../contracts/hypershift/run.events.js';
import { at, project, recorded, runEvent } from '../../test/support/hypershift-events.js';
import { runSummaryView, type RunSummaryDoc } from './run-summary.view.js';

function summary(...events: RunEvent[]): RunSummaryDoc | undefined {
  return project(runSummaryView, recorded([runEvent('run.created', { number: 4, tags: ['a'] }), ...events]))[0];
}

const started = runEvent('run.started');
const waiting = runEvent('run.awaiting_approval');
const end = (minute: number): Partial<RunSummaryDoc> => ({ outcome: true, completedAt: at(minute), durationMs: 1_500 });

describe('the summary of a run', () => {
  it('lists it before anything has happened, and counts no outcome', () => {
    expect(summary()).toEqual({
      id: 'req-abc-12345678',
      tenant: 'ws-acme',
      status: 'pending',
      createdAt: at(0),
      number: 4,
      codename: null,
      tags: ['a'],
      durationMs: null,
      failedStep: null,
      completedAt: null,
      outcome: false,
    });
    expect(summary(started)).toMatchObject({ status: 'running', outcome: false });
  });

  it('counts a waiting run as a blocked outcome without an end, and no longer once it is approved', () => {
    expect(summary(started, waiting)).toMatchObject({
      status: 'blocked',
      outcome: true,
      completedAt: null,
      durationMs: null,
      failedStep: null,
    });
    expect(summary(started, waiting, runEvent('run.approved'))).toMatchObject({ status: 'running', outcome: false });
  });

  it.each([
    ['completed', null, [runEvent('run.completed')]],
    ['failed', 'builder', [runEvent('run.failed')]],
    ['blocked', 'sentinel', [runEvent('run.blocked')]],
  ] as const)('of a run that ends as %s names the failed step %s', (status, failedStep, events) => {
    expect(summary(started, ...events)).toMatchObject({ status, failedStep, ...end(2) });
  });

  it('of a rejected run names the approval', () => {
    expect(summary(started, waiting, runEvent('run.rejected'))).toMatchObject({
      status: 'blocked',
      failedStep: 'approval',
      ...end(3),
    });
  });
});
