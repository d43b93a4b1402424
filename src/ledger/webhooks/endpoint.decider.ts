import type { WebhookEndpointEvent } from '../../../contracts/runledger/webhook.events.js';
import type { Decider } from '../../kernel/decider.js';
import { Refused } from '../../kernel/errors.js';
import type { Position } from '../../kernel/ports/event-log.js';

/** All endpoints are one aggregate: they are few, seldom change, and every process needs to know all of them. */
export const ENDPOINTS_STREAM = 'runledger.webhook-endpoints';

/** What one tenant may have: each endpoint reads the whole log. */
export const MAX_ENDPOINTS_PER_TENANT = 100;

export type DisabledReason = 'operator' | 'gone' | 'failing';

/** What is told, and where. */
export interface EndpointTarget {
  readonly url: string;
  readonly description: string;
  /** Exact types, or beginnings such as `run.*`; at least one. */
  readonly types: readonly string[];
  /** Null for all. */
  readonly systems: readonly string[] | null;
}

export interface Endpoint extends EndpointTarget {
  readonly id: string;
  readonly tenant: string;
  /** Sealed, newest first; all but the first until a time (ISO 8601 UTC). */
  readonly secrets: readonly { readonly sealed: string; readonly until: string | null }[];
  /** Told are the events after it. */
  readonly after: Position;
  /** Null while it is enabled. */
  readonly disabled: { readonly reason: DisabledReason; readonly at: string } | null;
  /** Since when it is enabled without a break. */
  readonly enabledAt: string;
  readonly createdAt: string;
  readonly updatedAt: string;
}

export interface EndpointsState {
  readonly endpoints: ReadonlyMap<string, Endpoint>;
}

export type EndpointCommand =
  | {
      readonly type: 'create';
      readonly id: string;
      readonly tenant: string;
      readonly target: EndpointTarget;
      readonly secret: string;
      readonly after: Position;
    }
  | { readonly type: 'update'; readonly id: string; readonly target: Partial<EndpointTarget> }
  | { readonly type: 'rotate'; readonly id: string; readonly secret: string; readonly formerUntil: string }
  | { readonly type: 'disable'; readonly id: string; readonly reason: DisabledReason }
  | { readonly type: 'enable'; readonly id: string; readonly after: Position | null }
  | { readonly type: 'delete'; readonly id: string };

export const endpointNotFound = (): Refused => new Refused('not_found', 'Webhook endpoint not found');

export const endpointDecider: Decider<EndpointsState, EndpointCommand, WebhookEndpointEvent> = {
  initial: { endpoints: new Map() },

  decide(command, { endpoints }) {
    const present = endpoints.get(command.id);
    if (command.type === 'create') {
      if (present) return [];
      const { id, tenant, target, secret, after } = command;
      assertRoom(endpoints, tenant);
      const scope = { system: 'runledger', tenant, endpoint: id } as const;
      return [{ type: 'webhook_endpoint.created', data: { ...scope, ...contents(target), secret, after } }];
    }
    if (!present) throw endpointNotFound();
    const scope = { system: 'runledger', tenant: present.tenant, endpoint: present.id } as const;
    switch (command.type) {
      case 'update': {
        const [before, next] = [contents(present), contents({ ...present, ...command.target })];
        if (JSON.stringify(before) === JSON.stringify(next)) return [];
        return [{ type: 'webhook_endpoint.updated', data: { ...scope, ...next } }];
      }
      case 'rotate': {
        const { secret, formerUntil } = command;
        return [{ type: 'webhook_endpoint.secret_rotated', data: { ...scope, secret, formerUntil } }];
      }
      case 'disable':
        if (present.disabled) return [];
        return [{ type: 'webhook_endpoint.disabled', data: { ...scope, reason: command.reason } }];
      case 'enable':
        if (!present.disabled) return [];
        return [{ type: 'webhook_endpoint.enabled', data: { ...scope, after: command.after } }];
      case 'delete':
        return [{ type: 'webhook_endpoint.deleted', data: scope }];
    }
  },

  evolve({ endpoints }, event, at) {
    const next = new Map(endpoints);
    const { endpoint: id } = event.data;
    if (event.type === 'webhook_endpoint.created') {
      const { tenant, secret, after } = event.data;
      next.set(id, {
        id,
        tenant,
        ...contents(event.data),
        secrets: [{ sealed: secret, until: null }],
        after,
        disabled: null,
        enabledAt: at,
        createdAt: at,
        updatedAt: at,
      });
      return { endpoints: next };
    }
    const present = next.get(id);
    if (!present) return { endpoints };
    switch (event.type) {
      case 'webhook_endpoint.updated':
        next.set(id, { ...present, ...contents(event.data), updatedAt: at });
        break;
      case 'webhook_endpoint.secret_rotated': {
        const { secret, formerUntil } = event.data;
        const former = present.secrets.map(({ sealed, until }) => ({ sealed, until: earlier(until, formerUntil) }));
        const secrets = [{ sealed: secret, until: null }, ...former.filter(({ until }) => until > at)];
        next.set(id, { ...present, secrets, updatedAt: at });
        break;
      }
      case 'webhook_endpoint.disabled':
        next.set(id, { ...present, disabled: { reason: event.data.reason, at }, updatedAt: at });
        break;
      case 'webhook_endpoint.enabled': {
        const after = Math.max(present.after, event.data.after ?? 0);
        next.set(id, { ...present, after, disabled: null, enabledAt: at, updatedAt: at });
        break;
      }
      case 'webhook_endpoint.deleted':
        next.delete(id);
        break;
    }
    return { endpoints: next };
  },
};

function contents({ url, description, types, systems }: EndpointTarget): {
  url: string;
  description: string;
  types: string[];
  systems: string[] | null;
} {
  return { url, description, types: [...types], systems: systems && [...systems] };
}

function assertRoom(endpoints: ReadonlyMap<string, Endpoint>, tenant: string): void {
  const own = [...endpoints.values()].filter((each) => each.tenant === tenant).length;
  if (own < MAX_ENDPOINTS_PER_TENANT) return;
  throw new Refused('conflict', `A tenant has at most ${MAX_ENDPOINTS_PER_TENANT} endpoints: delete one first`);
}

function earlier(a: string | null, b: string): string {
  return a !== null && a < b ? a : b;
}
