import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { CHAIN_START, chainHash } from '../../../src/kernel/hash-chain.js';
import type { ProjectionBody } from '../../../src/ledger/projections/projections.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { eventually } from '../../support/eventually.js';
import { Client, said } from '../../support/http.js';

const RUN = 'hypershift.run';
const PATH = `/ledger/projections/${RUN}`;

let service: TestApp;
let client: Client;
beforeEach(async () => {
  service = await startApp();
  client = new Client(service.origin);
  await settled();
});
afterEach(() => service.close());

const look = async (name = RUN): Promise<ProjectionBody> =>
  (await client.get<ProjectionBody>(`/ledger/projections/${name}`)).body;

/** Everything that is recorded is in every view, or the view has stopped. */
async function settled(): Promise<void> {
  await eventually(async () => {
    const { body } = await client.get<{ projections: ProjectionBody[] }>('/ledger/projections');
    return body.projections.every(
      ({ state, lag }) => state === 'stopped' || state === 'paused' || (state === 'live' && lag.events === 0),
    );
  });
}

async function restart(): Promise<void> {
  service = await service.restart();
  client = new Client(service.origin);
  await settled();
}

async function createRun(): Promise<string> {
  const { body } = await client.post<{ run_id: string }>('/hypershift/runs', { user_intent: { description: 'x' } });
  return body.run_id;
}

/** An event that no view of runs can read. @returns its position. */
async function plant(): Promise<number> {
  const { log } = service.app.kernel.ports;
  const stream = `hypershift.run-planted-${randomUUID()}`;
  const metadata = JSON.stringify({ at: new Date().toISOString(), schemaVersion: 1, tenant: 'x', correlationId: 'x' });
  const event = { id: randomUUID(), type: 'run.created', data: '{}', metadata };
  const sealed = { ...event, hash: chainHash(CHAIN_START, stream, 0, event) };
  const { position } = await log.append(stream, 'none', [sealed]);
  await settled();
  return position;
}

/** Orders as they are recorded: type, actor and data. */
async function orders(name = RUN): Promise<unknown[]> {
  const { body } = await client.get<{ events: { type: string; actor: string; data: object }[] }>(
    `/ledger/streams/runledger.projection-${name}`,
  );
  return body.events.map(({ type, actor, data }) => [type, actor, data]);
}

const scope = { system: 'runledger', tenant: 'runledger', projection: RUN };

/** A rebuild that has stopped halfway, beside a collection that serves: what can be paused at leisure. */
async function stoppedRebuild(): Promise<{ position: number; building: string; serving: string }> {
  await createRun();
  const position = await plant();
  expect((await client.post(`${PATH}/skip`)).status).toBe(200);
  await settled();
  expect((await client.post(`${PATH}/rebuild`)).status).toBe(200);
  const { rebuild, collection } = await eventually(async () => {
    const seen = await look();
    return seen.state === 'stopped' && seen.rebuild !== null && seen;
  });
  return { position, building: rebuild?.collection ?? '', serving: collection ?? '' };
}

describe('GET /ledger/projections', () => {
  it('tells of every view how it stands', async () => {
    await createRun();
    await settled();
    const { status, body } = await client.get<{ projections: ProjectionBody[] }>('/ledger/projections');
    expect([status, body.projections.map(({ name }) => name)]).toEqual([
      200,
      service.app.kernel.projector.views.map(({ name }) => name),
    ]);
    const head = await service.app.kernel.ports.log.head();
    const { version } = service.app.kernel.projector.view(RUN);
    const collection = `${RUN}.v${version}.1`;
    expect(body.projections.find(({ name }) => name === RUN)).toEqual({
      name: RUN,
      version,
      state: 'live',
      collection,
      position: head,
      head,
      lag: { events: 0, exact: true, seconds: 0 },
      rate: expect.any(Number),
      errors: [],
      rebuild: null,
      collections: [{ name: collection, version, build: 1, state: 'serving' }],
    });
    expect(await look()).toMatchObject({ name: RUN, state: 'live' });
  });

  it('tells where a view has stopped, and how far behind it is', async () => {
    const position = await plant();
    await createRun();
    const seen = await look();
    expect(seen).toMatchObject({ state: 'stopped', rebuild: null });
    expect(seen.errors).toEqual([
      {
        collection: seen.collection,
        position,
        eventId: expect.any(String),
        stream: expect.stringContaining('hypershift.run-planted'),
        error: expect.stringContaining('is not of its shape'),
      },
    ]);
    // The poison itself, and what came after it.
    expect(seen.lag).toMatchObject({ exact: true, events: expect.any(Number) });
    expect(seen.lag.events).toBeGreaterThan(1);
    expect(seen.lag.seconds).toBeGreaterThan(0);
  });

  it('answers 404 for what is no projection, whatever is asked of it', async () => {
    const answer = [404, { error: 'There is no projection nobody' }];
    expect(said(await client.get('/ledger/projections/nobody'))).toEqual(answer);
    for (const order of ['rebuild', 'pause', 'resume', 'skip'])
      expect(said(await client.post(`/ledger/projections/nobody/${order}`))).toEqual(answer);
    expect(said(await client.delete('/ledger/projections/nobody/collections/nobody.v1.1'))).toEqual(answer);
  });
});

describe('POST …/rebuild', () => {
  it('builds a new collection that takes over, on record, once', async () => {
    const runId = await createRun();
    const { version } = await look();
    const { status, body } = await client.post<{ position: number }>(`${PATH}/rebuild`);
    expect([status, body]).toEqual([
      200,
      { position: expect.any(Number), carriedOut: true, projection: expect.objectContaining({ name: RUN }) },
    ]);
    await eventually(async () => (await look()).collection === `${RUN}.v${version}.2`);
    await eventually(async () => (await look()).collections.length === 1);
    expect((await client.get(`/hypershift/runs/${runId}`)).status).toBe(200);
    expect(await orders()).toEqual([['projection.rebuild_requested', 'local', scope]]);

    await restart();
    expect(await look()).toMatchObject({ state: 'live', collection: `${RUN}.v${version}.2`, rebuild: null });
    expect((await client.post(`${PATH}/rebuild`)).status).toBe(200);
    await eventually(async () => (await look()).collection === `${RUN}.v${version}.3`);
  });

  it('is carried out after a restart when nobody could before', async () => {
    await createRun();
    const { version } = await look();
    service = await service.restart({ RUNLEDGER_ROLES: 'api' });
    client = new Client(service.origin);
    const ordered = client.post(`${PATH}/rebuild`);
    expect(said(await ordered)).toMatchObject([202, { carriedOut: false }]);
    service = await service.restart({});
    client = new Client(service.origin);
    await eventually(async () => (await look()).collection === `${RUN}.v${version}.2`);
  });
});

describe('POST …/pause, /resume and /skip', () => {
  it('hold a rebuild, also over a restart, and let it go on', async () => {
    const { position, building, serving } = await stoppedRebuild();
    expect(said(await client.post(`${PATH}/resume`))).toEqual([409, { error: `The rebuild of ${RUN} is not paused` }]);
    expect(said(await client.post(`${PATH}/pause`))).toMatchObject([
      200,
      { carriedOut: true, projection: { rebuild: { collection: building, paused: true, secondsLeft: null } } },
    ]);
    expect(said(await client.post(`${PATH}/pause`))).toEqual([
      409,
      { error: `The rebuild of ${RUN} is paused already` },
    ]);
    // Past the poison, it is still held.
    expect((await client.post(`${PATH}/skip`)).status).toBe(200);
    expect(await look()).toMatchObject({ state: 'paused', collection: serving, errors: [] });
    await restart();
    expect(await look()).toMatchObject({ state: 'paused', rebuild: { collection: building, paused: true } });
    const { share } = (await look()).rebuild ?? { share: 1 };
    expect(share).toBeLessThan(1);

    expect((await client.post(`${PATH}/resume`)).status).toBe(200);
    await eventually(async () => (await look()).collection === building);
    expect(await look()).toMatchObject({ state: 'live', rebuild: null });
    const skipped = {
      ...scope,
      position,
      eventId: expect.any(String),
      stream: expect.any(String),
      error: expect.any(String),
    };
    expect(await orders()).toEqual([
      ['projection.skipped', 'local', { ...skipped, collection: serving }],
      ['projection.rebuild_requested', 'local', scope],
      ['projection.paused', 'local', { ...scope, collection: building }],
      ['projection.skipped', 'local', { ...skipped, collection: building }],
      ['projection.resumed', 'local', { ...scope, collection: building }],
    ]);
  });

  it('are refused where there is nothing to pause or to skip', async () => {
    const nothing = [409, { error: `${RUN} is not being rebuilt` }];
    expect(said(await client.post(`${PATH}/pause`))).toEqual(nothing);
    expect(said(await client.post(`${PATH}/resume`))).toEqual(nothing);
    expect(said(await client.post(`${PATH}/skip`))).toEqual([409, { error: `${RUN} has not stopped at any event` }]);
    expect((await client.get(`/ledger/streams/runledger.projection-${RUN}`)).status).toBe(404);
  });
});

describe('DELETE …/collections/{collection}', () => {
  const drop = (collection: string) => client.delete(`${PATH}/collections/${collection}`);

  it('removes what is left over, and nothing that is in use', async () => {
    const { building, serving } = await stoppedRebuild();
    const { views } = service.app.kernel.ports;
    const [old, newer] = [`${RUN}.v0.7`, `${RUN}.v99.1`];
    for (const name of [old, newer]) await views.prepare(name, { indexes: [] });
    expect((await look()).collections.map(({ name, state }) => [name, state])).toEqual([
      [newer, 'newer'],
      [building, 'building'],
      [serving, 'serving'],
      [old, 'old'],
    ]);
    expect(said(await drop(serving))).toEqual([409, { error: `${serving} serves: it cannot be dropped` }]);
    expect(said(await drop(building))).toEqual([409, { error: `${building} is being built: it cannot be dropped` }]);
    expect((await drop(newer)).status).toBe(409);
    for (const strange of [`${RUN}.v0.8`, 'hypershift.usage.v1.1', 'runledger.cursors'])
      expect(said(await drop(strange))).toEqual([404, { error: `${RUN} has no collection ${strange}` }]);
    expect(said(await drop(old))).toMatchObject([200, { carriedOut: true }]);
    expect(await views.collections()).not.toContain(old);
    expect((await orders()).at(-1)).toEqual(['projection.collection_dropped', 'local', { ...scope, collection: old }]);
  });
});

describe('who may', () => {
  it('look with read, order with operate, and neither for some tenants only', async () => {
    const tokens = [
      { name: 'reader', token: 'reader', scopes: ['read'] },
      { name: 'ops', token: 'ops', scopes: ['operate'] },
      { name: 'acme', token: 'acme', scopes: ['read', 'operate'], tenants: ['acme'] },
    ];
    await service.close();
    service = await startApp({ RUNLEDGER_TOKENS: JSON.stringify(tokens) });
    const as = (name: string) => new Client(service.origin, { authorization: `Bearer ${name}` });
    const [reader, ops, acme] = [as('reader'), as('ops'), as('acme')];
    for (const path of ['/ledger/projections', PATH]) {
      const seen = [await reader.get(path), await ops.get(path), await acme.get(path)];
      expect(seen.map(({ status }) => status)).toEqual([200, 403, 403]);
    }
    for (const order of ['rebuild', 'pause', 'resume', 'skip'])
      expect([(await reader.post(`${PATH}/${order}`)).status, (await acme.post(`${PATH}/${order}`)).status]).toEqual([
        403, 403,
      ]);
    for (const each of [reader, acme]) expect((await each.delete(`${PATH}/collections/x`)).status).toBe(403);
    expect((await ops.post(`${PATH}/rebuild`)).status).toBe(200);
    const stream = (await reader.get<{ events: { actor: string }[] }>(`/ledger/streams/runledger.projection-${RUN}`))
      .body;
    expect(stream.events.map(({ actor }) => actor)).toEqual(['ops']);
  });
});
