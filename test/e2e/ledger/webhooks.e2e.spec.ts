import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { startApp, type TestApp } from '../../support/app.js';
import { eventually } from '../../support/eventually.js';
import { HookReceiver, type Hook } from '../../support/hook-receiver.js';
import { Client, said } from '../../support/http.js';

interface Endpoint {
  readonly id: string;
  readonly status: string;
  readonly secret: string;
  readonly after: number;
  readonly secrets: { until: string | null }[];
}

const TENANT = 'ws-default';
let service: TestApp;
let client: Client;
let receiver: HookReceiver;
let made: string[];

beforeAll(async () => {
  service = await startApp({ WEBHOOK_ALLOW_CIDRS: '127.0.0.1', RUNLEDGER_ROLES: 'api,projector,dispatcher' });
  client = new Client(service.origin);
});
afterAll(() => service.close());
beforeEach(async () => {
  receiver = await HookReceiver.start();
  made = [];
});
afterEach(async () => {
  for (const id of made) await client.delete(`/ledger/webhooks/${id}`);
  await receiver.close();
});

async function create(fields: object = {}): Promise<Endpoint> {
  const body = { tenant: TENANT, url: receiver.url, types: ['run.*'], ...fields };
  const { status, body: endpoint } = await client.post<Endpoint>('/ledger/webhooks', body);
  expect(status).toBe(201);
  made.push(endpoint.id);
  return endpoint;
}

async function createRun(): Promise<string> {
  const { body } = await client.post<{ run_id: string }>('/hypershift/runs', { description: 'A page' });
  return body.run_id;
}

const isGenuine = (secret: string, { body, headers }: Hook): object =>
  new Webhook(secret).verify(body, headers as Record<string, string>) as object;

describe('an endpoint', () => {
  it('is told what is recorded from its creation on, signed after Standard Webhooks', async () => {
    await createRun();
    const { secret, id } = await create();
    const runId = await createRun();
    const hook = await eventually(() => receiver.hooks[0]);
    const told = isGenuine(secret, hook) as { id: string; position: number };
    const events = await client.get<{ events: Record<string, unknown>[] }>(
      `/ledger/events?run=${runId}&type=run.created`,
    );
    const [event] = events.body.events;
    expect(told).toEqual({
      type: 'run.created',
      timestamp: event?.['at'],
      id: event?.['id'],
      position: event?.['position'],
      system: 'hypershift',
      tenant: TENANT,
      stream: event?.['stream'],
      schemaVersion: 1,
      correlationId: event?.['correlationId'],
      data: event?.['data'],
    });
    expect(hook.headers).toMatchObject({ 'content-type': 'application/json', 'user-agent': 'Runledger' });
    expect(said(await client.get(`/ledger/webhooks/${id}`))).toMatchObject([200, { status: 'enabled' }]);
    expect(receiver.hooks).toHaveLength(1);
  });
});
