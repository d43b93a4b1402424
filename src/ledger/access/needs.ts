import { applyDecorators, createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { RouteConfig } from '@nestjs/platform-fastify';
import { ApiBearerAuth, ApiResponse } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import type { AccessScope } from '../../kernel/access-tokens.js';
import { LedgerError } from '../ledger-error.js';
import type { Caller } from './caller.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Scopes one of which a caller must have. */
    needs?: readonly AccessScope[];
    /** The URL itself is the credential. */
    presigned?: true;
  }
}

/**
 * Says who may use a route below `/ledger`: whoever has one of these scopes. Every such route has it; one without
 * stops the start.
 */
export const Needs = (...scopes: [AccessScope, ...AccessScope[]]): MethodDecorator =>
  applyDecorators(
    RouteConfig({ needs: scopes }),
    ApiBearerAuth(),
    ApiResponse({ status: 401, description: 'The token is missing or unknown', type: LedgerError }),
    ApiResponse({
      status: 403,
      description: `The token has no scope ${scopes.join(' or ')}; or there are no tokens, and the caller is on another machine`,
      type: LedgerError,
    }),
  );

/** The parameter of a handler that takes the `Caller`. */
export const CurrentCaller = createParamDecorator((_: unknown, context: ExecutionContext): Caller => {
  const { caller } = context.switchToHttp().getRequest<FastifyRequest>();
  if (!caller) throw new Error('A route without @Needs has no caller');
  return caller;
});
