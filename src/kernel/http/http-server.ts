import fastifyCors from '@fastify/cors';
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Refused, Unavailable } from '../errors.js';
import type { Kernel } from '../kernel.js';
import { inContext, type RequestContext } from '../request-context.js';
import { serviceDialect, type Dialect } from './dialect.js';
import type { Claim } from './idempotency.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before anything else happens to the request. */
    ledger?: RequestContext & { readonly dialect: Dialect; readonly startedMs: number; claim?: Claim };
    /** The body as it came, where it was JSON. */
    rawBody?: string;
  }
}

const CORRELATION_ID = /^[\w.:-]{1,128}$/;
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;
const MAX_KEY = 255;
const NO_API = 'This process does not serve the API: its RUNLEDGER_ROLES do not name it';
const SWEEP_MS = 50;

/** What every request passes, whatever system it is for: context, CORS, bodies, Idempotency-Key, headers, metrics. */
export async function configureHttp(fastify: FastifyInstance, kernel: Kernel): Promise<void> {
  const { clock } = kernel.ports;
  fastify.addHook('onRequest', (request, _reply, done) => {
    request.ledger = contextOf(request, kernel);
    done();
  });
  await fastify.register(fastifyCors, {
    delegator: (request: FastifyRequest, callback) => {
      const cors = kernel.dialects.of(request.url).cors;
      callback(null, {
        origin: cors,
        credentials: cors,
        methods: ['GET', 'HEAD', 'PUT', 'PATCH', 'POST', 'DELETE'],
        preflight: cors,
        strictPreflight: false,
        exposedHeaders: ['X-Ledger-Position', 'X-Ledger-Stale', 'X-Correlation-Id'],
      });
    },
  });
  acceptBodies(fastify);
  endSilentConnections(fastify);
  // Reading a body leaves the asynchronous context, so it is entered after that.
  fastify.addHook('preValidation', (request, _reply, done) => {
    if (request.ledger) inContext(request.ledger, done);
    else done();
  });
  // Callbacks where there is nothing to wait for: these run for every request.
  const isApi = kernel.settings.roles.has('api');
  fastify.addHook('preHandler', (request, reply, done) => {
    if (!isApi && request.ledger?.dialect !== serviceDialect) return done(new Unavailable(NO_API));
    // Where there is no route there is nothing to repeat, and nothing to write for whoever asks.
    const repeatable = request.method === 'POST' && !request.is404;
    const key = repeatable ? single(request.headers['idempotency-key']) : undefined;
    if (key === undefined || key === '') return done();
    repeatAnswer(key, request, reply, kernel).then((answered) => {
      if (!answered) done();
    }, done);
  });
  fastify.addHook('onSend', (request, reply, payload, done) => {
    const { correlationId, answer } = request.ledger ?? {};
    if (correlationId !== undefined) reply.header('x-correlation-id', correlationId);
    if (answer?.position !== undefined) reply.header('x-ledger-position', String(answer.position));
    if (answer?.stale) reply.header('x-ledger-stale', 'true');
    if (!request.ledger?.claim) return done(null, payload);
    recordAnswer(request.ledger.claim, reply, payload, kernel).then(() => done(null, payload), done);
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    request.ledger?.claim?.release();
    const seconds = (clock.steady() - (request.ledger?.startedMs ?? clock.steady())) / 1_000;
    const route = request.routeOptions.url ?? 'unknown';
    kernel.metrics.http.observe({ method: request.method, route, status: String(reply.statusCode) }, seconds);
    kernel.logger.debug(
      { correlationId: request.ledger?.correlationId, method: request.method, route, status: reply.statusCode },
      'request answered',
    );
    done();
  });
}

function contextOf(request: FastifyRequest, kernel: Kernel): NonNullable<FastifyRequest['ledger']> {
  const dialect = kernel.dialects.of(request.url);
  const { headers } = request;
  const correlation = single(headers['x-correlation-id']) ?? single(headers['x-request-id']);
  const traceparent = single(headers['traceparent']);
  const minPosition = Number(single(headers['x-ledger-min-position']));
  return {
    dialect,
    startedMs: kernel.ports.clock.steady(),
    correlationId: correlation && CORRELATION_ID.test(correlation) ? correlation : kernel.ports.ids.uuid(),
    actor: dialect.actor(headers),
    traceparent: traceparent && TRACEPARENT.test(traceparent) ? traceparent : undefined,
    minPosition: Number.isSafeInteger(minPosition) && minPosition > 0 ? minPosition : undefined,
    answer: {},
  };
}

/** Node takes a connection on which nothing was ever asked for a busy one: it would hold up the stop for a minute. */
function endSilentConnections(fastify: FastifyInstance): void {
  const silent = new Set<Socket>();
  fastify.server.on('connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  fastify.server.on('request', ({ socket }) => silent.delete(socket));
  fastify.addHook('preClose', (done) => {
    for (const socket of silent) socket.destroy();
    // A connection that was busy just now may be idle in a moment, and would stay open for its client's sake.
    const sweep = setInterval(() => fastify.server.closeIdleConnections(), SWEEP_MS);
    fastify.server.once('close', () => clearInterval(sweep));
    done();
  });
}

/** JSON with nothing in it is no body, and neither is any other content: clients send all of these where none is due. */
function acceptBodies(fastify: FastifyInstance): void {
  const parse = fastify.getDefaultJsonParser('remove', 'remove');
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    const text = String(body);
    if (text.trim() === '') return done(null, undefined);
    request.rawBody = text;
    return parse(request, text, done);
  });
  fastify.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, _body, done) => done(null, undefined));
}

/** @returns whether the first answer was sent again. */
async function repeatAnswer(
  key: string,
  request: FastifyRequest,
  reply: FastifyReply,
  kernel: Kernel,
): Promise<boolean> {
  const context = request.ledger;
  if (!context) return false;
  if (key.length > MAX_KEY) throw new Refused('invalid', `Idempotency-Key is longer than ${MAX_KEY} characters`);
  const callerHeaders = context.dialect.callerHeaders.map((name) => single(request.headers[name]) ?? '');
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([request.method, request.url, request.rawBody ?? '']))
    .digest('hex');
  const caller = JSON.stringify([context.dialect.system, ...callerHeaders]);
  const accepted = await kernel.idempotency.accept(key, caller, fingerprint);
  if ('stream' in accepted) {
    context.claim = accepted;
    context.commandId = accepted.commandId;
    return false;
  }
  void reply.header('idempotent-replayed', 'true').code(accepted.status).type(accepted.contentType).send(accepted.body);
  return true;
}

/** An answer of 500 and above is no answer: the same request may be sent again. */
async function recordAnswer(claim: Claim, reply: FastifyReply, payload: unknown, kernel: Kernel): Promise<void> {
  if (reply.statusCode >= 500) return;
  const body = typeof payload === 'string' ? payload : Buffer.isBuffer(payload) ? payload.toString() : '';
  const contentType = String(reply.getHeader('content-type') ?? 'application/json; charset=utf-8');
  try {
    await kernel.idempotency.answered(claim, { status: reply.statusCode, contentType, body });
  } catch (error) {
    // The command is done. Repeated, the request finds it done, and is answered in the same way.
    kernel.logger.warn({ err: error }, 'an answer could not be recorded');
  }
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
