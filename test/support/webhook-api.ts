import { expect } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { eventually } from './eventually.js';
import type { Hook } from './hook-receiver.js';
import { Client } from './http.js';

export interface EndpointBody {
  readonly id: string;
  readonly tenant: string;
  readonly url: string;
  readonly status: string;
  readonly disabled: { readonly reason: string; readonly at: string } | null;
  readonly after: number;
  readonly secrets: readonly { readonly until: string | null }[];
  readonly health: { readonly delivered: number; readonly failingSince: string | null } | null;
  readonly secret: string;
}

export interface DeliveryBody {
  readonly id: string;
  readonly status: string;
  readonly event: { readonly id: string; readonly type: string; readonly position: number } | null;
  readonly body: string | null;
  readonly retryAt: string | null;
  readonly attempts: readonly {
    readonly round: number;
    readonly attempt: number;
    readonly request: { readonly url: string; readonly headers: Readonly<Record<string, string>> };
    readonly status: number | null;
    readonly response: string;
    readonly error: string | null;
    readonly sentAt: string;
  }[];
}

/** The tenant of whoever names none. */
export const TENANT = 'ws-default';

/** `/ledger/webhooks`, and something that happens, as tests speak to them. */
export class WebhookApi extends Client {
  private readonly made: string[] = [];

  async create(fields: object): Promise<EndpointBody> {
    const body = { tenant: TENANT, types: ['run.*'], ...fields };
    const answer = await this.post<EndpointBody>('/ledger/webhooks', body);
    expect(answer.status).toBe(201);
    this.made.push(answer.body.id);
    return answer.body;
  }

  async endpoint(id: string): Promise<EndpointBody> {
    return (await this.get<EndpointBody>(`/ledger/webhooks/${id}`)).body;
  }

  async deliveries(id: string, query = ''): Promise<readonly DeliveryBody[]> {
    const { status, body } = await this.get<{ deliveries: DeliveryBody[] }>(
      `/ledger/webhooks/${id}/deliveries${query}`,
    );
    expect(status).toBe(200);
    return body.deliveries;
  }

  /** Waits until the only delivery is as it is said. */
  only(id: string, is: (delivery: DeliveryBody) => boolean): Promise<DeliveryBody> {
    return eventually(async () => {
      const [first, ...others] = await this.deliveries(id);
      expect(others).toEqual([]);
      return first && is(first) ? first : undefined;
    });
  }

  /** Lets the tenant have more runs than a test makes. */
  async begin(): Promise<void> {
    expect((await this.patch(`/hypershift/workspaces/${TENANT}/tier`, { tier: 'pro' })).status).toBe(200);
  }

  /** Makes `run.created` happen. @returns the id of the run. */
  async createRun(): Promise<string> {
    const { status, body } = await this.post<{ run_id: string }>('/hypershift/runs', { description: 'A page' });
    expect(status).toBe(201);
    return body.run_id;
  }

  /** Removes what was created. */
  async clear(): Promise<void> {
    for (const id of this.made.splice(0)) await this.delete(`/ledger/webhooks/${id}`);
  }
}

/** What a receiver makes of a delivery with the library of Standard Webhooks. @throws Error when it is not genuine. */
export function verified({ body, headers }: Hook, secret: string): unknown {
  return new Webhook(secret).verify(body, headers as Record<string, string>);
}
