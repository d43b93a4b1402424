import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { connect } from 'node:net';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents } from '../../support/hypershift.js';

const NOT_FOUND = [404, { error: 'Not found' }];

describe('HyperShift API, how it speaks HTTP', () => {
  let service: TestApp;
  let client: Hypershift;
  beforeAll(async () => {
    service = await startApp({}, { hypershiftAgents: instantAgents() });
    client = Hypershift.of(service);
    await client.patch('/workspaces/ws-default/tier', { tier: 'pro' });
  });
  afterAll(() => service.close());

  describe('bodies', () => {
    const empty: [string, { headers?: Record<string, string>; body?: string }][] = [
      ['nothing', {}],
      ['a content type and no body', { headers: { 'content-type': 'application/json' } }],
      ['JSON of no bytes', { headers: { 'content-type': 'application/json' }, body: '' }],
      ['JSON of blanks', { headers: { 'content-type': 'application/json; charset=utf-8' }, body: ' \n' }],
      [
        'an empty form, as curl -d "" sends',
        { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: '' },
      ],
      ['a form', { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'a=b' }],
      ['an empty text', { headers: { 'content-type': 'text/plain;charset=UTF-8' }, body: '' }],
      ['a text', { headers: { 'content-type': 'text/plain' }, body: 'hello {' }],
      ['bytes without a content type', { body: '{bad' }],
      ['an empty object', { headers: { 'content-type': 'application/json' }, body: '{}' }],
      ['null', { headers: { 'content-type': 'application/json' }, body: 'null' }],
    ];

    it.each(empty)('of %s are fine wherever no field is required', async (_, init) => {
      const { id: workspace } = await client.workspace();
      const send = async (path: string): Promise<number> => (await client.send('POST', path, init)).status;
      const id = await client.create({ require_approval: true });
      expect(await send('/workspaces')).toBe(201);
      expect(await send(`/workspaces/${workspace}/api-keys`)).toBe(201);
      expect(await send(`/runs/${id}/start`)).toBe(202);
      await client.still(id);
      expect(await send(`/runs/${id}/approve`)).toBe(200);
      expect(await send(`/runs/${id}/rollback`)).toBe(200);
      expect(await send(`/runs/${id}/replay`)).toBe(201);
      const other = await client.runThrough({ require_approval: true });
      expect(await send(`/runs/${other.id}/reject`)).toBe(200);
    });

    it.each(empty)('of %s are refused by name where a field is required', async (_, init) => {
      const intent = await client.send('POST', '/runs', init);
      expect([intent.status, intent.body]).toEqual([400, expect.objectContaining({ error: 'Invalid user_intent' })]);
      expect(said(await client.send('POST', '/what-if', init))).toEqual([400, { error: 'Invalid user_intent' }]);
      expect(said(await client.send('PATCH', '/workspaces/ws-default/tier', init))).toEqual([
        400,
        { error: "Body must include tier: 'free' or 'pro'" },
      ]);
    });

    it.each([
      '{',
      '{"description":"x"',
      '{"description":"x"}}',
      "{'description':'x'}",
      'undefined',
      '\u0000',
      '{"a":1,}',
    ])('of malformed JSON (%j) are refused on every route that reads one', async (body) => {
      const id = await client.create();
      const malformed = { headers: { 'content-type': 'application/json' }, body };
      const refused = [400, { error: 'Invalid JSON body' }];
      for (const path of ['/runs', '/workspaces', '/what-if', `/runs/${id}/start`, `/runs/${id}/feedback`]) {
        expect(said(await client.send('POST', path, malformed))).toEqual(refused);
      }
      expect(said(await client.send('PATCH', '/workspaces/ws-default/tier', malformed))).toEqual(refused);
      expect(await client.run(id)).toMatchObject({ status: 'pending' });
    });

    it('may carry keys that would poison objects, which are dropped', async () => {
      const body = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"description":"x"}';
      const headers = { 'content-type': 'application/json' };
      const { status, body: created } = await client.send<{ run_id: string }>('POST', '/runs', { headers, body });
      expect(status).toBe(201);
      expect((await client.run(created.run_id)).user_intent).toEqual({ description: 'x' });
      expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    });

    it.each(['application/json', 'text/plain'])('of %s over the limit are refused with 413', async (type) => {
      const body = JSON.stringify({ description: 'x'.repeat(600_000) });
      const answer = await client.send('POST', '/runs', { headers: { 'content-type': type }, body });
      expect(said(answer)).toEqual([413, { error: expect.stringMatching(/.+/) }]);
    });

    it('are read as UTF-8, with or without a byte order mark', async () => {
      const headers = { 'content-type': 'application/json' };
      const body = '\uFEFF{"description":"Grüße 😀"}';
      const { body: created, status } = await client.send<{ run_id: string }>('POST', '/runs', { headers, body });
      expect(status).toBe(201);
      expect((await client.run(created.run_id)).user_intent).toEqual({ description: 'Grüße 😀' });
    });
  });

  describe('routes', () => {
    it.each([
      ['GET', '/nowhere'],
      ['GET', '//'],
      ['GET', '/Runs'],
      ['GET', '/runs/a/b/c'],
      ['GET', '/observability'],
      ['GET', '/%zz'],
      ['DELETE', '/runs'],
      ['PUT', '/runs'],
      ['PATCH', '/runs/x'],
      ['GET', '/runs/x/start'],
      ['POST', '/usage'],
      ['POST', '/health'],
      ['DELETE', '/workspaces/ws-default'],
      ['PUT', '/workspaces/ws-default/tier'],
      ['POST', '/fleet-health'],
      ['GET', '/what-if'],
    ])('%s %s does not exist', async (method, path) => {
      const answer = await client.send(method, path);
      expect(said(answer)).toEqual(NOT_FOUND);
      expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    });

    it.each([
      ['GET', '/', 200],
      ['GET', '/health/', 200],
      ['GET', '/status/', 200],
      ['GET', '/fleet-health/', 200],
      ['GET', '/runs/', 200],
      ['GET', '/runs/?tag=x', 200],
      ['GET', '/usage/', 200],
      ['GET', '/observability/outcomes/', 200],
      ['GET', '/observability/slo/?days=3', 200],
      ['POST', '/workspaces/', 201],
      ['GET', '/workspaces/ws-default/', 200],
      ['GET', '/workspaces/ws-default/api-keys/', 200],
      ['POST', '/workspaces/ws-default/api-keys/', 201],
    ] as const)('%s %s takes the trailing slash', async (method, path, status) => {
      expect((await client.send(method, path)).status).toBe(status);
    });

    it('of runs take it too', async () => {
      const id = await client.create({ require_approval: true });
      expect((await client.get(`/runs/${id}/`)).status).toBe(200);
      expect((await client.get(`/runs/${id}/logs/`)).status).toBe(200);
      expect((await client.post(`/runs/${id}/start/`)).status).toBe(202);
      await client.still(id);
      expect((await client.post(`/runs/${id}/approve/`)).status).toBe(200);
      expect((await client.post(`/runs/${id}/rollback/`)).status).toBe(200);
      expect((await client.post(`/runs/${id}/feedback/`, { useful: true })).status).toBe(200);
      expect((await client.post(`/runs/${id}/replay/`)).status).toBe(201);
      expect((await client.post('/runs/', { description: 'x' })).status).toBe(201);
      expect((await client.post('/what-if/', { description: 'x' })).status).toBe(200);
      const { id: workspace } = await client.workspace();
      expect((await client.patch(`/workspaces/${workspace}/tier/`, { tier: 'pro' })).status).toBe(200);
    });

    it.each(['/health', '/runs', '/usage', '/runs/unknown'])(
      'HEAD %s answers as GET does, without a body',
      async (path) => {
        const [head, get] = [await client.send('HEAD', path), await client.get(path)];
        expect([head.status, head.text]).toEqual([get.status, '']);
        expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'));
        expect(head.headers.get('content-length')).toBe(String(Buffer.byteLength(get.text)));
      },
    );

    it("answer in JSON, with a correlation id that is the caller's where it gave one", async () => {
      const own = await client.get('/health', { 'X-Correlation-Id': 'ci-build.42' });
      expect(own.headers.get('content-type')).toBe('application/json; charset=utf-8');
      expect(own.headers.get('x-correlation-id')).toBe('ci-build.42');
      expect((await client.get('/health')).headers.get('x-correlation-id')).toMatch(/^[0-9a-f-]{36}$/);
    });

    it('tell nothing of the server where the request is no HTTP', async () => {
      const { port, hostname } = new URL(service.origin);
      const answer = await new Promise<string>((resolve, reject) => {
        let text = '';
        const socket = connect(Number(port), hostname, () => socket.write('NONSENSE\r\n\r\n'));
        socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
        socket.on('close', () => resolve(text)).on('error', reject);
      });
      expect(answer).toMatch(/^HTTP\/1\.1 400 /);
      expect(answer).not.toMatch(/node_modules|\.ts|\.js/);
    });
  });

  describe('CORS', () => {
    const origin = 'https://dashboard.example';

    it.each(['/runs', '/runs/some-id/start', '/workspaces/x/tier', '/nowhere'])(
      'lets a browser ask before it sends anything to %s',
      async (path) => {
        const answer = await client.send('OPTIONS', path, {
          headers: {
            origin,
            'access-control-request-method': 'PATCH',
            'access-control-request-headers': 'content-type,x-workspace-id,x-anything',
          },
        });
        expect([answer.status, answer.text]).toEqual([204, '']);
        const { headers } = answer;
        expect(headers.get('access-control-allow-origin')).toBe(origin);
        expect(headers.get('access-control-allow-credentials')).toBe('true');
        expect(headers.get('access-control-allow-methods')?.split(/,\s*/)).toEqual([
          'GET',
          'HEAD',
          'PUT',
          'PATCH',
          'POST',
          'DELETE',
        ]);
        expect(headers.get('access-control-allow-headers')).toBe('content-type,x-workspace-id,x-anything');
        expect(headers.get('vary')).toMatch(/Origin/);
      },
    );

    it('answers OPTIONS without an origin with 204', async () => {
      expect((await client.send('OPTIONS', '/runs')).status).toBe(204);
    });

    it.each([
      ['GET', '/health', 200],
      ['GET', '/runs/unknown', 404],
      ['GET', '/nowhere', 404],
      ['GET', '/runs/%zz', 404],
      ['POST', '/runs', 400],
      ['POST', '/workspaces', 201],
      ['GET', '/deployments/unknown/', 404],
    ] as const)('lets a page of any origin read the answer to %s %s', async (method, path, status) => {
      const answer = await client.send(method, path, { headers: { origin } });
      expect(answer.status).toBe(status);
      expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
      expect(answer.headers.get('access-control-allow-credentials')).toBe('true');
      expect(answer.headers.get('access-control-expose-headers')).toMatch(/X-Ledger-Position/);
    });

    it('lets pages read refusals of bodies as well', async () => {
      const headers = { origin, 'content-type': 'application/json' };
      for (const body of ['{', JSON.stringify({ description: 'x'.repeat(600_000) })]) {
        const answer = await client.send('POST', '/runs', { headers, body });
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
      }
    });
  });
});
