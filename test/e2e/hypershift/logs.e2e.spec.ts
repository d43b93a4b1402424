import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fakes } from '../../../src/systems/hypershift/agents/test-support.js';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, ISO_TIME, SABOTAGE } from '../../support/hypershift.js';

const LANDING = { description: 'Deploy a simple Next.js landing page' };
const UNTIL_SENTINEL = [
  'run.created',
  'run.started',
  'step.completed architect',
  'step.completed builder',
  'step.completed sentinel',
];

describe('HyperShift API, Get run logs', () => {
  let service: TestApp;
  let client: Hypershift;
  beforeAll(async () => {
    service = await startApp();
    client = Hypershift.of(service);
    await client.patch('/workspaces/ws-default/tier', { tier: 'pro' });
  });
  afterAll(() => service.close());

  it('has one line before anything has run', async () => {
    const id = await client.create({ user_intent: LANDING });
    expect(said(await client.get(`/runs/${id}/logs`))).toEqual([
      200,
      {
        run_id: id,
        logs: [
          {
            id: 1,
            run_id: id,
            created_at: expect.stringMatching(ISO_TIME),
            action: 'run.created',
            actor: null,
            details: { user_intent: LANDING, created_by: null },
          },
        ],
      },
    ]);
  });

  it('of a happy run has exactly these lines', async () => {
    const id = await client.with({ 'X-User-Id': 'ann' }).launch({ user_intent: LANDING });
    const run = await client.still(id);
    const logs = await client.logs(id);
    const step = (step: string, output: unknown): unknown => ['step.completed', null, { step, output }];
    expect(logs.map(({ action, actor, details }) => [action, actor, details])).toEqual([
      ['run.created', 'ann', { user_intent: LANDING, created_by: 'ann' }],
      ['run.started', 'ann', { run_id: id }],
      step('architect', run.architect_output),
      step('builder', run.builder_output),
      step('sentinel', run.sentinel_output),
      step('sre', run.sre_output),
      step('finops', run.finops_output),
      ['run.completed', null, { deployment_url: run.deployment_url, duration_ms: run.duration_ms }],
      ['deploy.succeeded', null, { deployment_url: run.deployment_url }],
    ]);
    expect(run.deployment_url).toBe(`${service.origin}/hypershift/deployments/${id}/`);
    const ids = logs.map((line) => line.id);
    expect(ids.every((lineId) => Number.isInteger(lineId) && lineId >= 1)).toBe(true);
    expect(ids).toEqual([...new Set(ids)].sort((a, b) => a - b));
    const times = logs.map(({ created_at }) => created_at);
    expect(times).toEqual(times.toSorted());
  });

  it('names the system as who starts a run of nobody', async () => {
    const id = await client.launch();
    expect((await client.logs(id))[1]).toMatchObject({ action: 'run.started', actor: 'system' });
  });

  it.each([
    ['asks for it', SABOTAGE],
    ['holds a pasted payment key', { user_intent: { description: `Take payments with ${fakes.payment} please` } }],
    ['holds a pasted token in its constraints', { user_intent: { description: 'x', constraints: fakes.github } }],
  ])('tells of the veto where the intent %s', async (_, fields) => {
    const run = await client.runThrough(fields);
    expect(run).toMatchObject({
      status: 'blocked',
      error: 'Sentinel blocked deploy (security findings)',
      failed_step: 'sentinel',
      deployment_url: null,
      sre_output: null,
    });
    const logs = await client.logs(run.id);
    expect(await client.actions(run.id)).toEqual([...UNTIL_SENTINEL, 'run.blocked']);
    expect(logs.at(-1)).toMatchObject({ actor: null, details: { reason: 'sentinel_veto' } });
    expect(JSON.stringify(run.sentinel_output)).not.toContain(fakes.payment);
    expect(JSON.stringify(run.sentinel_output)).not.toContain(fakes.github);
    expect(JSON.stringify([run.architect_output, run.builder_output])).not.toContain(fakes.payment);
  });

  it('tells of an approval, and of who gave it', async () => {
    const { id } = await client.runThrough({ require_approval: true });
    await client.post(`/runs/${id}/approve`, {}, { 'X-User-Id': 'ann' });
    await client.still(id);
    expect(await client.actions(id)).toEqual([
      ...UNTIL_SENTINEL,
      'run.awaiting_approval',
      'run.approved',
      'step.completed sre',
      'step.completed finops',
      'run.completed',
      'deploy.succeeded',
    ]);
    const [awaiting, approved] = (await client.logs(id)).slice(5);
    expect(awaiting).toMatchObject({ actor: null, details: {} });
    expect(approved).toMatchObject({ actor: 'ann', details: { by: 'ann' } });
  });

  it('tells of a rejection, and of who gave it', async () => {
    const { id } = await client.runThrough({ require_approval: true });
    await client.post(`/runs/${id}/reject`);
    expect(await client.actions(id)).toEqual([...UNTIL_SENTINEL, 'run.awaiting_approval', 'run.rejected']);
    expect((await client.logs(id)).at(-1)).toMatchObject({ actor: null, details: { by: 'unknown' } });
  });

  it('never changes a line, nor drops one, also through a restart', async () => {
    const before = await startApp();
    const old = Hypershift.of(before);
    const { id } = await old.runThrough({ require_approval: true });
    const early = await old.logs(id);
    const after = await before.restart();
    try {
      const again = Hypershift.of(after);
      expect(await again.logs(id)).toEqual(early);
      await again.post(`/runs/${id}/approve`);
      await again.still(id);
      await again.post(`/runs/${id}/rollback`);
      const late = await again.logs(id);
      expect(late.slice(0, early.length)).toEqual(early);
      expect(late.at(-1)).toMatchObject({ action: 'rollback.executed', id: expect.any(Number) });
    } finally {
      await after.close();
    }
  });
});
