import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import ipaddr from 'ipaddr.js';
import { accessScopes, findToken, type AccessScope, type AccessToken } from '../../kernel/access-tokens.js';
import { Refused } from '../../kernel/errors.js';
import type { Settings } from '../../kernel/settings.js';
import { Caller } from './caller.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, on routes below `/ledger`. */
    caller?: Caller;
  }
}

const BEARER = /^Bearer +([\x21-\x7e]+) *$/i;
const NO_TOKENS = 'Set RUNLEDGER_TOKENS on the server: without tokens, /ledger answers on its own machine only';
/** Who acts where there are no tokens. */
const LOCAL = new Caller('local', new Set(accessScopes), null);

/**
 * Lets nobody in below `/ledger` who may not.
 *
 * A hook of Fastify and no guard of Nest: Nest's come after the Idempotency-Key, which would write for anybody, and
 * repeat to anybody what was answered to somebody. It goes by the route that was found and never by the URL, which
 * has more than one spelling. Register it after `configureHttp` and before any route.
 */
export function guardLedger(fastify: FastifyInstance, settings: Pick<Settings, 'tokens' | 'publicUrl'>): void {
  fastify.addHook('onRoute', ({ url, method, config }) => {
    const guarded = config?.needs !== undefined || config?.presigned === true;
    if (/^\/ledger(\/|$)/.test(url) && !guarded) {
      throw new Error(`Route ${String(method)} ${url} does not say who may use it: add @Needs`);
    }
  });
  const ownHost = settings.publicUrl === undefined ? undefined : new URL(settings.publicUrl).hostname;
  fastify.addHook('onRequest', (request, reply, done) => {
    const { needs } = request.routeOptions.config;
    if (!needs) return done();
    try {
      const caller = settings.tokens.length > 0 ? byToken(settings.tokens, request, reply) : local(request, ownHost);
      assertScope(caller, needs, reply);
      request.caller = caller;
      if (request.ledger) request.ledger.actor = caller.name;
      done();
    } catch (error) {
      done(error as Error);
    }
  });
}

function byToken(tokens: readonly AccessToken[], request: FastifyRequest, reply: FastifyReply): Caller {
  const [, presented] = BEARER.exec(request.headers.authorization ?? '') ?? [];
  if (presented === undefined) {
    reply.header('www-authenticate', 'Bearer realm="runledger"');
    throw new Refused('unauthorized', 'A token is missing: send Authorization: Bearer <token>');
  }
  const token = findToken(tokens, presented);
  if (!token) {
    reply.header('www-authenticate', 'Bearer realm="runledger", error="invalid_token"');
    throw new Refused('unauthorized', 'The token is not known');
  }
  return Caller.of(token);
}

function assertScope(caller: Caller, needs: readonly AccessScope[], reply: FastifyReply): void {
  if (needs.some((scope) => caller.scopes.has(scope))) return;
  const scope = needs.join(' ');
  reply.header('www-authenticate', `Bearer realm="runledger", error="insufficient_scope", scope="${scope}"`);
  throw new Refused('forbidden', `The token ${caller.name} does not have the scope ${needs.join(' or ')}`);
}

/**
 * Without tokens whoever is on this machine may do everything. Nobody else: not who comes through a proxy that runs
 * here (a forwarding header shows that, and is believed in nothing else), and no page of another site in a browser
 * that runs here, be it under a name that its owner has pointed to this machine.
 */
function local({ headers, socket }: FastifyRequest, ownHost: string | undefined): Caller {
  const forwarded = headers['x-forwarded-for'] !== undefined || headers['forwarded'] !== undefined;
  const site = headers['sec-fetch-site'];
  const foreign = site !== undefined && site !== 'same-origin' && site !== 'none';
  if (forwarded || foreign || !isLoopback(socket.remoteAddress) || !isOwnName(headers.host, ownHost)) {
    throw new Refused('forbidden', NO_TOKENS);
  }
  return LOCAL;
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && ipaddr.isValid(address) && ipaddr.process(address).range() === 'loopback';
}

/** Addresses cannot be pointed elsewhere, names can. */
function isOwnName(host: string | undefined, ownHost: string | undefined): boolean {
  if (host === undefined) return true;
  const url = URL.parse(`http://${host}`);
  if (!url) return false;
  const name = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return name === ownHost || /^([^.]+\.)*localhost\.?$/.test(name) || ipaddr.isValid(name);
}
