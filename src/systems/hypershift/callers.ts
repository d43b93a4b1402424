import { Injectable } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Refused } from '../../kernel/errors.js';
import { ApiKeys } from './keys/api-keys.js';

export const DEFAULT_WORKSPACE = 'ws-default';
const MAX_WORKSPACE_ID = 128;

/** For which workspace a request is made, and whether it says so. */
export interface Caller {
  readonly tenant: string;
  readonly explicit: boolean;
}

/** HyperShift API, "Optional headers": key, then headers, then query, then the default workspace. */
@Injectable()
export class Callers {
  constructor(private readonly keys: ApiKeys) {}

  /** @throws Refused `unauthorized` for a key that is not valid, `invalid` for a workspace id over 128 characters. */
  async of(request: FastifyRequest): Promise<Caller> {
    const { headers, query } = request;
    const key = /^Bearer\s+(hs_.*)$/i.exec(text(headers.authorization))?.[1];
    if (key !== undefined) {
      const tenant = await this.keys.workspaceOf(key.trim());
      if (tenant === undefined) throw new Refused('unauthorized', 'Invalid API key');
      return { tenant, explicit: true };
    }
    const fields = query as Record<string, unknown>;
    const named = [headers['x-workspace-id'], headers['x-org-id'], fields['workspace_id'], fields['org_id']].map(text);
    const tenant = named.find((value) => value !== '');
    if (tenant === undefined) return { tenant: DEFAULT_WORKSPACE, explicit: false };
    if (tenant.length > MAX_WORKSPACE_ID) throw new Refused('invalid', 'Invalid workspace id');
    return { tenant, explicit: true };
  }
}

/** What a run must belong to for this caller to see it; undefined when any run will do. */
export function tenantFilter({ tenant, explicit }: Caller): string | undefined {
  return explicit ? tenant : undefined;
}

function text(value: unknown): string {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return typeof first === 'string' ? first.trim() : '';
}
