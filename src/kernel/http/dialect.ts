import type { Refused } from '../errors.js';

/** What went wrong with a request, before a dialect has put it into its own words. */
export type Failure =
  | { readonly kind: 'refused'; readonly refused: Refused }
  | { readonly kind: 'unavailable'; readonly message: string; readonly retryAfterSeconds: number }
  | { readonly kind: 'unexpected' };

export interface ErrorAnswer {
  readonly status: number;
  readonly body: object;
}

/** How a system speaks HTTP: where it is mounted, and how it says no. */
export interface Dialect {
  readonly system: string;
  /** Begins with a slash, ends without one. */
  readonly basePath: string;
  error(failure: Failure): ErrorAnswer;
  /** Headers that name the tenant a request is for: what separates one caller's Idempotency-Keys from another's. */
  readonly callerHeaders: readonly string[];
  /** Who acts, for the events' metadata; undefined when nobody is named. */
  actor(headers: Readonly<Record<string, string | string[] | undefined>>): string | undefined;
  /** Whether browsers of any origin may call it. */
  readonly cors: boolean;
}

/** The service's own routes, and every path that belongs to no system. */
export const serviceDialect: Dialect = {
  system: 'runledger',
  basePath: '',
  callerHeaders: ['authorization'],
  cors: false,
  actor: () => undefined,
  error(failure) {
    if (failure.kind === 'unavailable') return { status: 503, body: { error: failure.message } };
    if (failure.kind === 'unexpected') return { status: 500, body: { error: 'Internal server error' } };
    const status = {
      invalid: 400,
      malformed: 400,
      unauthorized: 401,
      forbidden: 403,
      not_found: 404,
      conflict: 409,
      limit_exceeded: 429,
      too_large: 413,
      mismatch: 422,
    }[failure.refused.kind];
    return { status, body: { error: failure.refused.message, ...failure.refused.details } };
  },
};

/** Finds the dialect that a URL belongs to. */
export class Dialects {
  private readonly all: Dialect[] = [];

  register(dialect: Dialect): void {
    this.all.push(dialect);
  }

  of(url: string): Dialect {
    const path = url.split('?', 1)[0] ?? '';
    const found = this.all.find(({ basePath }) => path === basePath || path.startsWith(`${basePath}/`));
    return found ?? serviceDialect;
  }

  /** `/path` of a client that knows no base path becomes `<basePath of root>/path`; the service's own paths stay. */
  rewrite(url: string, root: string | undefined): string {
    const dialect = this.all.find(({ system }) => system === root);
    if (!dialect || this.of(url) !== serviceDialect || SERVICE_PATHS.test(url)) return url;
    return dialect.basePath + url;
  }
}

const SERVICE_PATHS = /^\/(ledger|livez|readyz|metrics|docs|console)([/?]|$)/;
