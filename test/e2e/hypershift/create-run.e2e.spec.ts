import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents, ISO_TIME, RUN_ID, RUN_KEYS } from '../../support/hypershift.js';

const period = (): string => `${new Date().toISOString().slice(0, 7)}-01`;
const intent = { description: 'Deploy a Next.js app', target: 'production', constraints: 'free tier only' };

describe('HyperShift API, Create run', () => {
  let service: TestApp;
  let client: Hypershift & { readonly id: string };
  beforeAll(async () => {
    service = await startApp({}, { hypershiftAgents: instantAgents() });
    client = await Hypershift.of(service).workspace();
    await client.patch(`/workspaces/${client.id}/tier`, { tier: 'pro' });
  });
  afterAll(() => service.close());

  it('answers 201 with the id, and nothing else', async () => {
    const answer = await client.post('/runs', { user_intent: intent });
    expect(said(answer)).toEqual([201, { run_id: expect.stringMatching(RUN_ID) }]);
  });

  it('makes a pending run with every key, and nothing runs', async () => {
    const fields = { user_intent: intent, codename: 'kite', tags: ['a', 'b'], require_approval: true };
    const id = await client.with({ 'X-User-Id': 'ann' }).create(fields);
    const run = await client.run(id);
    expect(Object.keys(run).sort()).toEqual(RUN_KEYS);
    expect(run).toEqual({
      id,
      status: 'pending',
      current_step: 0,
      error: null,
      user_intent: intent,
      architect_output: null,
      builder_output: null,
      sentinel_output: null,
      sre_output: null,
      finops_output: null,
      created_at: expect.stringMatching(ISO_TIME),
      updated_at: run.created_at,
      deployment_url: null,
      codename: 'kite',
      tags: ['a', 'b'],
      require_approval: true,
      approved_at: null,
      approved_by: null,
      rejected_at: null,
      rejected_by: null,
      feedback_useful: null,
      feedback_deploy_succeeded: null,
      feedback_at: null,
      workspace_id: client.id,
      created_by: 'ann',
      started_at: null,
      completed_at: null,
      failed_step: null,
      duration_ms: null,
    });
    expect(await client.actions(id)).toEqual(['run.created']);
  });

  it('needs a description only, and leaves absent keys of the intent absent', async () => {
    const run = await client.run(await client.create({ user_intent: { description: '', other: 1 } }));
    expect(run.user_intent).toEqual({ description: '' });
    expect(run).toMatchObject({ codename: null, tags: [], require_approval: false, created_by: null });
  });

  it.each([
    ['absent', { description: 'bare', target: 'x', codename: 'c', tags: ['t'] }],
    ['null', { user_intent: null, description: 'bare', target: 'x', codename: 'c', tags: ['t'] }],
  ])('takes the whole body as the intent where user_intent is %s', async (_, body) => {
    const { body: created, status } = await client.post<{ run_id: string }>('/runs', body);
    expect(status).toBe(201);
    expect(await client.run(created.run_id)).toMatchObject({
      user_intent: { description: 'bare', target: 'x' },
      codename: 'c',
      tags: ['t'],
    });
  });

  it.each([
    ['a codename that is no text', { codename: 7 }, { codename: null }],
    ['tags that are no list', { tags: 'a' }, { tags: [] }],
    ['tags that are no texts', { tags: ['a', 1, null, ['b'], 'c'] }, { tags: ['a', 'c'] }],
    ['tags of null', { tags: null }, { tags: [] }],
    ['a truthy require_approval', { require_approval: 'yes' }, { require_approval: true }],
    ['a falsy require_approval', { require_approval: 0 }, { require_approval: false }],
  ])('bears %s', async (_, fields, shown) => {
    expect(await client.run(await client.create(fields))).toMatchObject(shown);
  });

  it.each([
    ['no description', { user_intent: {} }, ['description']],
    ['a description of null', { user_intent: { description: null } }, ['description']],
    ['a target of null', { user_intent: { description: 'x', target: null } }, ['target']],
    ['two bad fields', { user_intent: { description: 'x', target: 1, constraints: [] } }, ['target', 'constraints']],
    ['nothing usable in the body itself', { codename: 'x' }, ['description']],
  ])('refuses %s, field by field', async (_, body, fields) => {
    const answer = await client.post<{ details: Record<string, string[]> }>('/runs', body);
    expect(said(answer)).toEqual([400, { error: 'Invalid user_intent', details: expect.anything() }]);
    expect(Object.keys(answer.body.details)).toEqual(fields);
    for (const messages of Object.values(answer.body.details)) {
      expect(messages).toEqual(messages.map(() => expect.stringMatching(/.+/)));
      expect(messages.length).toBeGreaterThan(0);
    }
  });

  it.each([[{ user_intent: 'x' }], [{ user_intent: [] }], [{ user_intent: 7 }], [[]], ['x'], [null], [undefined]])(
    'refuses %j, where the intent is no object',
    async (body) => {
      expect(said(await client.post('/runs', body))).toEqual([400, { error: 'Invalid user_intent', details: {} }]);
    },
  );

  it('keeps every character of the texts', async () => {
    const text = 'Zeile\n"quoted" \\ <script> $HOME `id` \u0000 \u2028 😀 é';
    const run = await client.run(await client.create({ user_intent: { description: text }, codename: text }));
    expect([run.user_intent, run.codename]).toEqual([{ description: text }, text]);
  });

  it('takes a body of 100 kB', async () => {
    const description = 'x'.repeat(100_000);
    const id = await client.create({ user_intent: { description } });
    expect((await client.run(id)).user_intent).toEqual({ description });
  });

  it('names nobody as the creator where nobody is named, and X-User-Id before X-Actor', async () => {
    const both = await client.with({ 'X-Actor': 'bob', 'X-User-Id': 'ann' }).create();
    const actor = await client.with({ 'X-Actor': 'bob', 'X-User-Id': ' ' }).create();
    expect([(await client.run(both)).created_by, (await client.run(actor)).created_by]).toEqual(['ann', 'bob']);
  });
});

describe('HyperShift API, Create run, the limit', () => {
  let service: TestApp;
  let anybody: Hypershift;
  beforeAll(async () => {
    service = await startApp({}, { hypershiftAgents: instantAgents() });
    anybody = Hypershift.of(service);
  });
  afterAll(() => service.close());

  const exceeded = (current: number, limit: number): unknown => ({
    error: 'Run limit exceeded for this period',
    current,
    limit,
    period: period(),
  });
  const body = { user_intent: { description: 'x' } };

  it('lets exactly ten of twenty parallel runs through', async () => {
    const client = await anybody.workspace();
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.post('/runs', body)));
    const refused = answers.filter(({ status }) => status === 402);
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(10);
    expect(refused.map((answer) => answer.body)).toEqual(Array.from({ length: 10 }, () => exceeded(10, 10)));
    const { body: listed } = await client.get<{ runs: unknown[] }>('/runs');
    expect(listed.runs).toHaveLength(10);
    expect((await client.get('/usage')).body).toMatchObject({ runs: 10, limit: 10, tier: 'free' });
  });

  it('holds for a workspace that the runs themselves create', async () => {
    const client = anybody.in('implicit one');
    const answers = await Promise.all(Array.from({ length: 12 }, () => client.post('/runs', body)));
    expect(answers.map(({ status }) => status).sort()).toEqual([...Array<number>(10).fill(201), 402, 402]);
  });

  it('goes by the tier of the moment', async () => {
    const client = await anybody.workspace();
    for (let run = 0; run < 10; run++) await client.create();
    expect(said(await client.post('/runs', body))).toEqual([402, exceeded(10, 10)]);

    await client.patch(`/workspaces/${client.id}/tier`, { tier: 'pro' });
    expect((await client.post('/runs', body)).status).toBe(201);
    expect((await client.get('/usage')).body).toMatchObject({ runs: 11, limit: 1_000, tier: 'pro' });

    await client.patch(`/workspaces/${client.id}/tier`, { tier: 'free' });
    expect(said(await client.post('/runs', body))).toEqual([402, exceeded(11, 10)]);
    expect((await client.get('/usage')).body).toMatchObject({ runs: 11, limit: 10, tier: 'free' });
  });

  it('is looked at after the intent', async () => {
    const client = await anybody.workspace();
    for (let run = 0; run < 10; run++) await client.create();
    expect((await client.post('/runs', { user_intent: {} })).status).toBe(400);
    expect((await client.post('/runs', body)).status).toBe(402);
  });

  it('does not count refused runs, nor those of other workspaces', async () => {
    const [one, other] = [await anybody.workspace(), await anybody.workspace()];
    await one.post('/runs', { user_intent: {} });
    await other.create();
    expect((await one.get('/usage')).body).toMatchObject({ runs: 0 });
  });
});
