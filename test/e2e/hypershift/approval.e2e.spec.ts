import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents, ISO_TIME, type Run } from '../../support/hypershift.js';

const NOT_WAITING = [400, { error: 'Run is not awaiting approval' }];
const GATED = { require_approval: true };

describe('HyperShift API, Approve run and Reject run', () => {
  let service: TestApp;
  let client: Hypershift;
  const calls: string[] = [];
  const held = Promise.withResolvers<void>();
  beforeAll(async () => {
    const agents = instantAgents({
      builder: (_, { runId }) => void calls.push(`builder ${runId}`),
      sentinel: (_, { codename }) => ({ veto: codename === 'vetoed', findings: [{ title: 'x' }] }),
      sre: async (_, { runId, codename }) => {
        calls.push(`sre ${runId}`);
        if (codename === 'held') await held.promise;
        return {};
      },
    });
    service = await startApp({}, { hypershiftAgents: agents });
    client = Hypershift.of(service);
    await client.patch('/workspaces/ws-default/tier', { tier: 'pro' });
  });
  afterAll(() => service.close());

  const count = (call: string): number => calls.filter((each) => each === call).length;

  it('waits at the gate, in the words that clients look for', async () => {
    const run = await client.runThrough(GATED);
    expect(run).toMatchObject({
      status: 'blocked',
      current_step: 3,
      error: 'Awaiting approval for production deploy',
      failed_step: null,
      completed_at: null,
      duration_ms: null,
      approved_at: null,
      rejected_at: null,
      sre_output: null,
      deployment_url: null,
    });
    expect(run.sentinel_output).toMatchObject({ veto: false });
  });

  it('approves: 200, and the run goes on at SRE without repeating a step', async () => {
    const { id } = await client.runThrough(GATED);
    const answer = await client.post(`/runs/${id}/approve`, undefined, { 'X-User-Id': 'ann' });
    expect(said(answer)).toEqual([200, { message: 'Approved', run_id: id }]);
    const run = await client.still(id);
    expect(run).toMatchObject({
      status: 'completed',
      current_step: 6,
      error: null,
      approved_by: 'ann',
      approved_at: expect.stringMatching(ISO_TIME),
      rejected_at: null,
      rejected_by: null,
    });
    expect([count(`builder ${id}`), count(`sre ${id}`)]).toEqual([1, 1]);
    expect(await client.actions(id)).toEqual([
      'run.created',
      'run.started',
      'step.completed architect',
      'step.completed builder',
      'step.completed sentinel',
      'run.awaiting_approval',
      'run.approved',
      'step.completed sre',
      'step.completed finops',
      'run.completed',
    ]);
  });

  it('shows an approved run as running, with the approval, while SRE works', async () => {
    const { id } = await client.runThrough({ ...GATED, codename: 'held' });
    await client.post(`/runs/${id}/approve`, {}, { 'X-Actor': 'bob' });
    const run = await client.when(id, ({ current_step }) => current_step === 4);
    expect(run).toMatchObject({ status: 'running', error: null, approved_by: 'bob', completed_at: null });
    expect(said(await client.post(`/runs/${id}/approve`))).toEqual(NOT_WAITING);
    expect(said(await client.post(`/runs/${id}/reject`))).toEqual(NOT_WAITING);
    held.resolve();
    expect(await client.still(id)).toMatchObject({ status: 'completed' });
  });

  it('rejects: 200, and the run stays blocked for good', async () => {
    const { id } = await client.runThrough(GATED);
    const answer = await client.post(`/runs/${id}/reject`, undefined, { 'X-User-Id': 'ann' });
    expect(said(answer)).toEqual([200, { message: 'Rejected', run_id: id }]);
    const run = await client.run(id);
    expect(run).toMatchObject({
      status: 'blocked',
      current_step: 3,
      error: 'Production deploy rejected',
      failed_step: 'approval',
      rejected_by: 'ann',
      rejected_at: expect.stringMatching(ISO_TIME),
      approved_at: null,
      approved_by: null,
      deployment_url: null,
    });
    expect(run.completed_at).toBe(run.rejected_at);
    expect(run.duration_ms).toBe(Date.parse(run.completed_at ?? '') - Date.parse(run.started_at ?? ''));
    for (const action of ['approve', 'reject']) {
      expect(said(await client.post(`/runs/${id}/${action}`))).toEqual(NOT_WAITING);
    }
    expect(said(await client.post(`/runs/${id}/start`))).toEqual([400, { error: 'Run is not pending' }]);
    expect(await client.run(id)).toEqual(run);
    expect(count(`sre ${id}`)).toBe(0);
  });

  it('names the unknown where nobody is named', async () => {
    const [approved, rejected] = [await client.runThrough(GATED), await client.runThrough(GATED)];
    await client.post(`/runs/${approved.id}/approve`);
    await client.post(`/runs/${rejected.id}/reject`);
    expect(await client.still(approved.id)).toMatchObject({ approved_by: 'unknown' });
    expect(await client.run(rejected.id)).toMatchObject({ rejected_by: 'unknown' });
  });

  it('lets exactly one of twenty parallel approvals and rejections win', async () => {
    for (let round = 0; round < 3; round++) {
      const { id } = await client.runThrough(GATED);
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, index) => client.post(`/runs/${id}/${index % 2 === 0 ? 'approve' : 'reject'}`)),
      );
      const winners = answers.filter(({ status }) => status === 200);
      expect(winners).toHaveLength(1);
      expect(answers.filter(({ status }) => status !== 200).map(said)).toEqual(Array(19).fill(NOT_WAITING));
      const run = await client.still(id);
      const approved = (winners[0]?.body as { message: string } | undefined)?.message === 'Approved';
      expect(run.status).toBe(approved ? 'completed' : 'blocked');
      expect(count(`sre ${id}`)).toBe(approved ? 1 : 0);
    }
  });

  it('runs SRE once, however often an approval is sent', async () => {
    const { id } = await client.runThrough(GATED);
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.post(`/runs/${id}/approve`)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    await client.still(id);
    expect(count(`sre ${id}`)).toBe(1);
  });

  it.each<[string, () => Promise<Run>]>([
    ['pending', async () => client.run(await client.create(GATED))],
    ['completed without a gate', () => client.runThrough()],
    ['vetoed', () => client.runThrough({ codename: 'vetoed' })],
    ['vetoed before its gate', () => client.runThrough({ ...GATED, codename: 'vetoed' })],
  ])('refuses a run that is %s, and does not touch it', async (_, make) => {
    const run = await make();
    expect(said(await client.post(`/runs/${run.id}/approve`))).toEqual(NOT_WAITING);
    expect(said(await client.post(`/runs/${run.id}/reject`))).toEqual(NOT_WAITING);
    expect(await client.run(run.id)).toEqual(run);
  });

  it('looks at the veto before the gate', async () => {
    expect(await client.runThrough({ ...GATED, codename: 'vetoed' })).toMatchObject({
      status: 'blocked',
      current_step: 3,
      error: 'Sentinel blocked deploy (security findings)',
      failed_step: 'sentinel',
      completed_at: expect.stringMatching(ISO_TIME),
      duration_ms: expect.any(Number),
      rejected_at: null,
      approved_at: null,
    });
  });

  it('waits through a restart', async () => {
    const before = await startApp({}, { hypershiftAgents: instantAgents() });
    const { id } = await Hypershift.of(before).runThrough(GATED);
    const after = await before.restart();
    try {
      const again = Hypershift.of(after);
      expect(await again.run(id)).toMatchObject({ error: 'Awaiting approval for production deploy' });
      expect((await again.post(`/runs/${id}/approve`)).status).toBe(200);
      expect(await again.still(id)).toMatchObject({ status: 'completed' });
    } finally {
      await after.close();
    }
  });
});
