import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { get, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fastify, { type FastifyInstance } from 'fastify';
import { SettableClock } from '../../test/support/settable-clock.js';
import { FilesBlobStore } from '../adapters/files/files-blob-store.js';
import { PresignedUrls } from '../kernel/presigned-url.js';
import { registerBlobRoutes } from './blob-routes.js';

const PUBLIC_URL = 'http://ledger.test';

let folder: string;
let clock: SettableClock;
let store: FilesBlobStore;
let server: FastifyInstance;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runledger-routes-'));
  clock = new SettableClock();
  const options = { folder, publicUrl: PUBLIC_URL, signingKey: Buffer.alloc(32, 1), clock };
  store = new FilesBlobStore(options);
  server = fastify();
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  server.post('/elsewhere', async ({ body }) => ({ bytes: (body as Buffer).length }));
  await server.register(registerBlobRoutes, { store, urls: new PresignedUrls(options), maxBytes: 100_000 });
});
afterEach(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

const url = async (method: 'GET' | 'PUT', key: string): Promise<string> =>
  (await store.presign(method, key, 60_000)).slice(PUBLIC_URL.length);

describe('GET /ledger/blobs', () => {
  it('gives the content, to be saved and not shown', async () => {
    const { sha256 } = await store.put("t/it's a (test).html", Buffer.from('<script>'), { contentType: 'text/html' });
    const response = await server.inject(await url('GET', "t/it's a (test).html"));
    expect([response.statusCode, response.body]).toEqual([200, '<script>']);
    expect(response.headers).toMatchObject({
      'content-type': 'text/html',
      'content-length': '8',
      etag: `"${sha256}"`,
      'x-content-type-options': 'nosniff',
      'content-disposition': "attachment; filename*=UTF-8''it%27s%20a%20%28test%29.html",
    });
  });

  it('gives an empty blob, and one with a long key', async () => {
    for (const key of ['empty', `${'long '.repeat(50)}/${'é'.repeat(120)}`]) {
      await store.put(key, new Uint8Array(0));
      const response = await server.inject(await url('GET', key));
      expect([response.statusCode, response.body]).toEqual([200, '']);
    }
  });

  it('gives no header that the content type would break', async () => {
    await store.put('a', Buffer.from('x'), { contentType: 'text/plain\r\nset-cookie: a=b' });
    const { headers } = await server.inject(await url('GET', 'a'));
    expect([headers['content-type'], headers['set-cookie']]).toEqual(['application/octet-stream', undefined]);
  });

  it('answers 404 where nothing is', async () => {
    const response = await server.inject(await url('GET', 'a'));
    expect([response.statusCode, response.json().error]).toEqual([404, 'NOT_FOUND']);
  });

  it('answers 410 after the URL has expired', async () => {
    const expiring = await url('GET', 'a');
    clock.advance(60_000);
    const response = await server.inject(expiring);
    expect([response.statusCode, response.json().error]).toEqual([410, 'EXPIRED']);
  });

  it('answers 403 to what was not signed', async () => {
    await store.put('secret', Buffer.from('x'));
    const signed = await url('GET', 'a');
    const origin = await server.listen({ port: 0, host: '127.0.0.1' });
    const paths = [
      'secret',
      '../secret',
      '%2e%2e/secret',
      '..%2fsecret',
      '%252e%252e%252fsecret',
      '',
      'a%00',
      'C:/secret',
    ];
    const targets = paths.map((path) => signed.replace('/a?', `/${path}?`));
    for (const target of [...targets, '/ledger/blobs/secret', signed.replace('GET', 'PUT')]) {
      // Not by `fetch`, which resolves dot segments itself.
      const [response] = (await once(get(origin, { path: target }), 'response')) as [IncomingMessage];
      response.resume();
      expect([target, response.statusCode]).toEqual([target, 403]);
    }
  });

  it('has no HEAD', async () => {
    await store.put('a', Buffer.from('x'));
    expect((await server.inject({ method: 'HEAD', url: await url('GET', 'a') })).statusCode).toBe(404);
  });
});

describe('PUT /ledger/blobs', () => {
  it('stores the body as it comes, whatever its type', async () => {
    for (const contentType of ['application/json', 'text/plain', 'application/zip']) {
      const response = await server.inject({
        method: 'PUT',
        url: await url('PUT', 'a'),
        headers: { 'content-type': contentType },
        body: '{"not json',
      });
      expect([response.statusCode, response.body]).toEqual([200, '']);
      const stored = await store.get('a');
      expect(response.headers.etag).toBe(`"${stored?.info.sha256}"`);
      expect(stored?.info.contentType).toBe(contentType);
      expect(stored && (await text(stored.content))).toBe('{"not json');
    }
  });

  it('stores an empty body', async () => {
    expect((await server.inject({ method: 'PUT', url: await url('PUT', 'a') })).statusCode).toBe(200);
    expect(await store.stat('a')).toMatchObject({ sizeBytes: 0, contentType: 'application/octet-stream' });
  });

  it('answers 403 to a URL for reading, and stores nothing', async () => {
    const response = await server.inject({ method: 'PUT', url: await url('GET', 'a'), body: 'x' });
    expect([response.statusCode, response.json().error]).toEqual([403, 'INVALID_SIGNATURE']);
    expect(await store.stat('a')).toBeUndefined();
  });

  it('answers 413 to a body above the limit, over a connection that stays usable', async () => {
    const origin = await server.listen({ port: 0, host: '127.0.0.1' });
    const sent = { method: 'PUT', body: Buffer.alloc(2_000_000) };
    const refused = await fetch(origin + (await url('PUT', 'a')), sent);
    expect([refused.status, await refused.json()]).toMatchObject([413, { error: 'TOO_LARGE' }]);
    const stored = await fetch(origin + (await url('PUT', 'b')), { ...sent, body: 'x' });
    expect(stored.status).toBe(200);
    expect((await store.list('')).map(({ key }) => key)).toEqual(['b']);
  });

  it('stores nothing of a body that breaks off', async () => {
    const answered = Promise.withResolvers<void>();
    server.addHook('onError', async () => answered.resolve());
    await server.listen({ port: 0, host: '127.0.0.1' });
    const { port } = server.server.address() as AddressInfo;
    const target = { method: 'PUT', host: '127.0.0.1', port, path: await url('PUT', 'a') };
    const upload = request({ ...target, headers: { 'content-length': 1_000, expect: '100-continue' } });
    upload.flushHeaders();
    await once(upload, 'continue');
    upload.on('error', () => {});
    upload.write('half', () => upload.destroy());
    await answered.promise;
    expect([await store.stat('a'), await readdir(folder)]).toEqual([undefined, []]);
  });

  it('leaves the body parsers of the application alone', async () => {
    const response = await server.inject({
      method: 'POST',
      url: '/elsewhere',
      headers: { 'content-type': 'a/b' },
      body: 'xyz',
    });
    expect(response.json()).toEqual({ bytes: 3 });
  });
});
