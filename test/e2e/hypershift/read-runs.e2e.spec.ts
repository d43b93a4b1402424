import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunListBody } from '../../../src/systems/hypershift/runs/runs.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents, ISO_TIME, RUN_KEYS } from '../../support/hypershift.js';

describe('HyperShift API, List runs and Get run', () => {
  let service: TestApp;
  let anybody: Hypershift;
  beforeAll(async () => {
    service = await startApp({}, { hypershiftAgents: instantAgents() });
    anybody = Hypershift.of(service);
  });
  afterAll(() => service.close());

  const ids = async (client: Hypershift, query = ''): Promise<string[]> =>
    (await client.get<RunListBody>(`/runs${query}`)).body.runs.map(({ id }) => id);

  describe('GET /runs', () => {
    it('answers with an empty list for a workspace without runs', async () => {
      expect(said(await anybody.in('nothing here').get('/runs'))).toEqual([200, { runs: [] }]);
    });

    it('lists runs with these five keys', async () => {
      const client = await anybody.workspace();
      const id = await client.create({ codename: 'kite', tags: ['a'] });
      const bare = await client.create();
      const created_at = expect.stringMatching(ISO_TIME);
      expect(said(await client.get('/runs'))).toEqual([
        200,
        {
          runs: [
            { id: bare, status: 'pending', created_at, codename: null, tags: [] },
            { id, status: 'pending', created_at, codename: 'kite', tags: ['a'] },
          ],
        },
      ]);
    });

    it('lists the newest first, however fast they came', async () => {
      const client = await anybody.workspace();
      const created: string[] = [];
      for (let run = 0; run < 8; run++) created.unshift(await client.create());
      expect(await ids(client)).toEqual(created);
    });

    it('lists more than a page would hold', async () => {
      const client = await anybody.workspace();
      await client.patch(`/workspaces/${client.id}/tier`, { tier: 'pro' });
      const created = await Promise.all(Array.from({ length: 60 }, () => client.create()));
      expect((await ids(client)).sort()).toEqual(created.sort());
    });

    it('keeps those that have exactly the tag', async () => {
      const client = await anybody.workspace();
      const blue = await client.create({ tags: ['blue', 'x y'] });
      const light = await client.create({ tags: ['light-blue', 'Blue'] });
      const both = await client.create({ tags: ['blue', 'light-blue'] });
      expect(await ids(client, '?tag=blue')).toEqual([both, blue]);
      expect(await ids(client, '?tag=Blue')).toEqual([light]);
      expect(await ids(client, '?tag=x%20y')).toEqual([blue]);
      expect(await ids(client, '?tag=lue')).toEqual([]);
      expect(await ids(client, '?tag=')).toEqual([both, light, blue]);
    });

    it('shows only the runs of the workspace, and a header beats the query', async () => {
      const [one, other] = [await anybody.workspace(), await anybody.workspace()];
      const [mine, theirs] = [await one.create({ tags: ['t'] }), await other.create({ tags: ['t'] })];
      expect(await ids(one)).toEqual([mine]);
      expect(await ids(one, `?workspace_id=${other.id}`)).toEqual([mine]);
      expect(await ids(anybody, `?tag=t&workspace_id=${other.id}`)).toEqual([theirs]);
      expect(await ids(anybody, '?tag=t')).toEqual([]);
    });

    it('follows the status', async () => {
      const client = await anybody.workspace();
      const { id } = await client.runThrough();
      const { body } = await client.get<RunListBody>('/runs');
      expect(body.runs).toMatchObject([{ id, status: 'completed' }]);
    });
  });

  describe('GET /runs/:id', () => {
    const NOT_FOUND = [404, { error: 'Run not found' }];

    it('shows every key of a completed run, with the outputs as the agents gave them', async () => {
      const client = await anybody.workspace();
      const run = await client.runThrough({ codename: 'kite' });
      expect(Object.keys(run).sort()).toEqual(RUN_KEYS);
      expect(run).toMatchObject({
        status: 'completed',
        current_step: 6,
        error: null,
        architect_output: { version: '1.0', appPlan: [], infra: [] },
        builder_output: { buildSteps: ['nothing to do'], outputDir: 'out' },
        sentinel_output: { veto: false, findings: [] },
        sre_output: { rollbackAction: 'none', incidents: [], checks: [] },
        finops_output: { estimatedMonthlyCost: 0, currency: 'USD', riskLevel: 'low', breakdown: [] },
        started_at: expect.stringMatching(ISO_TIME),
        completed_at: expect.stringMatching(ISO_TIME),
        failed_step: null,
      });
      const { started_at, completed_at, updated_at, duration_ms } = run;
      expect(duration_ms).toBe(Date.parse(completed_at ?? '') - Date.parse(started_at ?? ''));
      expect(updated_at).toBe(completed_at);
    });

    it.each(['req-nowhere-00000000', '..%2F', '%zz', '%ff', '%24serving', 'a%20b', '%00', 'x'.repeat(4_000)])(
      'does not know %s',
      async (id) => {
        expect(said(await anybody.get(`/runs/${id}`))).toEqual(NOT_FOUND);
        expect(said(await anybody.get(`/runs/${id}/logs`))).toEqual(NOT_FOUND);
      },
    );

    it.each(['start', 'approve', 'reject', 'rollback', 'replay', 'feedback'])(
      'knows no unknown run at POST /runs/:id/%s either',
      async (action) => {
        for (const id of ['req-nowhere-00000000', '..%2F', '%zz', 'x'.repeat(4_000)]) {
          expect(said(await anybody.post(`/runs/${id}/${action}`, { useful: true }))).toEqual(NOT_FOUND);
        }
      },
    );
  });

  describe('reads after writes', () => {
    it('show what was written, at once', async () => {
      const client = await anybody.workspace();
      for (let round = 0; round < 8; round++) {
        const id = await client.create();
        const [run, list, usage, logs] = await Promise.all([
          client.get(`/runs/${id}`),
          ids(client),
          client.get('/usage'),
          client.actions(id),
        ]);
        expect(said(run)).toEqual([200, expect.objectContaining({ id, status: 'pending' })]);
        expect(list[0]).toBe(id);
        expect(usage.body).toMatchObject({ runs: round + 1 });
        expect(logs).toEqual(['run.created']);
      }
    });

    it('are made possible for others by the position that a write names', async () => {
      const client = await anybody.workspace();
      const written = await client.post<{ run_id: string }>('/runs', { description: 'x' });
      const position = written.headers.get('x-ledger-position') ?? '';
      expect(position).toMatch(/^[1-9]\d*$/);
      const path = `/runs/${written.body.run_id}`;
      const read = await anybody.get(path, { 'X-Ledger-Min-Position': position });
      expect([read.status, read.headers.get('x-ledger-stale')]).toEqual([200, null]);
      expect(read.headers.get('x-ledger-position')).toBeNull();
    });

    it('name rising positions; a refused write names none', async () => {
      const client = await anybody.workspace();
      const positions: number[] = [];
      const id = await client.create();
      for (const path of [`/runs/${id}/rollback`, `/runs/${id}/rollback`, `/runs/${id}/start`]) {
        positions.push(Number((await client.post(path)).headers.get('x-ledger-position')));
      }
      expect(positions).toEqual(positions.toSorted((a, b) => a - b));
      expect(new Set(positions).size).toBe(3);
      const refused = await client.post(`/runs/${id}/start`);
      expect([refused.status, refused.headers.get('x-ledger-position')]).toEqual([400, null]);
    });
  });
});
