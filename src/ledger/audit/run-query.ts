import { Refused } from '../../kernel/errors.js';
import type { ViewQuery } from '../../kernel/ports/view-store.js';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

/** What `GET /ledger/runs` may be asked. */
export interface RunFilters {
  readonly system?: string | undefined;
  readonly tenant?: string | undefined;
  readonly state?: string | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly limit?: string | undefined;
  readonly after?: string | undefined;
}

/** The query of a list of runs, newest first. @throws Refused for a time or a limit that is none. */
export function runQuery({ system, tenant, state, since, until, limit, after }: RunFilters): ViewQuery {
  const range = {
    ...(since === undefined ? {} : { gte: timeOf('since', since) }),
    ...(until === undefined ? {} : { lt: timeOf('until', until) }),
  };
  const where = {
    ...(system === undefined ? {} : { system }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(state === undefined ? {} : { state }),
    ...(since === undefined && until === undefined ? {} : { createdAt: range }),
  };
  return {
    where,
    orderBy: ['createdAt'],
    descending: true,
    limit: limitOf(limit),
    ...(after === undefined || after === '' ? {} : { after }),
  };
}

/** How many answers on one page. @throws Refused */
export function limitOf(text: string | undefined, standard = DEFAULT_LIMIT): number {
  if (text === undefined || text === '') return standard;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw new Refused('invalid', `limit is a whole number from 1 to ${MAX_LIMIT}`);
}

function timeOf(name: string, text: string): string {
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return new Date(ms).toISOString();
  throw new Refused('invalid', `${name} is a time like 2026-01-30T12:00:00Z`);
}
