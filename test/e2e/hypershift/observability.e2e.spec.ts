import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { StepFailed } from '../../../src/systems/hypershift/agents/step-agent.js';
import type { OutcomesBody, SloBody } from '../../../src/systems/hypershift/insights/insights.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents } from '../../support/hypershift.js';
import { ShiftedClock } from '../../support/shifted-clock.js';

describe('HyperShift API, Observability', () => {
  const clock = new ShiftedClock();
  let service: TestApp;
  let anybody: Hypershift;
  const holds = new Map<string, PromiseWithResolvers<void>>();
  beforeAll(async () => {
    const agents = instantAgents({
      builder: async (_, { codename }) => {
        await holds.get(codename ?? '')?.promise;
        if (codename === 'failing') throw new StepFailed('Agent /builder returned 500');
        return {};
      },
      sentinel: (_, { codename }) => ({ veto: codename === 'vetoed', findings: [] }),
    });
    service = await startApp({}, { clock, hypershiftAgents: agents });
    anybody = Hypershift.of(service);
  });
  beforeEach(() => clock.set('2026-03-15T12:00:00.000Z'));
  afterAll(() => service.close());

  /** A run that ends at a time of the test's choice. */
  async function runFrom(client: Hypershift, begun: string, ended: string, fields: object = {}): Promise<string> {
    const codename = `held ${begun}`;
    const hold = Promise.withResolvers<void>();
    holds.set(codename, hold);
    clock.set(begun);
    const id = await client.launch({ codename, ...fields });
    await client.when(id, ({ current_step }) => current_step === 2);
    clock.set(ended);
    hold.resolve();
    await client.still(id);
    return id;
  }

  const slo = async (client: Hypershift, query = ''): Promise<SloBody> =>
    (await client.get<SloBody>(`/observability/slo${query}`)).body;

  describe('GET /observability/outcomes', () => {
    it('is empty, and names the workspace, where nothing has ended', async () => {
      const client = await anybody.workspace();
      await client.create();
      expect(said(await client.get('/observability/outcomes'))).toEqual([
        200,
        { workspace_id: client.id, outcomes: [] },
      ]);
    });

    it('lists how runs ended, the newest created first, with exactly these keys', async () => {
      const client = await anybody.workspace();
      const completed = await client.runThrough();
      const failed = await client.runThrough({ codename: 'failing' });
      const vetoed = await client.runThrough({ codename: 'vetoed' });
      const rejected = await client.runThrough({ require_approval: true });
      await client.post(`/runs/${rejected.id}/reject`);
      const waiting = await client.runThrough({ require_approval: true });
      await client.create();
      const { body } = await client.get<OutcomesBody>('/observability/outcomes');
      const ended = { duration_ms: expect.any(Number), completed_at: expect.any(String) };
      expect(body).toEqual({
        workspace_id: client.id,
        outcomes: [
          { run_id: waiting.id, status: 'blocked', duration_ms: null, failed_step: null, completed_at: null },
          { run_id: rejected.id, status: 'blocked', failed_step: 'approval', ...ended },
          { run_id: vetoed.id, status: 'blocked', failed_step: 'sentinel', ...ended },
          { run_id: failed.id, status: 'failed', failed_step: 'builder', ...ended },
          { run_id: completed.id, status: 'completed', failed_step: null, ...ended },
        ],
      });
      expect(body.outcomes.at(-1)).toMatchObject({
        duration_ms: completed.duration_ms,
        completed_at: completed.completed_at,
      });
      expect(said(await anybody.get('/observability/outcomes'))).toEqual([
        200,
        { workspace_id: 'ws-default', outcomes: [] },
      ]);
    });

    it('no longer lists a waiting run once it is approved and runs', async () => {
      const client = await anybody.workspace();
      const { id } = await client.runThrough({ require_approval: true });
      await client.post(`/runs/${id}/approve`);
      await client.still(id);
      const { body } = await client.get<OutcomesBody>('/observability/outcomes');
      expect(body.outcomes).toMatchObject([{ run_id: id, status: 'completed', completed_at: expect.any(String) }]);
    });
  });

  describe('GET /observability/slo', () => {
    it('is all zeros where nothing has ended', async () => {
      const client = await anybody.workspace();
      await client.create();
      await client.runThrough({ require_approval: true });
      expect(said(await client.get('/observability/slo'))).toEqual([
        200,
        {
          workspace_id: client.id,
          days: 7,
          total_runs: 0,
          success_count: 0,
          failure_count: 0,
          blocked_count: 0,
          success_rate: 0,
          avg_duration_ms: null,
        },
      ]);
    });

    it.each([
      ['', 7],
      ['?days=', 7],
      ['?days=abc', 7],
      ['?days=0', 7],
      ['?days=1', 1],
      ['?days=30', 30],
      ['?days=31', 30],
      ['?days=-3', 1],
      ['?days=2.9', 2],
      ['?days=0.5', 1],
      ['?days=Infinity', 30],
      ['?days=3&days=4', 7],
    ])('for %j looks back %d days', async (query, days) => {
      expect((await slo(anybody, query)).days).toBe(days);
    });

    it('gives unrounded figures over the runs that ended, the waiting of a rejected run included', async () => {
      const client = await anybody.workspace();
      await runFrom(client, '2026-03-15T12:00:00.000Z', '2026-03-15T12:00:10.000Z');
      await runFrom(client, '2026-03-15T12:01:00.000Z', '2026-03-15T12:01:20.000Z', { tags: ['x'] });
      await client.runThrough({ codename: 'failing' });
      const waiting = await runFrom(client, '2026-03-15T12:02:00.000Z', '2026-03-15T12:02:01.000Z', {
        require_approval: true,
      });
      clock.set('2026-03-15T13:02:00.000Z');
      await client.post(`/runs/${waiting}/reject`);
      const { body } = await client.get<OutcomesBody>('/observability/outcomes');
      const durations = body.outcomes.map(({ duration_ms }) => duration_ms ?? 0);
      const [rejected = 0] = durations;
      expect(rejected).toBeGreaterThan(3_500_000);
      expect(await slo(client)).toEqual({
        workspace_id: client.id,
        days: 7,
        total_runs: 4,
        success_count: 2,
        failure_count: 1,
        blocked_count: 1,
        success_rate: 0.5,
        avg_duration_ms: durations.reduce((sum, each) => sum + each, 0) / 4,
      });
    });

    it('counts a run until exactly so many days have passed since its end', async () => {
      const client = await anybody.workspace();
      const run = await client.run(await runFrom(client, '2026-03-01T09:00:00.000Z', '2026-03-01T10:00:00.000Z'));
      const end = Date.parse(run.completed_at ?? '');
      const later = (ms: number): void => clock.set(new Date(end + ms).toISOString());
      const day = 86_400_000;
      later(2 * day - 5_000);
      expect(await slo(client, '?days=2')).toMatchObject({ total_runs: 1, success_rate: 1 });
      later(2 * day + 1);
      expect(await slo(client, '?days=2')).toMatchObject({ total_runs: 0, success_rate: 0, avg_duration_ms: null });
      expect(await slo(client, '?days=3')).toMatchObject({ total_runs: 1 });
      later(30 * day + 1);
      expect(await slo(client, '?days=30')).toMatchObject({ total_runs: 0 });
      expect((await client.get<OutcomesBody>('/observability/outcomes')).body.outcomes).toHaveLength(1);
    });
  });
});
