import { Refused, type RefusalKind } from '../../kernel/errors.js';
import type { Dialect } from '../../kernel/http/dialect.js';

const STATUS = {
  invalid: 400,
  malformed: 400,
  conflict: 400,
  unauthorized: 401,
  limit_exceeded: 402,
  forbidden: 403,
  not_found: 404,
  too_large: 413,
  mismatch: 422,
} as const satisfies Record<RefusalKind, number>;

const MAX_ACTOR = 256;

/** HyperShift API, "Errors": every error body is JSON with a text in `error`. */
export const hypershiftDialect: Dialect = {
  system: 'hypershift',
  basePath: '/hypershift',
  cors: true,
  callerHeaders: ['authorization', 'x-workspace-id', 'x-org-id'],

  actor(headers) {
    const named = [headers['x-user-id'], headers['x-actor']].map((value) => String(value ?? '').trim());
    return named.find((value) => value !== '')?.slice(0, MAX_ACTOR);
  },

  error(failure) {
    switch (failure.kind) {
      case 'refused': {
        const { kind, message, details } = failure.refused;
        return { status: STATUS[kind], body: { error: message, ...details } };
      }
      case 'unavailable':
        return { status: 503, body: { error: failure.message } };
      case 'unexpected':
        return { status: 500, body: { error: 'Internal server error' } };
    }
  },
};

export const runNotFound = (): Refused => new Refused('not_found', 'Run not found');
export const workspaceNotFound = (): Refused => new Refused('not_found', 'Workspace not found');
