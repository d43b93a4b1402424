import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents, RUN_ID, type Run } from '../../support/hypershift.js';

describe('HyperShift API, Rollback, Replay run and feedback', () => {
  let service: TestApp;
  let anybody: Hypershift;
  beforeAll(async () => {
    const agents = instantAgents({
      sentinel: (_, { codename }) => ({ veto: codename === 'vetoed', findings: [] }),
    });
    service = await startApp({}, { hypershiftAgents: agents });
    anybody = Hypershift.of(service);
    await anybody.patch('/workspaces/ws-default/tier', { tier: 'pro' });
  });
  afterAll(() => service.close());

  const inEveryState: [string, () => Promise<Run>][] = [
    ['pending', async () => anybody.run(await anybody.create())],
    ['completed', () => anybody.runThrough()],
    ['waiting', () => anybody.runThrough({ require_approval: true })],
    ['vetoed', () => anybody.runThrough({ codename: 'vetoed' })],
  ];

  describe('POST /runs/:id/rollback', () => {
    it.each(inEveryState)('is recorded for a run that is %s, and changes nothing else', async (_, make) => {
      const run = await make();
      const answer = await anybody.post(`/runs/${run.id}/rollback`, undefined, { 'X-User-Id': 'ann' });
      expect(said(answer)).toEqual([200, { message: 'Rollback recorded (mock)', audit_recorded: true }]);
      expect(await anybody.run(run.id)).toEqual(run);
      expect((await anybody.logs(run.id)).at(-1)).toMatchObject({
        action: 'rollback.executed',
        details: { run_id: run.id },
        actor: 'ann',
      });
    });

    it('is recorded once per call', async () => {
      const id = await anybody.create();
      await Promise.all([1, 2, 3].map(() => anybody.post(`/runs/${id}/rollback`)));
      const logs = await anybody.logs(id);
      expect(logs.filter(({ action }) => action === 'rollback.executed')).toHaveLength(3);
      expect(logs.at(-1)).toMatchObject({ actor: null });
    });
  });

  describe('POST /runs/:id/replay', () => {
    it.each(inEveryState)('repeats a run that is %s, with empty outputs, and starts it', async (_, make) => {
      const original = await make();
      const answer = await anybody.post<{ run_id: string }>(`/runs/${original.id}/replay`);
      expect(said(answer)).toEqual([201, { run_id: expect.stringMatching(RUN_ID) }]);
      expect(answer.body.run_id).not.toBe(original.id);
      const replayed = await anybody.still(answer.body.run_id);
      const { user_intent, codename, tags, require_approval } = original;
      expect(replayed).toMatchObject({ user_intent, codename, tags, require_approval });
      expect(await anybody.run(original.id)).toEqual(original);
    });

    it('keeps codename, tags, gate and the exact intent, and names who asked', async () => {
      const intent = { description: 'x', target: '', constraints: 'c' };
      const fields = { user_intent: intent, codename: 'kite', tags: ['a', 'b'], require_approval: true };
      const id = await anybody.with({ 'X-User-Id': 'ann' }).create(fields);
      const { body } = await anybody.post<{ run_id: string }>(`/runs/${id}/replay`, {}, { 'X-Actor': 'bob' });
      expect(await anybody.still(body.run_id)).toMatchObject({ ...fields, created_by: 'bob', status: 'blocked' });
      const [created, started] = await anybody.logs(body.run_id);
      expect(created).toMatchObject({
        action: 'run.created',
        actor: 'bob',
        details: { user_intent: intent, created_by: 'bob' },
      });
      expect(started).toMatchObject({ action: 'run.started', actor: 'bob', details: { run_id: body.run_id } });
    });

    it('is running as soon as it is answered', async () => {
      const id = await anybody.create();
      const { body } = await anybody.post<{ run_id: string }>(`/runs/${id}/replay`);
      expect((await anybody.run(body.run_id)).status).not.toBe('pending');
      const again = await anybody.post(`/runs/${body.run_id}/start`);
      expect(said(again)).toEqual([400, { error: 'Run is not pending' }]);
    });

    it("stays in the original's workspace, named or not, and counts there", async () => {
      const owner = await anybody.workspace();
      const id = await owner.create();
      const [unnamed, named] = [
        await anybody.post<{ run_id: string }>(`/runs/${id}/replay`),
        await owner.post<{ run_id: string }>(`/runs/${id}/replay`),
      ];
      for (const { body } of [unnamed, named]) {
        expect(await anybody.still(body.run_id)).toMatchObject({ workspace_id: owner.id });
      }
      expect((await owner.get('/usage')).body).toMatchObject({ runs: 3 });
    });

    it('is refused to another workspace, and makes nothing', async () => {
      const [owner, stranger] = [await anybody.workspace(), await anybody.workspace()];
      const id = await owner.create();
      expect(said(await stranger.post(`/runs/${id}/replay`))).toEqual([404, { error: 'Run not found' }]);
      expect((await stranger.get('/usage')).body).toMatchObject({ runs: 0 });
      expect((await owner.get('/usage')).body).toMatchObject({ runs: 1 });
    });

    it('is subject to the limit, exactly', async () => {
      const owner = await anybody.workspace();
      const id = await owner.create();
      const answers = await Promise.all(Array.from({ length: 20 }, () => anybody.post(`/runs/${id}/replay`)));
      expect(answers.filter(({ status }) => status === 201)).toHaveLength(9);
      const refused = answers.filter(({ status }) => status === 402);
      expect(refused).toHaveLength(11);
      expect(refused[0]?.body).toEqual({
        error: 'Run limit exceeded for this period',
        current: 10,
        limit: 10,
        period: `${new Date().toISOString().slice(0, 7)}-01`,
      });
      const { body } = await owner.get<{ runs: unknown[] }>('/runs');
      expect(body.runs).toHaveLength(10);
    });
  });

  describe('POST /runs/:id/feedback', () => {
    it.each(inEveryState)('is kept for a run that is %s', async (_, make) => {
      const { id, status, error } = await make();
      const answer = await anybody.post(`/runs/${id}/feedback`, { useful: true, deploy_succeeded: false });
      expect(said(answer)).toEqual([200, { message: 'Feedback recorded', run_id: id }]);
      expect(await anybody.run(id)).toMatchObject({
        status,
        error,
        feedback_useful: true,
        feedback_deploy_succeeded: false,
        feedback_at: expect.any(String),
      });
    });

    it('leaves what is not given as it was, and writes no line in the audit log', async () => {
      const id = await anybody.create();
      await anybody.post(`/runs/${id}/feedback`, { useful: true });
      await anybody.post(`/runs/${id}/feedback`, { deploy_succeeded: false, useful: 'no' });
      const run = await anybody.run(id);
      expect(run).toMatchObject({ feedback_useful: true, feedback_deploy_succeeded: false });
      expect(run.updated_at).toBe(run.feedback_at);
      expect(await anybody.actions(id)).toEqual(['run.created']);
    });

    it.each([undefined, {}, { useful: 'yes' }, { useful: null, deploy_succeeded: 1 }, []])(
      'refuses %j',
      async (body) => {
        const id = await anybody.create();
        const answer = await anybody.post(`/runs/${id}/feedback`, body);
        expect(said(answer)).toEqual([400, { error: expect.stringMatching(/.+/) }]);
        expect(await anybody.run(id)).toMatchObject({ feedback_useful: null, feedback_at: null });
      },
    );
  });
});
