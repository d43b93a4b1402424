import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { startApp, type TestApp } from '../../support/app.js';
import { Client, said } from '../../support/http.js';
import { onStack } from '../../support/stack.js';

const HINT = 'Set RUNLEDGER_TOKENS on the server: without tokens, /ledger answers on its own machine only';

interface Asked {
  readonly remoteAddress?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly url?: string;
}

/** Asks from wherever it is said: no socket has to come from there. */
async function ask(service: TestApp, { url = '/ledger/caller', ...from }: Asked): Promise<[number, unknown]> {
  const fastify = service.app.nest.getHttpAdapter().getInstance();
  const answer = await fastify.inject({ method: 'GET', url, ...from });
  return [answer.statusCode, answer.json()];
}

describe('/ledger without tokens', () => {
  let service: TestApp;
  beforeAll(async () => {
    service = await startApp({ RUNLEDGER_PUBLIC_URL: 'https://runs.example.org/base' });
  });
  afterAll(() => service.close());

  it('lets whoever is on the same machine do everything', async () => {
    expect(said(await new Client(service.origin).get('/ledger/caller'))).toEqual([
      200,
      { name: 'local', scopes: ['read', 'operate', 'work'], tenants: null },
    ]);
  });

  it.each(['127.0.0.1', '127.9.8.7', '::1', '::ffff:127.0.0.1'])('answers a peer at %s', async (remoteAddress) => {
    expect(await ask(service, { remoteAddress })).toMatchObject([200, { name: 'local' }]);
  });

  it.each(['10.0.0.9', '192.168.1.1', '8.8.8.8', '::ffff:10.0.0.9', 'fe80::1', '2001:db8::1', '0.0.0.0', '::'])(
    'tells a peer at %s what to set',
    async (remoteAddress) => {
      const headers = { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1', host: 'localhost' };
      expect(await ask(service, { remoteAddress })).toEqual([403, { error: HINT }]);
      expect(await ask(service, { remoteAddress, headers })).toEqual([403, { error: HINT }]);
    },
  );

  it.each([
    ['comes through a proxy', { 'x-forwarded-for': '203.0.113.9' }],
    ['comes through a proxy that says so in the new way', { forwarded: 'for=203.0.113.9' }],
    ['is sent by a page of another site', { 'sec-fetch-site': 'cross-site' }],
    ['is sent by a page of a neighbour site', { 'sec-fetch-site': 'same-site' }],
    ['is sent by a page whose name was pointed here', { 'sec-fetch-site': 'same-origin', host: 'evil.example:3000' }],
    ['is for a host that cannot be read', { host: 'a b' }],
  ])('does not take for local what %s', async (_, headers) => {
    expect(await ask(service, { headers })).toEqual([403, { error: HINT }]);
  });

  it.each(['localhost:3000', 'app.localhost', '127.0.0.1:3000', '[::1]:3000', 'runs.example.org'])(
    'answers under the name %s, also to its own pages',
    async (host) => {
      const headers = { host, 'sec-fetch-site': 'same-origin' };
      expect(await ask(service, { headers })).toMatchObject([200, { name: 'local' }]);
    },
  );

  it('is no less strict with a URL that is spelled in another way', async () => {
    for (const url of ['/%6cedger/caller', '/ledger/call%65r', '/ledger/caller/', '/ledger/caller?x=/livez']) {
      expect(await ask(service, { url, remoteAddress: '10.0.0.9' })).toEqual([403, { error: HINT }]);
    }
  });

  it('leaves presigned URLs and the routes of others alone', async () => {
    const remoteAddress = '10.0.0.9';
    // Where S3 keeps the artifacts there is no such route.
    expect(await ask(service, { remoteAddress, url: '/ledger/blobs/a' })).toMatchObject(
      onStack ? [404, { error: 'Not found' }] : [403, { error: 'INVALID_SIGNATURE' }],
    );
    expect(await ask(service, { remoteAddress, url: '/livez' })).toEqual([200, { status: 'ok' }]);
    expect(await ask(service, { remoteAddress, url: '/ledger/nothing' })).toEqual([404, { error: 'Not found' }]);
  });
});

describe('/ledger with tokens', () => {
  const tokens = [
    { name: 'ops', token: 'secret-of-ops', scopes: ['read', 'operate'] },
    { name: 'acme', token: 'secret-of-acme', scopes: ['read'], tenants: ['acme', 'initech'] },
    { name: 'ci', sha256: createHash('sha256').update('secret-of-ci').digest('hex'), scopes: ['work'] },
  ];
  let service: TestApp;
  let client: Client;
  beforeAll(async () => {
    service = await startApp({ RUNLEDGER_TOKENS: JSON.stringify(tokens) });
    client = new Client(service.origin);
  });
  afterAll(() => service.close());

  const as = (authorization: string) => client.get('/ledger/caller', { authorization });

  it('knows each token by its name, scopes and tenants', async () => {
    expect(said(await as('Bearer secret-of-ops'))).toEqual([
      200,
      { name: 'ops', scopes: ['read', 'operate'], tenants: null },
    ]);
    expect(said(await as('bearer  secret-of-acme'))).toEqual([
      200,
      { name: 'acme', scopes: ['read'], tenants: ['acme', 'initech'] },
    ]);
    expect(said(await as('Bearer secret-of-ci'))).toEqual([200, { name: 'ci', scopes: ['work'], tenants: null }]);
  });

  it('asks for one where none is sent, also from the same machine', async () => {
    const answer = await client.get('/ledger/caller');
    expect(said(answer)).toEqual([401, { error: 'A token is missing: send Authorization: Bearer <token>' }]);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="runledger"');
  });

  it.each(['Basic b3BzOnNlY3JldA==', 'Bearer', 'Bearer ', 'secret-of-ops', 'Bearer a b'])(
    'takes %j for no token',
    async (authorization) => {
      expect((await as(authorization)).status).toBe(401);
    },
  );

  it('does not know others, and does not repeat them', async () => {
    for (const wrong of ['secret-of-op', 'secret-of-ops2', 'SECRET-OF-OPS', tokens[2]?.sha256]) {
      const answer = await as(`Bearer ${wrong}`);
      expect(said(answer)).toEqual([401, { error: 'The token is not known' }]);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="runledger", error="invalid_token"');
    }
  });

  it('answers from everywhere', async () => {
    const headers = { authorization: 'Bearer secret-of-ops', 'x-forwarded-for': '203.0.113.9', host: 'a.example' };
    expect(await ask(service, { headers, remoteAddress: '203.0.113.9' })).toMatchObject([200, { name: 'ops' }]);
  });

  it('writes nothing for a stranger who sends an Idempotency-Key', async () => {
    const before = await service.app.kernel.ports.log.head();
    const key = { 'idempotency-key': 'k', authorization: 'Bearer wrong' };
    expect((await client.send('HEAD', '/ledger/caller', { headers: key })).status).toBe(401);
    expect((await client.post('/ledger/caller', {}, key)).status).toBe(404);
    expect(await service.app.kernel.ports.log.readAll(before)).toEqual([]);
  });
});
