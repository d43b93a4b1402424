import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { NewApiKeyBody } from '../../../src/systems/hypershift/workspaces/workspaces.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents } from '../../support/hypershift.js';
import { unique } from '../../support/unique.js';

describe('HyperShift API, whose workspace a request is for', () => {
  let service: TestApp;
  let anybody: Hypershift;
  let owner: Hypershift & { readonly id: string };
  let key: string;
  beforeAll(async () => {
    service = await startApp({}, { hypershiftAgents: instantAgents() });
    anybody = Hypershift.of(service);
    owner = await anybody.workspace();
    await anybody.patch(`/workspaces/${owner.id}/tier`, { tier: 'pro' });
    ({ key } = (await anybody.post<NewApiKeyBody>(`/workspaces/${owner.id}/api-keys`)).body);
  });
  afterAll(() => service.close());

  const resolved = async (path: string, headers: Record<string, string> = {}): Promise<unknown> =>
    (await anybody.get<{ workspace_id: string }>(`/usage${path}`, headers)).body.workspace_id;

  it.each<[string, Record<string, string>, string]>([
    ['', {}, 'ws-default'],
    ['?org_id=q2', {}, 'q2'],
    ['?org_id=q2&workspace_id=q1', {}, 'q1'],
    ['?org_id=q2&workspace_id=q1', { 'X-Org-Id': 'h2' }, 'h2'],
    ['?org_id=q2&workspace_id=q1', { 'X-Org-Id': 'h2', 'X-Workspace-Id': 'h1' }, 'h1'],
    ['?workspace_id=%20q1%20', {}, 'q1'],
    ['?workspace_id=q1', { 'X-Workspace-Id': '  ' }, 'q1'],
    ['?workspace_id=&org_id=q2', { 'X-Workspace-Id': '', 'X-Org-Id': ' ' }, 'q2'],
    ['?workspace_id=&org_id=%20', {}, 'ws-default'],
    ['', { 'x-workspace-id': ' team/blue 42 ' }, 'team/blue 42'],
    ['', { 'X-Org-Id': 'org:42' }, 'org:42'],
    ['?workspace_id=a%26b%3D%F0%9F%98%80', {}, 'a&b=😀'],
    ['', { Authorization: 'Bearer eyJhbGciOiJIUzI1NiJ9.e30.x', 'X-Org-Id': 'h2' }, 'h2'],
    ['', { Authorization: 'Basic aHM6aHM=' }, 'ws-default'],
    ['', { Authorization: 'Bearer ' }, 'ws-default'],
  ])('for %j with %j is %s', async (path, headers, workspace) => {
    expect(await resolved(path, headers)).toBe(workspace);
  });

  it("is the key's where there is one, whatever else is named", async () => {
    const headers = { Authorization: `Bearer ${key}` };
    expect(await resolved('', headers)).toBe(owner.id);
    expect(await resolved('?workspace_id=q1', { ...headers, 'X-Workspace-Id': 'h1', 'X-Org-Id': 'h2' })).toBe(owner.id);
    const id = await anybody.with({ ...headers, 'X-Workspace-Id': 'h1' }).create();
    expect(await owner.run(id)).toMatchObject({ workspace_id: owner.id });
  });

  it.each(['hs_', 'hs_x', 'hs_0f3a9c21_0123456789abcdef01234567', 'hs_0F3A9C21_0123456789ABCDEF01234567', 'hs_%00'])(
    'is nobody\'s for the key "%s", on every route of runs, usage and observability',
    async (wrong) => {
      const stranger = anybody.with({ Authorization: `Bearer ${wrong}`, 'X-Workspace-Id': owner.id });
      const id = await owner.create();
      const invalid = [401, { error: 'Invalid API key' }];
      const before = await owner.run(id);
      for (const path of [
        '/runs',
        `/runs/${id}`,
        `/runs/${id}/logs`,
        '/runs/unknown',
        '/usage',
        '/observability/outcomes',
        '/observability/slo',
      ]) {
        expect(said(await stranger.get(path))).toEqual(invalid);
      }
      expect(said(await stranger.post('/runs', { description: 'x' }))).toEqual(invalid);
      expect(said(await stranger.post('/runs', {}))).toEqual(invalid);
      for (const action of ['start', 'approve', 'reject', 'rollback', 'replay', 'feedback']) {
        expect(said(await stranger.post(`/runs/${id}/${action}`))).toEqual(invalid);
      }
      expect(await owner.run(id)).toEqual(before);
    },
  );

  it('is refused when its id is longer than 128 characters', async () => {
    const invalid = [400, { error: 'Invalid workspace id' }];
    const [longest, tooLong] = ['é'.repeat(128), 'a'.repeat(129)];
    expect(said(await anybody.in(tooLong).get('/usage'))).toEqual(invalid);
    expect(said(await anybody.in(tooLong).post('/runs', { description: 'x' }))).toEqual(invalid);
    expect(said(await anybody.get(`/runs?workspace_id=${tooLong}`))).toEqual(invalid);
    expect(said(await anybody.get(`/observability/slo?org_id=${tooLong}`))).toEqual(invalid);
    const query = `?workspace_id=${encodeURIComponent(longest)}`;
    expect((await anybody.post(`/runs${query}`, { description: 'x' })).status).toBe(201);
    expect((await anybody.get(`/usage${query}`)).body).toMatchObject({ workspace_id: longest, runs: 1 });
    const other = `?workspace_id=${encodeURIComponent(`${longest.slice(0, 127)}ê`)}`;
    expect((await anybody.get(`/usage${other}`)).body).toMatchObject({ runs: 0 });
  });

  it('keeps ids apart that only look alike', async () => {
    const base = unique('Alike');
    const ids = [base, base.toLowerCase(), `${base}/`, `${base}%2F`, `${base}-2026-01-01`, `${base} x`, `${base}_x`];
    for (const [index, id] of ids.entries()) {
      for (let run = 0; run <= index; run++) await anybody.in(id).create();
    }
    const counts = await Promise.all(ids.map(async (id) => (await anybody.in(id).get('/usage')).body));
    expect(counts).toMatchObject(ids.map((id, index) => ({ workspace_id: id, runs: index + 1 })));
  });

  describe('and a run of another workspace', () => {
    const NOT_FOUND = [404, { error: 'Run not found' }];
    const ways: [string, (id: string) => [Hypershift, string]][] = [
      ['X-Workspace-Id', () => [anybody.in('stranger'), '']],
      ['X-Org-Id', () => [anybody.with({ 'X-Org-Id': 'stranger' }), '']],
      ['workspace_id', () => [anybody, '?workspace_id=stranger']],
      ['org_id', () => [anybody, '?org_id=stranger']],
      ['ws-default by name', () => [anybody.in('ws-default'), '']],
    ];

    it.each(ways)('does not exist for who names another by %s, and nothing happens to it', async (_, way) => {
      const id = await owner.create();
      const [stranger, query] = way(id);
      const before = [await owner.run(id), await owner.logs(id)];
      expect(said(await stranger.get(`/runs/${id}${query}`))).toEqual(NOT_FOUND);
      expect(said(await stranger.get(`/runs/${id}/logs${query}`))).toEqual(NOT_FOUND);
      for (const action of ['start', 'approve', 'reject', 'rollback', 'replay', 'feedback']) {
        expect(said(await stranger.post(`/runs/${id}/${action}${query}`, { useful: true }))).toEqual(NOT_FOUND);
      }
      expect([await owner.run(id), await owner.logs(id)]).toEqual(before);
    });

    it('does not exist for the key of another', async () => {
      const foreign = await anybody.in('with a gate').create({ require_approval: true });
      const withKey = anybody.with({ Authorization: `Bearer ${key}` });
      expect(said(await withKey.get(`/runs/${foreign}`))).toEqual(NOT_FOUND);
      expect(said(await withKey.post(`/runs/${foreign}/start`))).toEqual(NOT_FOUND);
    });

    it('is found by who names none: dashboards ask before they know', async () => {
      const id = await owner.create();
      expect((await anybody.get(`/runs/${id}`)).status).toBe(200);
      expect((await anybody.post(`/runs/${id}/start`)).status).toBe(202);
      expect((await anybody.still(id)).workspace_id).toBe(owner.id);
      expect((await anybody.get(`/runs/${id}/logs`)).status).toBe(200);
    });
  });
});
