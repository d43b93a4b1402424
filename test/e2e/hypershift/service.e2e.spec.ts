import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { fakes } from '../../../src/systems/hypershift/agents/test-support.js';
import type { WhatIfBody } from '../../../src/systems/hypershift/service/service.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents, ISO_TIME } from '../../support/hypershift.js';
import { RecordingServer, type Reply } from '../../support/recording-server.js';

const LANDING = 'Deploy a simple Next.js landing page';

describe('HyperShift API, Other', () => {
  let service: TestApp;
  let client: Hypershift;
  beforeAll(async () => {
    service = await startApp();
    client = Hypershift.of(service);
  });
  afterAll(() => service.close());

  it.each(['', '/'])('tells what it is at the root%s', async (path) => {
    expect(said(await client.get(path))).toEqual([200, { service: 'orchestrator', version: '1.0.0' }]);
  });

  it('is alive', async () => {
    expect(said(await client.get('/health'))).toEqual([200, { status: 'ok', service: 'orchestrator' }]);
  });

  it('tells of the last local deployment, and of none before the first', async () => {
    const status = async (): Promise<unknown> => said(await client.get('/status'));
    const none = [200, { status: 'operational', service: 'orchestrator', last_deploy: null }];
    expect(await status()).toEqual(none);
    await client.runThrough({ user_intent: { description: 'sabotage demo' } });
    expect(await status()).toEqual(none);
    const run = await client.runThrough();
    expect(run.completed_at).toMatch(ISO_TIME);
    expect(await status()).toEqual([
      200,
      { status: 'operational', service: 'orchestrator', last_deploy: run.completed_at },
    ]);
  });

  it('tells LAST_DEPLOY_TIME as it stands', async () => {
    const told = await startApp({ LAST_DEPLOY_TIME: 'last Tuesday' });
    try {
      expect((await Hypershift.of(told).get('/status')).body).toEqual({
        status: 'operational',
        service: 'orchestrator',
        last_deploy: 'last Tuesday',
      });
    } finally {
      await told.close();
    }
  });

  describe('POST /what-if', () => {
    it.each([
      [{ description: LANDING }, undefined, 0, 'low'],
      [{ description: LANDING }, 'add a postgres database', 45, 'medium'],
      [{ description: 'Next.js admin dashboard with login, postgres and realtime chat' }, undefined, 75, 'medium'],
      [
        {
          description: 'Next.js admin dashboard with login, postgres and realtime chat',
          constraints: 'free tier only',
        },
        undefined,
        0,
        'medium',
      ],
      [{ description: 'sabotage demo' }, undefined, 20, 'high'],
      [{ description: '' }, undefined, 20, 'low'],
      [{ description: 'We deliver to every sandbox' }, undefined, 20, 'low'],
    ])('estimates %j with %j', async (user_intent, addition, estimatedMonthlyCost, riskLevel) => {
      const answer = await client.post<WhatIfBody>('/what-if', { user_intent, addition });
      expect(said(answer)).toEqual([
        200,
        { estimatedMonthlyCost, currency: 'USD', riskLevel, message: expect.stringContaining(user_intent.description) },
      ]);
      if (addition !== undefined) expect(answer.body.message).toContain(addition);
    });

    it('takes the body itself as the intent, and an addition that is no text as none', async () => {
      const bare = await client.post('/what-if', { description: LANDING, addition: 'add a postgres database' });
      expect(bare.body).toMatchObject({ estimatedMonthlyCost: 45 });
      for (const addition of [7, null, ['postgres'], {}]) {
        const { body } = await client.post('/what-if', { user_intent: { description: LANDING }, addition });
        expect(body).toMatchObject({ estimatedMonthlyCost: 0 });
      }
    });

    it.each([
      { user_intent: {} },
      { user_intent: 'x' },
      { user_intent: { description: 7 } },
      { addition: 'x' },
      [],
      'x',
    ])('refuses %j with a text and nothing else', async (body) => {
      expect(said(await client.post('/what-if', body))).toEqual([400, { error: 'Invalid user_intent' }]);
    });

    it.each([
      { description: LANDING },
      { description: 'Next.js admin dashboard with login, postgres and realtime chat', target: 'production' },
      { description: 'rest api', constraints: 'with a database, free plan' },
    ])('says what a run of the same intent finds (%j)', async (user_intent) => {
      const { body } = await client.post<WhatIfBody>('/what-if', { user_intent });
      const { finops_output } = await client.runThrough({ user_intent });
      const { message: _, ...figures } = body;
      expect(finops_output).toEqual({ ...figures, breakdown: expect.any(Array) });
    });

    it('leaves no trace', async () => {
      const workspace = client.in('only asking');
      const before = await service.app.kernel.ports.log.head();
      await workspace.post('/what-if', { description: LANDING });
      expect(await service.app.kernel.ports.log.head()).toBe(before);
      expect((await workspace.get('/usage')).body).toMatchObject({ runs: 0 });
    });
  });

  describe('GET /fleet-health', () => {
    it('is all well where every agent is built in', async () => {
      const ok = { architect: 'ok', builder: 'ok', sentinel: 'ok', sre: 'ok', finops: 'ok' };
      expect(said(await client.get('/fleet-health'))).toEqual([200, { orchestrator: 'ok', agents: ok }]);
    });
  });
});

describe('HyperShift API, Other, with agents elsewhere', () => {
  const servers: RecordingServer[] = [];
  let service: TestApp;
  let client: Hypershift;
  let architect: RecordingServer;
  let health: Reply = { status: 204 };
  beforeAll(async () => {
    const server = async (reply: Parameters<typeof RecordingServer.start>[0]): Promise<RecordingServer> => {
      const started = await RecordingServer.start(reply);
      servers.push(started);
      return started;
    };
    architect = await server(({ path }) => (path === '/health' ? health : { status: 500 }));
    const gone = await RecordingServer.start();
    await gone.close();
    service = await startApp({
      ARCHITECT_AGENT_URL: `${architect.url}/`,
      BUILDER_AGENT_URL: (await server(() => ({ status: 503 }))).url,
      SENTINEL_AGENT_URL: gone.url,
      SRE_AGENT_URL: (await server(() => 'hang')).url,
      FINOPS_AGENT_URL: '',
    });
    client = Hypershift.of(service);
  });
  afterAll(async () => {
    await service.close();
    await Promise.all(servers.map((each) => each.close()));
  });

  it('asks each agent for its health, all at once, and calls what hangs down', async () => {
    expect(said(await client.get('/fleet-health'))).toEqual([
      200,
      { orchestrator: 'ok', agents: { architect: 'ok', builder: 'down', sentinel: 'down', sre: 'down', finops: 'ok' } },
    ]);
    expect(architect.requests).toMatchObject([{ method: 'GET', path: '/health' }]);
    health = { status: 302 };
    expect((await client.get('/fleet-health')).body).toMatchObject({ agents: { architect: 'down' } });
  });

  it('answers what-if with 200 and the failure in words where an agent fails', async () => {
    const answer = await client.post<WhatIfBody>('/what-if', { description: LANDING, addition: 'a blog' });
    expect(said(answer)).toEqual([
      200,
      { estimatedMonthlyCost: 0, currency: 'USD', riskLevel: 'low', message: expect.stringContaining('/architect') },
    ]);
    expect(answer.body.message).toContain(LANDING);
    expect(answer.body.message).toContain('a blog');
  });
});

describe('HyperShift API, what nobody outside gets to see', () => {
  const lines: string[] = [];
  let service: TestApp;
  let client: Hypershift;
  beforeAll(async () => {
    const architect = (): never => {
      throw new TypeError('Cannot read /home/operator/secret.ts');
    };
    const logger = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
    service = await startApp({}, { logger, hypershiftAgents: instantAgents({ architect }) });
    client = Hypershift.of(service);
  });
  afterAll(() => service.close());

  it("is why something broke unexpectedly; the server's log has it, with the id that the answer names", async () => {
    const answer = await client.post('/what-if', { description: 'x' });
    expect(said(answer)).toEqual([500, { error: 'Internal server error' }]);
    const correlationId = answer.headers.get('x-correlation-id') ?? '';
    const told = lines.filter((line) => line.includes('Cannot read /home/operator/secret.ts'));
    expect(told).toEqual([expect.stringContaining(correlationId)]);
  });

  it("stays out of the server's log as well: no intents, no keys, no secrets that were sent", async () => {
    const { body } = await client.post<{ key: string }>('/workspaces/ws-default/api-keys');
    const sender = client.with({ Authorization: `Bearer ${body.key}`, 'X-Webhook-Secret': 'hush' });
    await sender.runThrough({ user_intent: { description: `Pay with ${fakes.payment}` } });
    await sender.post('/runs', { user_intent: { description: 7, hidden: fakes.aws } });
    const text = lines.join('\n');
    expect(text).toContain('request answered');
    for (const secret of [fakes.payment, fakes.aws, body.key, 'hush']) expect(text).not.toContain(secret);
  });
});
