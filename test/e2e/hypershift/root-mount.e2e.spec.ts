import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift } from '../../support/hypershift.js';

describe('RUNLEDGER_ROOT=hypershift', () => {
  let service: TestApp;
  let atRoot: Hypershift;
  beforeAll(async () => {
    service = await startApp({ RUNLEDGER_ROOT: 'hypershift', ORCHESTRATOR_PORT: '1', REDIS_URL: 'redis://nowhere' });
    atRoot = new Hypershift(service.origin);
  });
  afterAll(() => service.close());

  it('serves existing clients, from the first call to the last', async () => {
    const client = await atRoot.workspace();
    expect((await client.patch(`/workspaces/${client.id}/tier`, { tier: 'pro' })).status).toBe(200);
    expect((await client.post('/what-if', { description: 'x' })).status).toBe(200);
    const waiting = await client.runThrough({ require_approval: true, tags: ['a'] });
    expect((await client.post(`/runs/${waiting.id}/approve`)).status).toBe(200);
    const run = await client.still(waiting.id);
    expect(run).toMatchObject({ status: 'completed', current_step: 6 });
    expect((await fetch(run.deployment_url ?? '')).status).toBe(200);
    expect((await client.get(`/deployments/${run.id}/`)).status).toBe(200);
    expect((await client.get('/runs?tag=a')).body).toMatchObject({ runs: [{ id: run.id }] });
    expect((await client.get('/usage')).body).toMatchObject({ runs: 1, limit: 1_000 });
    expect((await client.get('/observability/outcomes')).body).toMatchObject({ outcomes: [{ run_id: run.id }] });
    expect((await client.get('/observability/slo?days=7')).body).toMatchObject({ total_runs: 1, success_rate: 1 });
    expect((await client.post(`/runs/${run.id}/rollback`)).status).toBe(200);
    expect((await client.post(`/runs/${run.id}/replay`)).status).toBe(201);
    expect(await client.actions(run.id)).toContain('rollback.executed');
  });

  it('answers at / as at /hypershift', async () => {
    const root = [200, { service: 'orchestrator', version: '1.0.0' }];
    expect(said(await atRoot.get(''))).toEqual(root);
    expect(said(await atRoot.get('/?x=1'))).toEqual(root);
    expect(said(await Hypershift.of(service).get(''))).toEqual(root);
    expect((await atRoot.get('/health')).body).toEqual((await Hypershift.of(service).get('/health')).body);
  });

  it('refuses in the same words', async () => {
    expect(said(await atRoot.get('/nowhere'))).toEqual([404, { error: 'Not found' }]);
    expect(said(await atRoot.get('/runs/%zz'))).toEqual([404, { error: 'Run not found' }]);
    const malformed = { headers: { 'content-type': 'application/json' }, body: '{' };
    expect(said(await atRoot.send('POST', '/runs', malformed))).toEqual([400, { error: 'Invalid JSON body' }]);
    const asked = await atRoot.send('OPTIONS', '/runs', {
      headers: { origin: 'https://a.example', 'access-control-request-method': 'POST' },
    });
    expect([asked.status, asked.headers.get('access-control-allow-origin')]).toEqual([204, 'https://a.example']);
  });

  it("leaves the service's own routes where they are", async () => {
    expect((await atRoot.get('/livez')).body).toEqual({ status: 'ok' });
    expect((await atRoot.get('/metrics')).text).toContain('runledger_');
  });

  it('is not on by itself', async () => {
    const plain = await startApp();
    try {
      expect((await new Hypershift(plain.origin).get('/runs')).status).toBe(404);
      expect((await Hypershift.of(plain).get('/runs')).status).toBe(200);
    } finally {
      await plain.close();
    }
  });
});
