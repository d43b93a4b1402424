import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { Client, said } from '../../support/http.js';
import type { EndpointBody } from '../../support/webhook-api.js';

interface Page {
  readonly events: readonly {
    readonly tenant: string;
    readonly revision: number;
    readonly data: { endpoint: string };
  }[];
  readonly next: string | null;
  readonly previous: string | null;
}

const PATH = '/ledger/streams/runledger.webhook-endpoints';
const TENANTS = ['initech', 'acme', 'initech', 'acme', 'umbrella', 'acme'];

/** Webhook endpoints of all tenants are decided in one stream, because they share an order and their names. */
describe('a stream that several tenants share', () => {
  let service: TestApp;
  const clients = new Map<string, Client>();
  const as = (name: string): Client => clients.get(name) as Client;
  /** Of the endpoints, as they were made. */
  const ids: string[] = [];
  beforeAll(async () => {
    const names = ['initech', 'acme', 'umbrella', 'globex'];
    const tokens = [
      ...names.map((name) => ({ name, token: `of-${name}`, scopes: ['read', 'operate'], tenants: [name] })),
      { name: 'both', token: 'of-both', scopes: ['read'], tenants: ['acme', 'umbrella'] },
      { name: 'all', token: 'of-all', scopes: ['read'] },
    ];
    service = await startApp({ RUNLEDGER_ROLES: 'api', RUNLEDGER_TOKENS: JSON.stringify(tokens) });
    for (const { name, token } of tokens)
      clients.set(name, new Client(service.origin, { authorization: `Bearer ${token}` }));
    expect(said(await as('acme').get(PATH))).toEqual([404, { error: 'Stream not found' }]);
    for (const tenant of TENANTS) {
      const made = await as(tenant).post<EndpointBody>('/ledger/webhooks', { url: 'https://a.example/', types: ['*'] });
      expect(made.status).toBe(201);
      ids.push(made.body.id);
    }
  });
  afterAll(() => service.close());

  const read = async (name: string, query = ''): Promise<Page> => {
    const { status, body } = await as(name).get<Page>(`${PATH}${query}`);
    expect(status).toBe(200);
    return body;
  };

  it.each([
    ['initech', [0, 2]],
    ['acme', [1, 3, 5]],
    ['umbrella', [4]],
    ['both', [1, 3, 4, 5]],
    ['all', [0, 1, 2, 3, 4, 5]],
  ])('is for a token of %s what is its own', async (name, revisions) => {
    const { events, next, previous } = await read(name);
    expect(events.map(({ revision }) => revision)).toEqual(revisions);
    expect(events.map(({ data }) => data.endpoint)).toEqual(revisions.map((revision) => ids[revision]));
    expect(events.map(({ tenant }) => tenant)).toEqual(revisions.map((revision) => TENANTS[revision]));
    expect([next, previous]).toEqual([null, null]);
  });

  it('is not there for a token that has nothing in it', async () => {
    const missing = said(await as('globex').get('/ledger/streams/runledger.nothing'));
    expect(missing).toEqual([404, { error: 'Stream not found' }]);
    expect(said(await as('globex').get(PATH))).toEqual(missing);
    expect(said(await as('globex').get(`${PATH}?order=desc&limit=1`))).toEqual(missing);
  });

  it.each([
    ['asc', [1, 3, 5]],
    ['desc', [5, 3, 1]],
  ])('has whole pages of what is the caller’s, in %s order and back', async (order, revisions) => {
    const query = `?limit=2&order=${order}`;
    const first = await read('acme', query);
    const second = await read('acme', `${query}&cursor=${first.next}`);
    const seen = [first, second].map(({ events }) => events.map(({ revision }) => revision));
    expect([seen, second.next]).toEqual([[revisions.slice(0, 2), revisions.slice(2)], null]);
    const back = await read('acme', `${query}&cursor=${second.previous}`);
    expect(back.events).toEqual(first.events);
  });

  it('shows in no page what is of others', async () => {
    for (const query of ['', '?limit=1', '?order=desc', '?cursor=a0', '?cursor=b5', '?cursor=a', '?cursor=b']) {
      const { events } = await read('acme', query);
      expect(events.length).toBeGreaterThan(0);
      expect([query, events.filter(({ tenant }) => tenant !== 'acme')]).toEqual([query, []]);
    }
  });
});
