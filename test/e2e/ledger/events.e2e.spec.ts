import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { chainHash, CHAIN_START } from '../../../src/kernel/hash-chain.js';
import { canonicalJson } from '../../../src/kernel/canonical-json.js';
import type { EventBody, EventPageBody } from '../../../src/ledger/events/events.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { Luck } from '../../support/fault-scale.js';
import { Client, said } from '../../support/http.js';
import { Hypershift } from '../../support/hypershift.js';
import { record, type Happening } from '../../support/recorded-log.js';
import { sealedEvents } from '../../support/sealed-event.js';

const DAY_MS = 86_400_000;
const BEGIN = Date.UTC(2026, 0, 1);
const iso = (ms: number): string => new Date(ms).toISOString();
const tokens = JSON.stringify([
  { name: 'all', token: 'all', scopes: ['read'] },
  { name: 'acme', token: 'acme', scopes: ['read'], tenants: ['acme'] },
  { name: 'worker', token: 'worker', scopes: ['work'] },
]);
/** Nothing but the API: what is in the log was put there by the test. */
const quiet = { RUNLEDGER_ROLES: 'api', RUNLEDGER_TOKENS: tokens };

/** All pages that follow, by the events' positions. */
async function walk(client: Client, query: string, way: 'next' | 'previous' = 'next', cursor?: string) {
  const pages: number[][] = [];
  let last: EventPageBody | undefined;
  for (let at: string | null | undefined = cursor; at !== null; at = last[way]) {
    const { status, body }: { status: number; body: EventPageBody } = await client.get<EventPageBody>(
      `/events?${query}${at === undefined ? '' : `&cursor=${at}`}`,
    );
    expect(status).toBe(200);
    pages.push(body.events.map(({ position }) => position));
    last = body;
  }
  return { pages, last: last as EventPageBody, all: pages.flat() };
}

describe('GET /ledger/events', () => {
  let service: TestApp;
  let client: Client;
  let acme: Client;
  let happenings: Happening[];
  let positions: number[];
  /** Positions that enclose them: the service has written for itself before, and other tests do after. */
  let after: number;
  let before: number;
  beforeAll(async () => {
    service = await startApp(quiet);
    client = new Client(`${service.origin}/ledger`, { authorization: 'Bearer all' });
    acme = new Client(`${service.origin}/ledger`, { authorization: 'Bearer acme' });
    const luck = new Luck(7);
    happenings = Array.from({ length: 400 }, (_, index) => ({
      stream: luck.pick(['alpha.run-a', 'alpha.run-b', 'beta.run-a', 'beta.usage-1']),
      type: luck.pick(['run.created', 'run.started', 'runner.lost', 'step.completed']),
      tenant: luck.pick(['acme', 'initech', null]),
      ...luck.pick([{ actor: 'ann' }, { actor: 'bob' }, {}]),
      correlationId: `c-${luck.whole(1, 5)}`,
      // Half an hour apart, and out of order by up to five hours.
      at: iso(BEGIN + index * 1_800_000 + luck.whole(0, 5 * 3_600_000)),
      data: luck.pick([{ runId: 'a' }, { runId: 'b' }, { note: 'a' }, { runId: { is: 'a' } }, {}]),
    }));
    const { log } = service.app.kernel.ports;
    after = await log.head();
    positions = await record(log, happenings);
    [before = 0] = await record(log, [{ stream: 'omega.end-1', tenant: null }]);
  });
  afterAll(() => service.close());

  /** What the filter must find, said independently. */
  const expected = (wanted: (happening: Happening, position: number) => boolean): number[] =>
    positions.filter((position, index) => wanted(happenings[index] as Happening, position));

  it('gives each event with everything that is known of it', async () => {
    const { log } = service.app.kernel.ports;
    const [position = 0] = await record(log, [
      {
        stream: 'gamma.thing-ü/1',
        type: 'thing.done',
        tenant: 'acme',
        actor: 'ann "the" b',
        correlationId: 'c-x',
        causationId: 'c-y',
        at: '2026-03-01T00:00:00.000Z',
        data: { text: 'line\nbreak', list: [1, null] },
      },
    ]);
    const { status, headers, body } = await client.get<EventPageBody>('/events?system=gamma');
    expect([status, headers.get('content-type')]).toEqual([200, 'application/json; charset=utf-8']);
    const [stored] = await log.readStream('gamma.thing-ü/1');
    expect(body).toEqual({
      events: [
        {
          position,
          id: stored?.id,
          type: 'thing.done',
          system: 'gamma',
          tenant: 'acme',
          stream: 'gamma.thing-ü/1',
          revision: 0,
          at: '2026-03-01T00:00:00.000Z',
          actor: 'ann "the" b',
          correlationId: 'c-x',
          causationId: 'c-y',
          traceparent: null,
          commandId: null,
          schemaVersion: 1,
          hash: stored?.hash,
          data: { text: 'line\nbreak', list: [1, null] },
        },
      ],
      next: null,
      previous: null,
      position,
    });
  });

  it.each<[string, (happening: Happening) => boolean]>([
    ['system=alpha', ({ stream }) => stream?.startsWith('alpha.') === true],
    ['tenant=initech', ({ tenant }) => tenant === 'initech'],
    ['type=run.started', ({ type }) => type === 'run.started'],
    ['type=run.*', ({ type }) => type?.startsWith('run.') === true],
    ['type=run*', ({ type }) => type?.startsWith('run') === true],
    ['type=*', () => true],
    ['type=runner.lost,%20step.*', ({ type }) => type === 'runner.lost' || type === 'step.completed'],
    ['type=run', () => false],
    ['run=a', ({ data }) => (data as { runId?: unknown }).runId === 'a'],
    [
      'run=a&system=beta',
      ({ data, stream = '' }) => (data as { runId?: unknown }).runId === 'a' && stream.startsWith('beta'),
    ],
    ['run=nobody', () => false],
    ['actor=ann', ({ actor }) => actor === 'ann'],
    ['correlation=c-3', ({ correlationId }) => correlationId === 'c-3'],
    [
      'tenant=acme&actor=bob&type=run.*',
      (h) => h.tenant === 'acme' && h.actor === 'bob' && h.type?.startsWith('run.') === true,
    ],
    [`from=${iso(BEGIN + 2 * DAY_MS)}`, ({ at = '' }) => at >= iso(BEGIN + 2 * DAY_MS)],
    ['to=2026-01-03', ({ at = '' }) => at < iso(BEGIN + 2 * DAY_MS)],
    [
      'from=2026-01-04T02:00:00%2B02:00&to=2026-01-05T12:00Z',
      ({ at = '' }) => at >= iso(BEGIN + 3 * DAY_MS) && at < iso(BEGIN + 4.5 * DAY_MS),
    ],
    ['from=2030-01-01', () => false],
    ['to=2020-01-01', () => false],
  ])('finds what %s asks for, in both orders', async (query, wanted) => {
    const found = expected(wanted);
    const range = `after=${after}&before=${before}`;
    expect((await walk(client, `${query}&${range}&limit=1000`)).all).toEqual(found);
    expect((await walk(client, `${query}&${range}&limit=7&order=desc`)).all).toEqual(found.toReversed());
  });

  it('keeps to a range of positions, both ends left out', async () => {
    const [low = 0, high = 0] = [positions[10], positions[20]];
    const { pages } = await walk(client, `after=${low}&before=${high}&limit=4`);
    expect(pages).toEqual([positions.slice(11, 15), positions.slice(15, 19), positions.slice(19, 20)]);
    expect((await walk(client, `after=${high}&before=${low}`)).all).toEqual([]);
  });

  it.each(['asc', 'desc'])('pages forwards and back again over the same events: %s', async (order) => {
    const query = `tenant=acme&order=${order}&limit=9`;
    const there = await walk(client, query);
    const found = await walk(client, `tenant=acme&order=${order}&limit=1000`);
    expect(there.pages.length).toBeGreaterThan(10);
    expect(there.all).toEqual(found.all);
    // Back from the last page: the same, page by page in the same order, but for the page one was on.
    const back = await walk(client, query, 'previous', there.last.previous ?? 'none');
    expect(back.pages.toReversed().flat()).toEqual(there.all.slice(0, -(there.pages.at(-1)?.length ?? 0)));
    // And from the first page that was reached that way forwards once more.
    const again = await walk(client, query, 'next', back.last.next ?? 'none');
    expect([...(back.pages.at(-1) ?? []), ...again.all]).toEqual(there.all);
  });

  it('can be polled by the position that it has reached', async () => {
    const { last } = await walk(client, 'limit=1000');
    const [position = 0] = await record(service.app.kernel.ports.log, [{ stream: 'delta.a-1' }]);
    const { body } = await client.get<EventPageBody>(`/events?after=${last.position}`);
    expect([body.events.map((event) => event.position), body.position]).toEqual([[position], position]);
    expect((await client.get<EventPageBody>(`/events?after=${position}`)).body).toEqual({
      events: [],
      next: null,
      previous: null,
      position,
    });
  });

  it('shows a token its own tenants alone, and of others what it shows of nobody', async () => {
    const own = expected(({ tenant }) => tenant === 'acme');
    expect((await walk(acme, `before=${before}&limit=50`)).all).toEqual(own);
    expect((await walk(acme, `before=${before}&limit=50&order=desc`)).all).toEqual(own.toReversed());
    const foreign = said(await acme.get(`/events?tenant=initech&before=${before}`));
    expect(foreign).toEqual(said(await acme.get(`/events?tenant=nobody&before=${before}`)));
    expect(foreign).toMatchObject([200, { events: [] }]);
  });

  it.each([
    ['limit=0', 'limit: 1 at least'],
    ['limit=1001', 'limit: 1000 at most'],
    ['limit=1e3', 'limit: a whole number'],
    ['order=up', 'order: asc or desc'],
    ['cursor=x9', 'cursor: take it from next or previous of another page'],
    ['cursor=a99999999999999999', 'cursor: take it from next or previous of another page'],
    ['after=-1', 'after: a position is a whole number'],
    ['before=9999999999999999', 'before: a position is a whole number'],
    ['from=yesterday', 'from: a date, or a time with its zone: 2026-01-31 or 2026-01-31T12:00:00Z'],
    ['from=2026-01-01T12:00', 'from: a date, or a time with its zone: 2026-01-31 or 2026-01-31T12:00:00Z'],
    ['to=2026-13-01', 'to: there is no such time'],
    ['type=*.created', 'type: types or beginnings such as run.*, separated by commas'],
    ['type=a,,b', 'type: types or beginnings such as run.*, separated by commas'],
    ['type=a&type=b', expect.stringMatching(/^type: /)],
    ['system=', 'system: 1 to 1000 characters'],
    ['typ=run.created', 'property typ should not exist'],
  ])('refuses %s', async (query, error) => {
    expect(said(await client.get(`/events?${query}`))).toEqual([400, { error }]);
  });

  it('asks for a token with the scope read', async () => {
    for (const path of ['/events', '/events/stream', '/streams/alpha.run-a']) {
      expect((await new Client(`${service.origin}/ledger`).get(path)).status).toBe(401);
      const answer = await client.get(path, { authorization: 'Bearer worker' });
      expect(said(answer)).toEqual([403, { error: 'The token worker does not have the scope read' }]);
    }
  });
});

describe('GET /ledger/events of a long log', () => {
  let service: TestApp;
  let client: Client;
  beforeEach(async () => {
    service = await startApp(quiet);
    client = new Client(`${service.origin}/ledger`, { authorization: 'Bearer all' });
  });
  afterEach(() => service.close());

  it('looks at a bounded part of it at a time, and says where to go on', async () => {
    const { log } = service.app.kernel.ports;
    const first = await record(log, [{ stream: 'alpha.run-1', data: { runId: 'r' } }]);
    const filler = Array.from({ length: 205 }, (_, index) => `alpha.thing-${index}`);
    await Promise.all(filler.map((stream) => log.append(stream, 'none', sealedEvents(100))));
    const last = await record(log, [{ stream: 'alpha.run-1', data: { runId: 'r' } }]);
    const { pages } = await walk(client, 'run=r');
    expect(pages).toEqual([first, last]);
    expect((await walk(client, 'run=r&order=desc')).pages).toEqual([last, first]);
  });

  it('ends a page sooner when the events are large', async () => {
    const large = { data: { text: 'x'.repeat(1_000_000) } };
    const positions = await record(service.app.kernel.ports.log, [large, large, large, large, large, large]);
    const { pages } = await walk(client, 'system=alpha&limit=6');
    expect(pages).toEqual([positions.slice(0, 4), positions.slice(4)]);
    const stream = await client.get<{ events: EventBody[]; next: string }>('/streams/alpha.thing-1');
    expect([stream.body.events.length, stream.body.next]).toEqual([4, 'a3']);
  });
});

describe('GET /ledger/streams/{stream}', () => {
  let service: TestApp;
  let client: Client;
  let acme: Client;
  const STREAM = 'alpha.run-ä/b%20c';
  beforeAll(async () => {
    service = await startApp(quiet);
    client = new Client(`${service.origin}/ledger`, { authorization: 'Bearer all' });
    acme = new Client(`${service.origin}/ledger`, { authorization: 'Bearer acme' });
    const { log } = service.app.kernel.ports;
    await record(
      log,
      Array.from({ length: 10 }, (_, index) => ({ stream: STREAM, data: { index } })),
    );
    await record(log, [
      { stream: 'alpha.run-2', tenant: 'initech' },
      { stream: 'alpha.mixed-1' },
      { stream: 'alpha.mixed-1', tenant: 'initech' },
      { stream: 'alpha.mixed-1' },
    ]);
  });
  afterAll(() => service.close());

  const path = `/streams/${encodeURIComponent(STREAM)}`;
  const pages = async (query: string, way: 'next' | 'previous' = 'next', cursor?: string) => {
    const found: number[][] = [];
    let last: EventPageBody | undefined;
    for (let at: string | null | undefined = cursor; at !== null; at = last[way]) {
      const { status, body }: { status: number; body: EventPageBody } = await client.get<EventPageBody>(
        `${path}?${query}${at === undefined ? '' : `&cursor=${at}`}`,
      );
      expect(status).toBe(200);
      found.push(body.events.map(({ revision }) => revision));
      last = body;
    }
    return { found, last: last as EventPageBody };
  };

  it('gives its events by revision, and back', async () => {
    const { found, last } = await pages('limit=4');
    expect(found).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
    const back = await pages('limit=4', 'previous', last.previous ?? 'none');
    expect(back.found).toEqual([
      [4, 5, 6, 7],
      [0, 1, 2, 3],
    ]);
    expect(last.events[0]).toMatchObject({ stream: STREAM, tenant: 'acme', data: { index: 8 } });
  });

  it('gives the newest first when asked to, and back', async () => {
    const { found, last } = await pages('limit=4&order=desc');
    expect(found).toEqual([
      [9, 8, 7, 6],
      [5, 4, 3, 2],
      [1, 0],
    ]);
    expect((await pages('limit=4&order=desc', 'previous', last.previous ?? 'none')).found).toEqual([
      [5, 4, 3, 2],
      [9, 8, 7, 6],
    ]);
  });

  it('does not know what is not there, and what is of another tenant no better', async () => {
    const missing = said(await acme.get('/streams/alpha.run-3'));
    expect(missing).toEqual([404, { error: 'Stream not found' }]);
    expect(said(await acme.get('/streams/alpha.run-2'))).toEqual(missing);
    expect((await client.get('/streams/alpha.run-2')).status).toBe(200);
    const mixed = await acme.get<EventPageBody>('/streams/alpha.mixed-1');
    expect(mixed.body.events.map(({ revision }) => revision)).toEqual([0, 2]);
  });

  it.each(['limit=0', 'cursor=9', 'tenant=acme'])('refuses %s', async (query) => {
    expect((await client.get(`${path}?${query}`)).status).toBe(400);
  });
});

describe('the events of a run', () => {
  let service: TestApp;
  beforeAll(async () => {
    service = await startApp();
  });
  afterAll(() => service.close());

  it('name who acted, and hold together as a chain that anybody can compute', async () => {
    const runs = Hypershift.of(service, { 'X-User-Id': 'ann' });
    const run = await runs.runThrough();
    const client = new Client(`${service.origin}/ledger`);
    const { body } = await client.get<EventPageBody>(`/streams/hypershift.run-${run.id}?limit=1000`);
    expect(body.events[0]).toMatchObject({ type: 'run.created', actor: 'ann', system: 'hypershift', revision: 0 });
    let previous = CHAIN_START;
    for (const event of body.events) {
      const { at, tenant, actor, correlationId, causationId, traceparent, commandId, schemaVersion } = event;
      const known = { at, tenant, actor, correlationId, causationId, traceparent, commandId, schemaVersion };
      const metadata = canonicalJson(Object.fromEntries(Object.entries(known).filter(([, value]) => value !== null)));
      const { id, type, stream, revision } = event;
      previous = chainHash(previous, stream, revision, { id, type, metadata, data: canonicalJson(event.data) });
      expect(event.hash).toBe(previous);
    }
    const about = await client.get<EventPageBody>(`/events?run=${run.id}&limit=1000`);
    const streams = new Set(
      about.body.events.map(({ stream }) => stream.replace(run.id, 'ID').replace(/-\d{4}.*/, '')),
    );
    expect(streams).toContain('hypershift.run-ID');
    expect(streams).toContain('hypershift.usage-ws-default');
  });
});
