import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { eventually } from '../../support/eventually.js';
import { HookReceiver } from '../../support/hook-receiver.js';
import { Client, said } from '../../support/http.js';
import { TENANT, verified, WebhookApi, type EndpointBody } from '../../support/webhook-api.js';

const NOWHERE = [404, { error: 'Webhook endpoint not found' }];
const GIVEN = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;

let service: TestApp;
let api: WebhookApi;
let receiver: HookReceiver;

beforeAll(async () => {
  service = await startApp({ WEBHOOK_ALLOW_CIDRS: '127.0.0.1', RUNLEDGER_ROLES: 'api,projector,dispatcher' });
  api = new WebhookApi(service.origin);
  await api.begin();
});
afterAll(() => service.close());
beforeEach(async () => {
  receiver = await HookReceiver.start();
});
afterEach(async () => {
  await api.clear();
  await receiver.close();
});

const until = (count: number): Promise<true> => eventually(() => receiver.hooks.length >= count);

/** Everything that anybody can read: the log, and what is answered. */
async function everythingWritten(id: string): Promise<string> {
  const events: string[] = [];
  for (let after = 0; ;) {
    const page = await service.app.kernel.ports.log.readAll(after);
    const last = page.at(-1);
    if (!last) break;
    after = last.position;
    events.push(...page.map(({ data, metadata }) => data + metadata));
  }
  const answers = await Promise.all(
    ['', `/${id}`, `/${id}/deliveries`].map((path) => api.get(`/ledger/webhooks${path}`)),
  );
  return [...events, ...answers.map(({ text }) => text)].join('\n');
}

describe('POST /ledger/webhooks', () => {
  it('sets an endpoint up, and shows its secret this once', async () => {
    const body = { tenant: 'acme', url: receiver.url, types: ['run.*', 'deploy.succeeded'], systems: ['hypershift'] };
    const answer = await api.post<EndpointBody>('/ledger/webhooks', body);
    const { id } = answer.body;
    expect(said(answer)).toEqual([
      201,
      {
        ...body,
        id: expect.stringMatching(/^we_[0-9a-z]{16}$/),
        description: '',
        after: expect.any(Number),
        status: 'enabled',
        disabled: null,
        secrets: [{ until: null }],
        health: null,
        createdAt: expect.stringMatching(/Z$/),
        updatedAt: expect.stringMatching(/Z$/),
        secret: expect.stringMatching(/^whsec_[A-Za-z0-9+/]{43}=$/),
      },
    ]);
    const { secret, ...rest } = answer.body;
    expect(said(await api.get(`/ledger/webhooks/${id}`))).toEqual([200, rest]);
    expect(await everythingWritten(id)).not.toContain(secret.slice('whsec_'.length));
    expect((await api.delete(`/ledger/webhooks/${id}`)).status).toBe(204);
  });

  it('takes a secret of yours, and tells what is recorded from then on', async () => {
    await api.createRun();
    const { id } = await api.create({ url: receiver.url, secret: GIVEN });
    const runId = await api.createRun();
    await until(1);
    const [hook] = receiver.hooks;
    const { body } = await api.get<{ events: Record<string, unknown>[] }>(
      `/ledger/events?run=${runId}&type=run.created`,
    );
    const [event] = body.events;
    expect(hook && verified(hook, GIVEN)).toEqual({
      type: 'run.created',
      timestamp: event?.['at'],
      id: event?.['id'],
      position: event?.['position'],
      system: 'hypershift',
      tenant: TENANT,
      stream: event?.['stream'],
      schemaVersion: 1,
      correlationId: event?.['correlationId'],
      data: event?.['data'],
    });
    expect(hook?.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'Runledger' });
    await api.only(id, ({ status }) => status === 'delivered');
    expect(receiver.types).toEqual(['run.created']);
    expect(await everythingWritten(id)).not.toContain(GIVEN.slice('whsec_'.length));
  });

  it('tells the past after a position, in order, when asked', async () => {
    const head = await service.app.kernel.ports.log.head();
    const runs = [await api.createRun(), await api.createRun()];
    await api.create({ url: receiver.url, after: head });
    await until(2);
    const told = receiver.hooks.map(({ body }) => (JSON.parse(body) as { data: { runId: string } }).data.runId);
    expect(told.sort()).toEqual(runs.sort());
  });

  it('tells nothing of other types, systems and tenants, and nothing of webhooks', async () => {
    const other = await HookReceiver.start();
    await api.create({ url: other.url, types: ['deploy.*'] });
    await api.create({ url: other.url, types: ['*'], tenant: 'acme' });
    await api.create({ url: other.url, types: ['run.create', 'run.created.*'] });
    await api.create({ url: receiver.url, types: ['*'] });
    await api.createRun();
    await until(1);
    await api.createRun();
    await eventually(() => receiver.types.filter((type) => type === 'run.created').length === 2);
    expect(receiver.types.filter((type) => /webhook|request|checkpoint/.test(type))).toEqual([]);
    expect(other.hooks).toEqual([]);
    await other.close();
  });

  it.each([
    ['no url', { url: undefined }, 'url: where to send to'],
    ['a long url', { url: `http://a.example/${'x'.repeat(2_000)}` }, 'url: 2000 characters at most'],
    ['no types', { types: undefined }, 'types: an array of 1 to 50 texts'],
    ['an empty list of types', { types: [] }, 'types: an array of 1 to 50 texts'],
    ['half a type', { types: ['run*'] }, 'types: each a type, a beginning such as run.*, or *'],
    ['a type that is none', { types: [1] }, 'types: each a type, a beginning such as run.*, or *'],
    ['an unknown system', { systems: ['runledger'] }, 'systems: of hypershift'],
    ['no tenant', { tenant: undefined }, 'tenant: say whose events are to be told'],
    ['null for a tenant', { tenant: null }, 'tenant: a text'],
    ['a description of another kind', { description: null }, 'description: a text'],
    ['a position that is none', { after: -1 }, 'after: a position, a whole number from 0 on'],
    ['a position past the end', { after: 1e15 }, expect.stringMatching(/^after: the log ends at \d+$/)],
    ['an unknown field', { color: 'red' }, 'property color should not exist'],
  ])('refuses %s', async (_, fields, error) => {
    const body = { tenant: 'acme', url: receiver.url, types: ['*'], ...fields };
    expect(said(await api.post('/ledger/webhooks', body))).toEqual([400, { error }]);
  });

  it.each([
    ['too short', `whsec_${Buffer.alloc(23, 9).toString('base64')}`],
    ['too long', `whsec_${Buffer.alloc(65, 9).toString('base64')}`],
    ['without its prefix', Buffer.alloc(32, 9).toString('base64')],
    ['in base64 of another kind', `whsec_${Buffer.alloc(32, 0xff).toString('base64url')}`],
    ['with something behind it', `whsec_${Buffer.alloc(24, 9).toString('base64')} `],
  ])('refuses a secret %s, and does not repeat it', async (_, secret) => {
    const answer = await api.post('/ledger/webhooks', { tenant: 'acme', url: receiver.url, types: ['*'], secret });
    expect(said(answer)).toEqual([400, { error: 'secret: whsec_ and 24 to 64 bytes in base64' }]);
  });

  it('gives the same endpoint and secret again to a request with the same Idempotency-Key', async () => {
    const body = { tenant: 'idem', url: receiver.url, types: ['*'] };
    const key = { 'idempotency-key': 'create-a-webhook' };
    const [first, second] = [
      await api.post<EndpointBody>('/ledger/webhooks', body, key),
      await api.post<EndpointBody>('/ledger/webhooks', body, key),
    ];
    expect(second.body).toEqual(first.body);
    const list = await api.get<{ webhooks: EndpointBody[] }>('/ledger/webhooks?tenant=idem');
    expect(list.body.webhooks.map(({ id }) => id)).toEqual([first.body.id]);
    await api.delete(`/ledger/webhooks/${first.body.id}`);
  });

  it('lets a tenant have a hundred', async () => {
    const body = { tenant: 'many', url: receiver.url, types: ['*'] };
    const made = await Promise.all(Array.from({ length: 101 }, () => api.post<EndpointBody>('/ledger/webhooks', body)));
    const refused = made.filter(({ status }) => status !== 201);
    expect(refused.map(said)).toEqual([[409, { error: 'A tenant has at most 100 endpoints: delete one first' }]]);
    await Promise.all(made.map(({ body: { id } }) => api.delete(`/ledger/webhooks/${id}`)));
  });
});

describe('GET /ledger/webhooks', () => {
  it('lists all, or those of a tenant', async () => {
    const [a, b] = [await api.create({ url: receiver.url }), await api.create({ url: receiver.url, tenant: 'acme' })];
    const ids = async (query: string): Promise<string[]> => {
      const { body } = await api.get<{ webhooks: EndpointBody[] }>(`/ledger/webhooks${query}`);
      return body.webhooks.map(({ id }) => id);
    };
    expect(await ids('')).toEqual([a.id, b.id]);
    expect(await ids('?tenant=acme')).toEqual([b.id]);
    expect(await ids('?tenant=nobody')).toEqual([]);
    expect(said(await api.get('/ledger/webhooks?tennant=acme'))).toEqual([
      400,
      { error: 'property tennant should not exist' },
    ]);
  });
});

describe('PATCH /ledger/webhooks/{id}', () => {
  it('changes address and filter for what comes', async () => {
    const { id, secret } = await api.create({ url: receiver.url, types: ['deploy.*'] });
    const patched = await api.patch<EndpointBody>(`/ledger/webhooks/${id}`, {
      url: `${receiver.url}/2`,
      types: ['run.created'],
      systems: ['hypershift'],
      description: 'mine',
    });
    expect(said(patched)).toMatchObject([
      200,
      { url: `${receiver.url}/2`, types: ['run.created'], systems: ['hypershift'], description: 'mine' },
    ]);
    await api.createRun();
    await until(1);
    expect(receiver.hooks[0]).toMatchObject({ path: '/hook/2', type: 'run.created' });
    expect(receiver.hooks[0] && verified(receiver.hooks[0], secret)).toMatchObject({ type: 'run.created' });
    expect(said(await api.patch(`/ledger/webhooks/${id}`, { systems: null }))).toMatchObject([200, { systems: null }]);
  });

  it.each([
    [{ url: null }, 'url: where to send to'],
    [{ url: 'ftp://a' }, 'url: an http or https address'],
    [{ types: null }, 'types: an array of 1 to 50 texts'],
    [{ tenant: 'other' }, 'property tenant should not exist'],
    [{ secret: GIVEN }, 'property secret should not exist'],
  ])('refuses %j', async (fields, error) => {
    const { id } = await api.create({ url: receiver.url });
    expect(said(await api.patch(`/ledger/webhooks/${id}`, fields))).toEqual([400, { error }]);
  });
});

describe('POST /ledger/webhooks/{id}/rotate', () => {
  it('signs with both secrets for a day', async () => {
    const { id, secret } = await api.create({ url: receiver.url });
    const rotated = await api.post<EndpointBody>(`/ledger/webhooks/${id}/rotate`);
    expect(said(rotated)).toMatchObject([200, { secrets: [{ until: null }, { until: expect.any(String) }] }]);
    const untilMs = Date.parse(rotated.body.secrets[1]?.until ?? '') - service.app.kernel.ports.clock.now();
    expect(Math.round(untilMs / 3_600_000)).toBe(24);
    expect(rotated.body.secret).not.toBe(secret);
    await api.post(`/ledger/webhooks/${id}/test`);
    await until(1);
    const [hook] = receiver.hooks;
    expect(hook?.headers['webhook-signature']).toMatch(/^v1,\S+ v1,\S+$/);
    for (const each of [secret, rotated.body.secret]) expect(hook && verified(hook, each)).toBeDefined();
    expect(await everythingWritten(id)).not.toContain(rotated.body.secret.slice('whsec_'.length));
  });

  it('signs with the new one alone when asked', async () => {
    const { id, secret } = await api.create({ url: receiver.url });
    const rotated = await api.post<EndpointBody>(`/ledger/webhooks/${id}/rotate`, { secret: GIVEN, overlapMs: 0 });
    expect(said(rotated)).toMatchObject([200, { secret: GIVEN, secrets: [{ until: null }] }]);
    await api.post(`/ledger/webhooks/${id}/test`);
    await until(1);
    const [hook] = receiver.hooks;
    expect(hook && verified(hook, GIVEN)).toBeDefined();
    expect(() => hook && verified(hook, secret)).toThrow('No matching signature');
  });

  it.each([
    [{ overlapMs: -1 }, 'overlapMs: 0 at least'],
    [{ overlapMs: 604_800_001 }, 'overlapMs: 604800000 at most'],
    [{ overlapMs: 'a day' }, 'overlapMs: 604800000 at most'],
    [{ secret: 'mine' }, 'secret: whsec_ and 24 to 64 bytes in base64'],
    [{ secret: 5 }, 'secret: a text'],
  ])('refuses %j', async (body, error) => {
    const { id } = await api.create({ url: receiver.url });
    const answer = await api.post<{ error: string }>(`/ledger/webhooks/${id}/rotate`, body);
    expect([answer.status, answer.body.error]).toEqual([400, expect.stringContaining(error.split(':')[0] ?? '')]);
  });
});

describe('POST /ledger/webhooks/{id}/disable and /enable', () => {
  it('stop it, and let it go on where it stopped', async () => {
    const { id } = await api.create({ url: receiver.url });
    expect(said(await api.post(`/ledger/webhooks/${id}/disable`))).toMatchObject([
      200,
      { status: 'disabled', disabled: { reason: 'operator', at: expect.stringMatching(/Z$/) } },
    ]);
    for (const action of ['test', 'resend', 'deliveries/none/resend']) {
      const answer = await api.post(
        `/ledger/webhooks/${id}/${action}`,
        action === 'resend' ? { failed: true } : undefined,
      );
      expect(said(answer)).toEqual([409, { error: 'The webhook endpoint is disabled: enable it first' }]);
    }
    const runId = await api.createRun();
    const enabled = await api.post(`/ledger/webhooks/${id}/enable`);
    expect(said(enabled)).toMatchObject([200, { status: 'enabled', disabled: null }]);
    await until(1);
    expect(receiver.hooks[0]?.body).toContain(runId);
  });

  it('leave out what was recorded before a position', async () => {
    const { id } = await api.create({ url: receiver.url });
    await api.post(`/ledger/webhooks/${id}/disable`);
    await api.createRun();
    const after = await service.app.kernel.ports.log.head();
    expect(said(await api.post(`/ledger/webhooks/${id}/enable`, { after }))).toMatchObject([200, { after }]);
    const runId = await api.createRun();
    await until(1);
    expect(receiver.hooks.map(({ body }) => body.includes(runId))).toEqual([true]);
    expect(said(await api.post(`/ledger/webhooks/${id}/enable`, { after: 1e15 }))).toEqual([
      400,
      { error: expect.stringMatching(/^after: the log ends at/) },
    ]);
  });
});

describe('what is not there', () => {
  it('is not found by any route', async () => {
    const { id } = await api.create({ url: receiver.url });
    expect((await api.delete(`/ledger/webhooks/${id}`)).status).toBe(204);
    const range = { after: 0 };
    for (const gone of [id, 'we_nothing', '$serving', '__proto__']) {
      const path = `/ledger/webhooks/${gone}`;
      expect(said(await api.get(path))).toEqual(NOWHERE);
      expect(said(await api.patch(path, {}))).toEqual(NOWHERE);
      expect(said(await api.delete(path))).toEqual(NOWHERE);
      expect(said(await api.get(`${path}/deliveries`))).toEqual(NOWHERE);
      expect(said(await api.get(`${path}/deliveries/x`))).toEqual(NOWHERE);
      for (const action of ['enable', 'disable', 'rotate', 'test', 'deliveries/x/resend'])
        expect(said(await api.post(`${path}/${action}`))).toEqual(NOWHERE);
      expect(said(await api.post(`${path}/resend`, range))).toEqual(NOWHERE);
    }
  });
});

describe('with tokens', () => {
  let guarded: TestApp;
  let client: Client;
  const as = (name: string) => ({ authorization: `Bearer secret-of-${name}` });
  beforeAll(async () => {
    const scopes = ['read', 'operate'];
    guarded = await startApp({
      RUNLEDGER_ROLES: 'api,projector,dispatcher',
      RUNLEDGER_TOKENS: JSON.stringify([
        { name: 'ops', token: 'secret-of-ops', scopes },
        { name: 'acme', token: 'secret-of-acme', scopes, tenants: ['acme'] },
        { name: 'two', token: 'secret-of-two', scopes, tenants: ['initech', 'umbrella'] },
        { name: 'looker', token: 'secret-of-looker', scopes: ['read'] },
      ]),
    });
    client = new Client(guarded.origin);
  });
  afterAll(() => guarded.close());

  it('each tenant sees its own', async () => {
    const body = { url: 'https://hooks.example/', types: ['*'] };
    const own = await client.post<EndpointBody>('/ledger/webhooks', body, as('acme'));
    expect(said(own)).toMatchObject([201, { tenant: 'acme' }]);
    const path = `/ledger/webhooks/${own.body.id}`;
    for (const name of ['ops', 'acme', 'looker']) expect((await client.get(path, as(name))).status).toBe(200);
    expect(said(await client.get(path, as('two')))).toEqual(NOWHERE);
    expect(said(await client.post(`${path}/rotate`, {}, as('two')))).toEqual(NOWHERE);
    expect(said(await client.get('/ledger/webhooks', as('two')))).toEqual([200, { webhooks: [] }]);
    expect(said(await client.post('/ledger/webhooks', body, as('two')))).toEqual([
      400,
      { error: 'tenant: say whose events are to be told' },
    ]);
    expect(said(await client.post('/ledger/webhooks', { ...body, tenant: 'acme' }, as('two')))).toEqual([
      403,
      { error: 'The token two is not for that tenant' },
    ]);
    const { body: events } = await client.get<{ events: { actor: string; type: string }[] }>(
      '/ledger/events?type=webhook_endpoint.*',
      as('acme'),
    );
    expect(events.events).toMatchObject([{ type: 'webhook_endpoint.created', actor: 'acme' }]);
  });

  it('who may only look changes nothing', async () => {
    const path = '/ledger/webhooks';
    const refused = [403, { error: 'The token looker does not have the scope operate' }];
    expect(said(await client.post(path, {}, as('looker')))).toEqual(refused);
    expect(said(await client.patch(`${path}/x`, {}, as('looker')))).toEqual(refused);
    expect(said(await client.delete(`${path}/x`, as('looker')))).toEqual(refused);
    for (const action of ['enable', 'disable', 'rotate', 'test', 'resend', 'deliveries/y/resend'])
      expect(said(await client.post(`${path}/x/${action}`, {}, as('looker')))).toEqual(refused);
    expect((await client.get(path)).status).toBe(401);
  });
});
