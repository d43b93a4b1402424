import { afterEach, describe, expect, it } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import { StepFailed } from '../../../src/systems/hypershift/agents/step-agent.js';
import type { AppOverrides } from '../../../src/app.js';
import { startApp, type TestApp } from '../../support/app.js';
import { Hypershift, instantAgents, ISO_TIME, SABOTAGE } from '../../support/hypershift.js';
import { RecordingServer, type RecordedRequest } from '../../support/recording-server.js';
import { HurriedClock } from '../../support/shifted-clock.js';
import { onStack } from '../../support/stack.js';
import { until } from '../../support/until.js';

interface Message {
  readonly event: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly ts: string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Answers of servers take their real time, and reads wait for them by this clock. */
const HURRY = onStack ? 3 : 20;

describe('HyperShift API, Webhooks', () => {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const each of open.splice(0).toReversed()) await each.close();
  });

  async function receiver(reply?: Parameters<typeof RecordingServer.start>[0]): Promise<RecordingServer> {
    const server = await RecordingServer.start(reply);
    open.push(server);
    return server;
  }

  async function start(env: NodeJS.ProcessEnv, overrides: AppOverrides = {}): Promise<TestApp> {
    const service = await startApp(env, { hypershiftAgents: instantAgents(), ...overrides });
    open.push(service);
    return service;
  }

  const messages = ({ requests }: RecordingServer): Message[] => requests.map(({ json }) => json as Message);
  const events = (server: RecordingServer): string[] => messages(server).map(({ event }) => event);
  const deliveries = ({ requests }: RecordingServer): unknown[] =>
    requests.map(({ headers }) => headers['x-hypershift-delivery']);
  const count = (server: RecordingServer, wanted: number): Promise<unknown> =>
    until(`${wanted} webhooks`, () => server.requests.length >= wanted);
  /** So many deliveries are over, and recorded as such: none of them is sent again. */
  const settled = ({ app }: TestApp, wanted: number): Promise<unknown> =>
    until(`${wanted} deliveries to be over`, async () => {
      const types = (await app.kernel.ports.log.readAll(0)).map(({ type }) => type);
      return types.filter((type) => type === 'webhook.delivered' || type === 'webhook.abandoned').length >= wanted;
    });

  it('tell a happy run in four messages, with these headers and bodies', async () => {
    const server = await receiver();
    const service = await start({ WEBHOOK_URL: `${server.url}/hook?a=b` }, { hypershiftAgents: undefined as never });
    const client = await Hypershift.of(service).workspace();
    const user_intent = { description: 'Deploy a landing page', target: 'production' };
    const { id, deployment_url, duration_ms } = await client.runThrough({ user_intent });
    await count(server, 4);
    const ids = { run_id: id, workspace_id: client.id };
    const expected: [string, object][] = [
      ['run.created', { ...ids, user_intent }],
      ['run.started', ids],
      ['run.completed', { ...ids, status: 'completed', deployment_url, duration_ms }],
      ['deploy.succeeded', { run_id: id, deployment_url }],
    ];
    expect(messages(server)).toEqual(
      expected.map(([event, payload]) => ({ event, payload, ts: expect.stringMatching(ISO_TIME) })),
    );
    server.requests.forEach(({ method, path, headers }, index) => {
      expect([method, path]).toEqual(['POST', '/hook?a=b']);
      expect(headers).toMatchObject({
        'content-type': 'application/json',
        'x-hypershift-event': expected[index]?.[0],
        'x-hypershift-delivery': expect.stringMatching(UUID),
      });
      expect(headers['webhook-signature']).toBeUndefined();
    });
    expect(new Set(deliveries(server)).size).toBe(4);
    const logs = await client.logs(id);
    expect(messages(server).map(({ ts }) => ts)).toEqual(
      ['run.created', 'run.started', 'run.completed', 'deploy.succeeded'].map(
        (action) => logs.find((line) => line.action === action)?.created_at,
      ),
    );
  });

  it('tell a failed run as completed, with what failed', async () => {
    const server = await receiver();
    const agents = instantAgents({
      sentinel: () => {
        throw new StepFailed('Agent /sentinel returned 500');
      },
    });
    const service = await start({ HYPERSHIFT_WEBHOOK_URL: server.url }, { hypershiftAgents: agents });
    const { id, duration_ms } = await Hypershift.of(service).runThrough();
    await count(server, 3);
    expect(messages(server)[2]).toEqual({
      event: 'run.completed',
      payload: {
        run_id: id,
        workspace_id: 'ws-default',
        status: 'failed',
        deployment_url: null,
        duration_ms,
        error: 'Agent /sentinel returned 500',
        failed_step: 'sentinel',
      },
      ts: expect.stringMatching(ISO_TIME),
    });
    expect(server.requests[2]?.headers['x-hypershift-event']).toBe('run.completed');
  });

  it('go to WEBHOOK_URL alone where both are set', async () => {
    const [server, other] = [await receiver(), await receiver()];
    const service = await start({ WEBHOOK_URL: server.url, HYPERSHIFT_WEBHOOK_URL: other.url });
    await Hypershift.of(service).create();
    await count(server, 1);
    expect(other.requests).toEqual([]);
  });

  it('tell nothing of vetoes, of the gate, of approvals, rejections, rollbacks and feedback', async () => {
    const server = await receiver();
    const agents = instantAgents({
      sentinel: (_, { codename }) => ({ veto: codename === 'vetoed', findings: [] }),
    });
    const service = await start({ WEBHOOK_URL: server.url }, { hypershiftAgents: agents });
    const client = Hypershift.of(service);
    const vetoed = await client.runThrough({ ...SABOTAGE, codename: 'vetoed' });
    const rejected = await client.runThrough({ require_approval: true });
    await client.post(`/runs/${rejected.id}/reject`);
    const approved = await client.runThrough({ require_approval: true });
    await client.post(`/runs/${approved.id}/approve`);
    await client.still(approved.id);
    await client.post(`/runs/${approved.id}/rollback`);
    await client.post(`/runs/${approved.id}/feedback`, { useful: true });
    await client.post('/what-if', { description: 'x' });
    await client.create({ tags: ['the last one'] });
    await settled(service, 8);
    const told = (id: string): string[] =>
      messages(server)
        .filter(({ payload }) => payload['run_id'] === id)
        .map(({ event }) => event);
    expect(told(vetoed.id)).toEqual(['run.created', 'run.started']);
    expect(told(rejected.id)).toEqual(['run.created', 'run.started']);
    // Without a deployment there is none that succeeded.
    expect(told(approved.id)).toEqual(['run.created', 'run.started', 'run.completed']);
    expect(server.requests).toHaveLength(8);
  });

  it('tell a replay as created and started', async () => {
    const server = await receiver();
    const client = Hypershift.of(await start({ WEBHOOK_URL: server.url }));
    const id = await client.create({ user_intent: { description: 'again' } });
    const { body } = await client.post<{ run_id: string }>(`/runs/${id}/replay`);
    await client.still(body.run_id);
    await count(server, 4);
    const replayed = messages(server).filter(({ payload }) => payload['run_id'] === body.run_id);
    expect(replayed.map(({ event }) => event)).toEqual(['run.created', 'run.started', 'run.completed']);
    expect(replayed[0]?.payload).toEqual({
      run_id: body.run_id,
      workspace_id: 'ws-default',
      user_intent: { description: 'again' },
    });
  });

  it('are tried again after a failure, as the same delivery with the same body, and then no more', async () => {
    const clock = new HurriedClock(HURRY);
    const at: number[] = [];
    const server = await receiver((_, number) => {
      at.push(clock.steady());
      return { status: number === 1 ? 500 : number === 2 ? 302 : 204 };
    });
    const service = await start({ WEBHOOK_URL: server.url }, { clock });
    const client = Hypershift.of(service);
    await client.create();
    await settled(service, 1);
    expect(server.requests).toHaveLength(3);
    expect(new Set(deliveries(server)).size).toBe(1);
    expect(new Set(server.requests.map(({ text }) => text)).size).toBe(1);
    const [first = 0, second = 0, third = 0] = at;
    expect([second - first >= 1_000, third - second >= 2_000]).toEqual([true, true]);
  });

  it('are given up after five attempts, which neither delays nor fails the run, nor other runs', async () => {
    const clock = new HurriedClock(HURRY);
    let bad: unknown;
    const reply = ({ json }: RecordedRequest): { status: number } => {
      const { payload } = json as Message;
      bad ??= payload['run_id'];
      return { status: payload['run_id'] === bad ? 503 : 200 };
    };
    const server = await receiver(reply);
    const service = await start({ WEBHOOK_URL: server.url }, { clock });
    const client = Hypershift.of(service);
    const id = await client.create();
    await count(server, 1);
    expect((await client.runThrough()).status).toBe('completed');
    await until('the delivery to be given up', () => server.requests.filter(isAbout(id)).length === 5);
    await settled(service, 4);
    expect(server.requests.filter(isAbout(id))).toHaveLength(5);
    expect(events(server).filter((event) => event === 'run.completed')).toHaveLength(1);
    const log = await service.app.kernel.ports.log.readAll(0);
    const types = log.filter(({ data }) => data.includes(id)).map(({ type }) => type);
    expect(types.filter((type) => type.startsWith('webhook.'))).toEqual([
      ...Array<string>(4).fill('webhook.attempt_failed'),
      'webhook.abandoned',
    ]);
  });

  it('wait through a restart, and are neither lost nor sent again', async () => {
    let up = false;
    const server = await receiver(() => ({ status: up ? 200 : 500 }));
    const before = await startApp({ WEBHOOK_URL: server.url }, { hypershiftAgents: instantAgents() });
    const id = await Hypershift.of(before).create();
    await count(server, 1);
    up = true;
    const after = await before.restart();
    open.push(after);
    await count(server, 2);
    await Hypershift.of(after).create();
    await settled(after, 2);
    expect(server.requests.filter(isAbout(id))).toHaveLength(2);
    expect(new Set(deliveries(server).slice(0, 2)).size).toBe(1);
    expect(server.requests).toHaveLength(3);
  });

  it('can be verified by any Standard Webhooks library where WEBHOOK_SECRET is set', async () => {
    const server = await receiver();
    const secret = `whsec_${Buffer.from('a key of the operator, 24+').toString('base64')}`;
    const service = await start({ WEBHOOK_URL: server.url, WEBHOOK_SECRET: secret });
    await Hypershift.of(service).create();
    await count(server, 1);
    const [request] = server.requests;
    const headers = request?.headers as Record<string, string>;
    expect(headers['webhook-id']).toBe(headers['x-hypershift-delivery']);
    expect(new Webhook(secret).verify(request?.text ?? '', headers)).toEqual(request?.json);
    expect(() => new Webhook(secret).verify(`${request?.text ?? ''} `, headers)).toThrow();
  });

  it('do not hold up anything while the receiver hangs', async () => {
    const server = await receiver(() => 'hang');
    const service = await start({ WEBHOOK_URL: server.url });
    const client = Hypershift.of(service);
    expect((await client.runThrough()).status).toBe('completed');
    await count(server, 1);
    expect((await client.runThrough()).status).toBe('completed');
    // Otherwise the service would wait for its answer before it stops.
    await server.close();
  });
});

function isAbout(runId: string): (request: RecordedRequest) => boolean {
  return ({ json }) => (json as Message).payload['run_id'] === runId;
}
