import { Catch, HttpException, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { Conflict, Refused, TooLarge, Unavailable } from '../errors.js';
import type { Dialects, Failure } from './dialect.js';

const RETRY_AFTER_SECONDS = 1;

/** Puts whatever went wrong into the words of the dialect that was spoken to. */
@Catch()
export class FailureFilter implements ExceptionFilter {
  constructor(
    private readonly dialects: Dialects,
    private readonly logger: Logger,
  ) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    const failure = toFailure(error);
    this.log(error, failure, request);
    const { status, body } = this.dialects.of(request.url).error(failure);
    if (failure.kind === 'unavailable') reply.header('retry-after', String(failure.retryAfterSeconds));
    void reply.code(status).type('application/json; charset=utf-8').send(JSON.stringify(body));
  }

  private log(error: unknown, failure: Failure, request: FastifyRequest): void {
    const { correlationId } = request.ledger ?? {};
    const fields = { err: error, correlationId, method: request.method, route: request.routeOptions?.url };
    if (failure.kind === 'unexpected') this.logger.error(fields, 'request failed');
    else if (failure.kind === 'unavailable') this.logger.warn(fields, 'request could not be served');
    else this.logger.debug({ ...fields, err: undefined, reason: failure.refused.message }, 'request refused');
  }
}

/** Sorts errors of the domain, of Nest and of Fastify into the three families. */
export function toFailure(error: unknown): Failure {
  if (error instanceof Refused) return { kind: 'refused', refused: error };
  if (error instanceof TooLarge) return refused('too_large', error.message);
  if (error instanceof Unavailable || error instanceof Conflict) {
    return {
      kind: 'unavailable',
      message: 'Temporarily unavailable, try again',
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    };
  }
  const status = error instanceof HttpException ? error.getStatus() : (error as { statusCode?: unknown }).statusCode;
  if (status === 404) return refused('not_found', 'Not found');
  if (status === 413) return refused('too_large', 'Request body is too large');
  if (status === 403) return refused('forbidden', 'Forbidden');
  if (status === 401) return refused('unauthorized', 'Unauthorized');
  if (typeof status === 'number' && status >= 400 && status < 500) return refused('malformed', 'Invalid JSON body');
  return { kind: 'unexpected' };
}

function refused(kind: Refused['kind'], message: string): Failure {
  return { kind: 'refused', refused: new Refused(kind, message) };
}
