import fastifyCors from '@fastify/cors';
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Refused } from '../errors.js';
import type { Kernel } from '../kernel.js';
import { inContext, type RequestContext } from '../request-context.js';
import type { Dialect } from './dialect.js';
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
  // Reading a body leaves the asynchronous context, so it is entered after that.
  fastify.addHook('preValidation', (request, _reply, done) => {
    if (request.ledger) inContext(request.ledger, done);
    else done();
  });
  fastify.addHook('preHandler', async (request, reply) => {
    if (request.method === 'POST') await repeatAnswer(request, reply, kernel);
  });
  fastify.addHook('onSend', async (request, reply, payload) => {
    await recordAnswer(request, reply, payload, kernel);
    const { correlationId, answer } = request.ledger ?? {};
    if (correlationId !== undefined) reply.header('x-correlation-id', correlationId);
    if (answer?.position !== undefined) reply.header('x-ledger-position', String(answer.position));
    if (answer?.stale) reply.header('x-ledger-stale', 'true');
    return payload;
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

async function repeatAnswer(request: FastifyRequest, reply: FastifyReply, kernel: Kernel): Promise<void> {
  const key = single(request.headers['idempotency-key']);
  const context = request.ledger;
  if (key === undefined || key === '' || !context) return;
  if (key.length > MAX_KEY) throw new Refused('invalid', `Idempotency-Key is longer than ${MAX_KEY} characters`);
  const caller = [
    context.dialect.system,
    ...context.dialect.callerHeaders.map((name) => single(request.headers[name]) ?? ''),
  ];
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([request.method, request.url, request.rawBody ?? '']))
    .digest('hex');
  const accepted = await kernel.idempotency.accept(key, JSON.stringify(caller), fingerprint);
  if ('stream' in accepted) {
    context.claim = accepted;
    context.commandId = accepted.commandId;
    return;
  }
  reply.header('idempotent-replayed', 'true');
  await reply.code(accepted.status).type(accepted.contentType).send(accepted.body);
}

/** An answer of 500 and above is no answer: the same request may be sent again. */
async function recordAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
  kernel: Kernel,
): Promise<void> {
  const claim = request.ledger?.claim;
  if (!claim || reply.statusCode >= 500) return;
  const body = typeof payload === 'string' ? payload : Buffer.isBuffer(payload) ? payload.toString() : '';
  const contentType = String(reply.getHeader('content-type') ?? 'application/json; charset=utf-8');
  // The command is done. Should its answer not be recorded, the repeated request finds the command done, and says so.
  await kernel.idempotency
    .answered(claim, { status: reply.statusCode, contentType, body })
    .catch((error: unknown) => kernel.logger.warn({ err: error }, 'an answer could not be recorded'));
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
