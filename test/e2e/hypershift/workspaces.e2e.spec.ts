import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { WorkspaceBody } from '../../../src/systems/hypershift/workspaces/workspaces.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents, ISO_TIME, WORKSPACE_ID } from '../../support/hypershift.js';
import { unique } from '../../support/unique.js';

const NOT_FOUND = [404, { error: 'Workspace not found' }];
const BAD_TIER = [400, { error: "Body must include tier: 'free' or 'pro'" }];

describe('HyperShift API, Workspaces', () => {
  let service: TestApp;
  let client: Hypershift;
  beforeAll(async () => {
    service = await startApp({}, { hypershiftAgents: instantAgents() });
    client = Hypershift.of(service);
  });
  afterAll(() => service.close());

  describe('POST /workspaces', () => {
    it('answers 201 with the workspace, and nothing else', async () => {
      const answer = await client.post('/workspaces', { name: 'My Team' });
      expect(said(answer)).toEqual([
        201,
        {
          id: expect.stringMatching(WORKSPACE_ID),
          name: 'My Team',
          tier: 'free',
          created_at: expect.stringMatching(ISO_TIME),
        },
      ]);
    });

    it.each([
      ['no body', undefined],
      ['no name', {}],
      ['a name of null', { name: null }],
      ['a number', { name: 7 }],
      ['a list', ['x']],
      ['a text', 'x'],
    ])('calls it "My Workspace" for %s', async (_, body) => {
      const answer = await client.post('/workspaces', body);
      expect(said(answer)).toEqual([201, expect.objectContaining({ name: 'My Workspace' })]);
    });

    it('trims the name', async () => {
      const { body } = await client.post('/workspaces', { name: '  Ümläut & <b> \n', other: 1 });
      expect(body).toMatchObject({ name: 'Ümläut & <b>' });
    });

    it.each(['', ' \t '])('calls it by its id for %j', async (name) => {
      const { status, body } = await client.post<WorkspaceBody>('/workspaces', { name });
      expect([status, body.name]).toEqual([201, body.id]);
    });

    it('gives each workspace an id of its own', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => client.post<WorkspaceBody>('/workspaces')));
      expect(new Set(answers.map(({ body }) => body.id)).size).toBe(20);
    });
  });

  describe('GET /workspaces/:id', () => {
    it('answers with what was created', async () => {
      const created = await client.post<WorkspaceBody>('/workspaces', { name: 'Seen again' });
      expect(said(await client.get(`/workspaces/${created.body.id}`))).toEqual([200, created.body]);
    });

    it('knows the default workspace from the start', async () => {
      expect(said(await client.get('/workspaces/ws-default'))).toEqual([
        200,
        { id: 'ws-default', name: 'Default', tier: 'free', created_at: expect.stringMatching(ISO_TIME) },
      ]);
    });

    it.each(['ws-nowhere', 'a%20b', '..%2F', '..%2F..%2Fws-default', '%zz', '%00', '%24serving', 'x'.repeat(4_000)])(
      'does not know %s, and does not create it by looking',
      async (id) => {
        expect(said(await client.get(`/workspaces/${id}`))).toEqual(NOT_FOUND);
        expect(said(await client.get(`/workspaces/${id}`))).toEqual(NOT_FOUND);
      },
    );

    it('shows a workspace that a first run has created, under the id as it was named', async () => {
      const id = `team/blue 42 : ${unique('x')}`;
      await client.in(id).create();
      expect(said(await client.get(`/workspaces/${encodeURIComponent(id)}`))).toEqual([
        200,
        { id, name: id, tier: 'free', created_at: expect.stringMatching(ISO_TIME) },
      ]);
    });

    it('is not created by reading anything else of it', async () => {
      const id = unique('read');
      const reader = client.in(id);
      const reads = ['/usage', '/runs', '/observability/outcomes', '/observability/slo'];
      const answers = await Promise.all(reads.map((path) => reader.get(path)));
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
      expect(said(await client.get(`/workspaces/${id}`))).toEqual(NOT_FOUND);
    });

    it('is not created by a refused run', async () => {
      const id = unique('refused');
      expect((await client.in(id).post('/runs', { user_intent: {} })).status).toBe(400);
      expect(said(await client.get(`/workspaces/${id}`))).toEqual(NOT_FOUND);
    });
  });

  describe('PATCH /workspaces/:id/tier', () => {
    it('answers with the updated workspace, as often as it is asked', async () => {
      const { body: created } = await client.post<WorkspaceBody>('/workspaces');
      const pro = [200, Object.assign({}, created, { tier: 'pro' })];
      expect(said(await client.patch(`/workspaces/${created.id}/tier`, { tier: 'pro' }))).toEqual(pro);
      expect(said(await client.patch(`/workspaces/${created.id}/tier`, { tier: 'pro', other: 1 }))).toEqual(pro);
      expect(said(await client.get(`/workspaces/${created.id}`))).toEqual(pro);
      expect(said(await client.patch(`/workspaces/${created.id}/tier`, { tier: 'free' }))).toEqual([200, created]);
    });

    it('needs no secret where none is set', async () => {
      const { id } = await client.workspace();
      const answer = await client.patch(`/workspaces/${id}/tier`, { tier: 'pro' }, { 'X-Webhook-Secret': 'any' });
      expect(answer.status).toBe(200);
    });

    it.each([
      undefined,
      {},
      { tier: 'gold' },
      { tier: 'PRO' },
      { tier: ' pro' },
      { tier: null },
      { tier: ['pro'] },
      [],
    ])('refuses %j', async (body) => {
      const { id } = await client.workspace();
      expect(said(await client.patch(`/workspaces/${id}/tier`, body))).toEqual(BAD_TIER);
      expect((await client.get(`/workspaces/${id}`)).body).toMatchObject({ tier: 'free' });
    });

    it('checks the tier before it looks for the workspace', async () => {
      expect(said(await client.patch('/workspaces/ws-nowhere/tier', { tier: 'gold' }))).toEqual(BAD_TIER);
      expect(said(await client.patch('/workspaces/ws-nowhere/tier', { tier: 'pro' }))).toEqual(NOT_FOUND);
      expect(said(await client.get('/workspaces/ws-nowhere'))).toEqual(NOT_FOUND);
    });

    it('takes an id with anything in it', async () => {
      const id = `org:42/é ${unique('x')}`;
      await client.get(`/usage?workspace_id=${encodeURIComponent(id)}`);
      await client.post(`/runs?workspace_id=${encodeURIComponent(id)}`, { description: 'x' });
      const answer = await client.patch(`/workspaces/${encodeURIComponent(id)}/tier`, { tier: 'pro' });
      expect(said(answer)).toEqual([200, expect.objectContaining({ id, tier: 'pro' })]);
    });
  });
});

describe('HyperShift API, Workspaces with WORKSPACE_TIER_UPDATE_SECRET', () => {
  const secret = 'a secret of the operator';
  const wrong = [401, { error: 'Missing or invalid X-Webhook-Secret' }];
  let service: TestApp;
  let client: Hypershift;
  beforeAll(async () => {
    service = await startApp({ WORKSPACE_TIER_UPDATE_SECRET: secret });
    client = Hypershift.of(service);
  });
  afterAll(() => service.close());

  it('changes a tier for who knows it', async () => {
    const { id } = await client.workspace();
    const answer = await client.patch(`/workspaces/${id}/tier`, { tier: 'pro' }, { 'X-Webhook-Secret': secret });
    expect(said(answer)).toEqual([200, expect.objectContaining({ id, tier: 'pro' })]);
  });

  it.each([undefined, '', 'a secret', `${secret}!`, secret.toUpperCase(), `Bearer ${secret}`])(
    'refuses %j before it looks at anything else',
    async (given) => {
      const { id } = await client.workspace();
      const headers: Record<string, string> = given === undefined ? {} : { 'X-Webhook-Secret': given };
      expect(said(await client.patch(`/workspaces/${id}/tier`, { tier: 'pro' }, headers))).toEqual(wrong);
      expect(said(await client.patch(`/workspaces/${id}/tier`, { tier: 'gold' }, headers))).toEqual(wrong);
      expect(said(await client.patch('/workspaces/ws-nowhere/tier', { tier: 'pro' }, headers))).toEqual(wrong);
      expect((await client.get(`/workspaces/${id}`)).body).toMatchObject({ tier: 'free' });
    },
  );

  it('guards the API keys too', async () => {
    const { id } = await client.workspace();
    const path = `/workspaces/${id}/api-keys`;
    expect(said(await client.get(path))).toEqual(wrong);
    expect(said(await client.post(path, {}))).toEqual(wrong);
    expect(said(await client.delete(`${path}/key_00000000`))).toEqual(wrong);
    expect((await client.with({ 'X-Webhook-Secret': secret }).post(path, {})).status).toBe(201);
  });

  it('leaves creating and reading workspaces to everybody', async () => {
    const { id } = await client.workspace();
    expect((await client.get(`/workspaces/${id}`)).status).toBe(200);
  });
});
