import { describe, expect, it } from '@jest/globals';
import type { RunEvent } from '../../contracts/hypershift/run.events.js';
import { at, project, recorded, runEvent } from '../../test/support/hypershift-events.js';
import { auditLogView, type AuditEntryDoc } from './audit-log.view.js';

function log(events: readonly RunEvent[], actor: string | null = null): AuditEntryDoc[] {
  return project(auditLogView, recorded(events, { actor }));
}

describe('the audit log', () => {
  it('has one line per event that people care about, numbered by its place in the stream', () => {
    const events = [
      runEvent('run.created'),
      runEvent('run.started'),
      runEvent('step.started'),
      runEvent('step.completed'),
      runEvent('deploy.published'),
      runEvent('feedback.recorded', { useful: true }),
      runEvent('run.completed'),
      runEvent('deploy.succeeded'),
    ];
    expect(log(events).map(({ id, action, at }) => [id, action, at])).toEqual([
      [1, 'run.created', at(0)],
      [2, 'run.started', at(1)],
      [4, 'step.completed', at(3)],
      [7, 'run.completed', at(6)],
      [8, 'deploy.succeeded', at(7)],
    ]);
  });

  const url = 'http://host/deployments/req-abc-12345678/';
  it.each<[RunEvent, string | null, object]>([
    [
      runEvent('run.created', { createdBy: 'ann' }),
      'ann',
      { user_intent: { description: 'Deploy a Next.js app' }, created_by: 'ann' },
    ],
    [runEvent('run.started', { by: 'ann' }), 'ann', { run_id: 'req-abc-12345678' }],
    [runEvent('run.started'), 'system', { run_id: 'req-abc-12345678' }],
    [runEvent('step.completed'), null, { step: 'architect', output: { plan: 'small' } }],
    [runEvent('run.blocked'), null, { reason: 'sentinel_veto' }],
    [runEvent('run.awaiting_approval'), null, {}],
    [runEvent('run.approved', { by: 'cid' }), 'cid', { by: 'cid' }],
    [runEvent('run.rejected', { by: 'cid' }), 'cid', { by: 'cid' }],
    [runEvent('run.completed'), null, { deployment_url: url, duration_ms: 1_500 }],
    [runEvent('deploy.succeeded'), null, { deployment_url: url }],
    [runEvent('run.failed'), null, { error: 'Agent /builder returned 500', failed_step: 'builder' }],
    [runEvent('rollback.executed', { by: 'cid' }), 'cid', { run_id: 'req-abc-12345678' }],
  ])('tells of %j in the name of %s', (event, actor, details) => {
    expect(log([event], 'cid')).toEqual([
      { runId: 'req-abc-12345678', id: 1, at: at(0), action: event.type, actor, details },
    ]);
  });

  it('names nobody as the actor of an approval by nobody known', () => {
    expect(log([runEvent('run.approved', { by: 'unknown' })])).toMatchObject([
      { actor: null, details: { by: 'unknown' } },
    ]);
  });

  it('never changes a line', () => {
    const [first] = recorded([runEvent('rollback.executed')]);
    if (!first) throw new Error('Nothing was recorded');
    const line = auditLogView.evolve(undefined, first, 'key');
    expect(line).not.toBeNull();
    expect(auditLogView.evolve(line ?? undefined, { ...first, at: at(9) }, 'key')).toBe(line);
  });
});
