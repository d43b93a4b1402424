import { beforeEach, describe, expect, it } from '@jest/globals';
import fastify, { type FastifyInstance } from 'fastify';
import { parseTokens, type AccessScope } from '../../kernel/access-tokens.js';
import { serviceDialect } from '../../kernel/http/dialect.js';
import { currentContext, inContext } from '../../kernel/request-context.js';
import { guardLedger } from './guard.js';

const tokens = parseTokens(
  JSON.stringify([
    { name: 'reader', token: 'r', scopes: ['read'] },
    { name: 'operator', token: 'o', scopes: ['operate'], tenants: ['acme'] },
  ]),
);
const needs = (...scopes: AccessScope[]) => ({ config: { needs: scopes } });
/** What came after the guard, as an Idempotency-Key does. */
let passed: string[];
let server: FastifyInstance;

beforeEach(() => {
  passed = [];
  server = fastify();
  guardLedger(server, { tokens, publicUrl: undefined });
  server.addHook('preHandler', async ({ caller }) => void passed.push(caller?.name ?? 'nobody'));
});

const status = async (method: 'GET' | 'POST' | 'HEAD', token: string) => {
  const answer = await server.inject({ method, url: '/ledger/x', headers: { authorization: `Bearer ${token}` } });
  return [answer.statusCode, answer.headers['www-authenticate']];
};

describe('the guard of /ledger', () => {
  it('lets no token do what its scopes do not say, before anything else looks at the request', async () => {
    server.get('/ledger/x', needs('read'), async () => 'ok');
    server.post('/ledger/x', needs('operate'), async () => 'ok');
    expect((await status('GET', 'r'))[0]).toBe(200);
    expect((await status('HEAD', 'r'))[0]).toBe(200);
    expect((await status('POST', 'o'))[0]).toBe(200);
    expect(passed.splice(0)).toEqual(['reader', 'reader', 'operator']);
    const lacking = (scope: string) => `Bearer realm="runledger", error="insufficient_scope", scope="${scope}"`;
    // The status is that of the service's filter elsewhere; here it is seen that nothing was let through.
    expect((await status('POST', 'r'))[1]).toBe(lacking('operate'));
    expect((await status('GET', 'o'))[1]).toBe(lacking('read'));
    expect((await status('HEAD', 'o'))[1]).toBe(lacking('read'));
    expect((await status('POST', 'x'))[1]).toBe('Bearer realm="runledger", error="invalid_token"');
    expect(passed).toEqual([]);
  });

  it('is satisfied with one of several scopes', async () => {
    server.get('/ledger/x', needs('work', 'operate'), async ({ caller }) => [
      caller?.sees('acme'),
      caller?.sees('initech'),
    ]);
    expect((await status('GET', 'r'))[1]).toContain('scope="work operate"');
    const answer = await server.inject({ url: '/ledger/x', headers: { authorization: 'Bearer o' } });
    expect([answer.statusCode, answer.json()]).toEqual([200, [true, false]]);
  });

  it('makes the caller the actor of whatever the request brings about', async () => {
    const named = fastify();
    // As `configureHttp` does it: this very object travels with the request, and into the events' metadata.
    named.addHook('onRequest', async (request) => {
      request.ledger = { dialect: serviceDialect, startedMs: 0, correlationId: 'c', actor: undefined };
    });
    guardLedger(named, { tokens, publicUrl: undefined });
    named.post('/ledger/x', needs('operate'), async ({ ledger }) => ledger && inContext(ledger, currentContext).actor);
    const answer = await named.inject({ method: 'POST', url: '/ledger/x', headers: { authorization: 'Bearer o' } });
    expect([answer.statusCode, answer.body]).toEqual([200, 'operator']);
  });

  it('takes no route below /ledger that does not say who may use it', () => {
    const message = /does not say who may use it: add @Needs/;
    expect(() => server.get('/ledger/open', async () => 'ok')).toThrow(message);
    expect(() => server.post('/ledger', async () => 'ok')).toThrow(message);
    expect(() => server.get('/ledgers', async () => 'ok')).not.toThrow();
    expect(() => server.get('/ledger/signed', { config: { presigned: true } }, async () => 'ok')).not.toThrow();
  });
});
