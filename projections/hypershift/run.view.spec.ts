import { describe, expect, it } from '@jest/globals';
import type { RunEvent } from '../../contracts/hypershift/run.events.js';
import { at, project, recorded, runEvent } from '../../test/support/hypershift-events.js';
import { AWAITING, REJECTED, runView, VETOED, type RunDoc } from './run.view.js';

/** The run as it is shown after these events. */
function shown(...events: RunEvent[]): RunDoc | undefined {
  return project(runView, recorded(events))[0];
}

const created = runEvent('run.created');
const started = runEvent('run.started');
const sentinel = runEvent('step.started', { step: 'sentinel', index: 3 });
const waiting = [created, started, sentinel, runEvent('run.awaiting_approval')];

describe('a run, as it is shown,', () => {
  it('begins pending, with everything else open', () => {
    const intent = { description: 'Deploy', target: 'production' };
    const asked = { userIntent: intent, codename: 'kite', tags: ['a'], requireApproval: true, createdBy: 'ann' };
    expect(shown(runEvent('run.created', asked))).toEqual({
      ...asked,
      id: 'req-abc-12345678',
      tenant: 'ws-acme',
      status: 'pending',
      currentStep: 0,
      error: null,
      outputs: {},
      createdAt: at(0),
      updatedAt: at(0),
      startedAt: null,
      completedAt: null,
      failedStep: null,
      durationMs: null,
      deploymentUrl: null,
      approvedAt: null,
      approvedBy: null,
      rejectedAt: null,
      rejectedBy: null,
      feedbackUseful: null,
      feedbackDeploySucceeded: null,
      feedbackAt: null,
    });
  });

  it('is in its first step as soon as it is started', () => {
    expect(shown(created, started)).toMatchObject({
      status: 'running',
      currentStep: 1,
      startedAt: at(1),
      updatedAt: at(1),
    });
  });

  it('has the next step in hand as soon as one is done, and keeps each output', () => {
    const done = [created, started, runEvent('step.completed', { output: { plan: 1 } })];
    expect(shown(...done)).toMatchObject({ currentStep: 2, outputs: { architect: { plan: 1 } }, updatedAt: at(2) });
    const next = shown(...done, runEvent('step.started', { step: 'builder', index: 2 }));
    expect(next).toMatchObject({ currentStep: 2, outputs: { architect: { plan: 1 } } });
  });

  it('is blocked while it waits, and has not ended', () => {
    expect(shown(...waiting)).toMatchObject({
      status: 'blocked',
      currentStep: 3,
      error: AWAITING,
      completedAt: null,
      failedStep: null,
      durationMs: null,
    });
  });

  it('runs on in step 3 once it is approved, until SRE begins', () => {
    const approved = shown(...waiting, runEvent('run.approved', { by: 'bob' }));
    expect(approved).toMatchObject({
      status: 'running',
      currentStep: 3,
      error: null,
      approvedAt: at(4),
      approvedBy: 'bob',
      rejectedAt: null,
    });
  });

  it('is over when it is rejected', () => {
    expect(shown(...waiting, runEvent('run.rejected', { by: 'bob', durationMs: 3_000 }))).toMatchObject({
      status: 'blocked',
      currentStep: 3,
      error: REJECTED,
      failedStep: 'approval',
      rejectedAt: at(4),
      rejectedBy: 'bob',
      approvedAt: null,
      completedAt: at(4),
      durationMs: 3_000,
    });
  });

  it('is over when Sentinel vetoes', () => {
    expect(shown(created, started, sentinel, runEvent('run.blocked'))).toMatchObject({
      status: 'blocked',
      currentStep: 3,
      error: VETOED,
      failedStep: 'sentinel',
      completedAt: at(3),
      durationMs: 1_500,
      approvedAt: null,
      rejectedAt: null,
    });
  });

  it('has a deployment only when it is completed', () => {
    const published = [created, started, runEvent('deploy.published')];
    expect(shown(...published)).toMatchObject({ deploymentUrl: null });
    expect(shown(...published, runEvent('run.completed'), runEvent('deploy.succeeded'))).toMatchObject({
      status: 'completed',
      currentStep: 6,
      error: null,
      deploymentUrl: 'http://host/deployments/req-abc-12345678/',
      completedAt: at(3),
      updatedAt: at(3),
      durationMs: 1_500,
      failedStep: null,
    });
  });

  it('keeps the step that it failed in', () => {
    const failed = runEvent('run.failed', { error: 'Agent /sre/check returned 500', failedStep: 'sre' });
    expect(shown(created, started, runEvent('step.started', { step: 'sre', index: 4 }), failed)).toMatchObject({
      status: 'failed',
      currentStep: 4,
      error: 'Agent /sre/check returned 500',
      failedStep: 'sre',
      deploymentUrl: null,
      completedAt: at(3),
    });
  });

  it('keeps the feedback that was given before, and false is feedback', () => {
    const first = runEvent('feedback.recorded', { useful: false });
    const second = runEvent('feedback.recorded', { deploySucceeded: true });
    expect(shown(created, first)).toMatchObject({ feedbackUseful: false, feedbackDeploySucceeded: null });
    expect(shown(created, first, second)).toMatchObject({
      status: 'pending',
      feedbackUseful: false,
      feedbackDeploySucceeded: true,
      feedbackAt: at(2),
      updatedAt: at(2),
    });
  });

  it('is not touched by a rollback', () => {
    expect(shown(created, runEvent('rollback.executed'))).toEqual(shown(created));
  });
});
