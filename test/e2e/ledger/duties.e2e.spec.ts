import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp, type App } from '../../../src/app.js';
import type { DutyListBody } from '../../../src/ledger/duties/duties.controller.js';
import { startApp, type TestApp } from '../../support/app.js';
import { runCommand, type CommandOutcome } from '../../support/cli.js';
import { Client } from '../../support/http.js';
import { onStack, openStack, type Stack } from '../../support/stack.js';
import { until } from '../../support/until.js';
import { WebhookApi } from '../../support/webhook-api.js';

const TOKENS = JSON.stringify([
  { name: 'reader', token: 'r', scopes: ['read'] },
  { name: 'acme', token: 'a', scopes: ['read'], tenants: ['acme'] },
  { name: 'worker', token: 'w', scopes: ['work'] },
]);

const duties = ({ origin }: TestApp, ...args: string[]): Promise<CommandOutcome> =>
  runCommand(['duties', '--url', origin, ...args]);
const names = ({ duties: all }: DutyListBody): string[] => all.map(({ role, name }) => `${role} ${name}`);

describe('of a process that does everything', () => {
  let service: TestApp;
  let api: WebhookApi;
  beforeAll(async () => {
    service = await startApp({ WEBHOOK_ALLOW_CIDRS: '127.0.0.1' });
    api = new WebhookApi(service.origin);
  });
  afterAll(() => service.close());
  const list = async (): Promise<DutyListBody> => (await api.get<DutyListBody>('/ledger/duties')).body;

  it('every duty is held by it: each view, each effect', async () => {
    const body = await until('all duties to be held', async () => {
      const seen = await list();
      return seen.duties.every(({ since }) => since !== null) && seen;
    });
    const views = service.app.kernel.registry.views.map(({ name, version }) => `projector ${name}@${version}`);
    expect(names(body)).toEqual(expect.arrayContaining([...views, 'dispatcher bus', 'dispatcher dispatcher']));
    expect(body.roles).toEqual(['api', 'projector', 'dispatcher', 'worker']);
    for (const duty of body.duties)
      expect(duty).toMatchObject({
        state: 'held',
        here: true,
        holder: body.process,
        since: expect.stringMatching(/Z$/),
      });
  });

  it('sending to an endpoint is one, for as long as the endpoint is enabled', async () => {
    const { id } = await api.create({ url: 'http://127.0.0.1:9/' });
    const duty = `dispatcher webhook endpoint ${id}`;
    await until('the endpoint to be a duty that is held', async () =>
      (await list()).duties.some(({ name, here }) => name === `webhook endpoint ${id}` && here),
    );
    await api.post(`/ledger/webhooks/${id}/disable`);
    await until('it to be none', async () => !names(await list()).includes(duty));
    await api.clear();
    expect(names(await list())).not.toContain(duty);
  });

  it('runledger duties shows them, and ends with 0', async () => {
    const { code, stdout } = await duties(service);
    expect([code, stdout.split('\n')[0]]).toEqual([
      0,
      expect.stringMatching(/^role +duty +state +process +since +until$/),
    ]);
    expect(stdout).toMatch(/^projector +runledger\.runs@\d+ +held +\S+ \(this server\) +\S+Z/m);
    expect((await duties(service, '--json')).json<DutyListBody>().duties.length).toBeGreaterThan(5);
  });
});

describe('of a process that only answers', () => {
  let service: TestApp;
  beforeAll(async () => {
    service = await startApp({ RUNLEDGER_ROLES: 'api', RUNLEDGER_TOKENS: TOKENS });
  });
  afterAll(() => service.close());
  const as = (token: string): Client => new Client(service.origin, { authorization: `Bearer ${token}` });

  it('nobody holds them: runledger duties says what to do, and ends with 1', async () => {
    const { code, stdout } = await runCommand(['duties', '--url', service.origin], { RUNLEDGER_TOKEN: 'r' });
    expect(code).toBe(1);
    expect(stdout).toMatch(/^projector +runledger\.runs@\d+ +free +- +- +-$/m);
    expect(stdout).toMatch(/^Nobody .*: start a process with the role dispatcher and projector \(RUNLEDGER_ROLES\)/m);
  });

  it('they are shown to those who may see the whole ledger', async () => {
    const status = async (token: string): Promise<number> => (await as(token).get('/ledger/duties')).status;
    expect([await status('r'), await status('a'), await status('w'), await status('x')]).toEqual([200, 403, 403, 401]);
  });
});

(onStack ? describe : describe.skip)('of processes that share them', () => {
  let folder: string;
  let stack: Stack;
  let api: App;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runledger-duties-'));
    stack = await openStack();
    api = await start('api');
  });
  afterAll(async () => {
    await api.close();
    await stack.close();
    await rm(folder, { recursive: true, force: true });
  });

  const key = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  async function start(roles: string): Promise<App> {
    const own = { RUNLEDGER_DATA_DIR: join(folder, roles), RUNLEDGER_ROLES: roles, RUNLEDGER_SIGNING_KEY: key };
    const app = await createApp({ PORT: '0', RUNLEDGER_LOG_LEVEL: 'silent', ...stack.env, ...own });
    await app.listen();
    return app;
  }
  const seen = async (): Promise<DutyListBody> =>
    (await new Client(api.origin()).get<DutyListBody>('/ledger/duties')).body;

  it('each is shown by one that has no part in them', async () => {
    expect(new Set((await seen()).duties.map(({ state }) => state))).toEqual(new Set(['free']));
    const other = await start('projector,dispatcher');
    const { member } = other.kernel.duties;
    try {
      const body = await until('all to be held', async () => {
        const now = await seen();
        return now.duties.every(({ state }) => state === 'held') && now;
      });
      expect(body.process).not.toBe(member);
      const time: unknown = expect.stringMatching(/Z$/);
      for (const duty of body.duties)
        expect(duty).toMatchObject({ holder: member, here: false, since: time, until: time });
    } finally {
      await other.close();
    }
    expect(new Set((await seen()).duties.map(({ state }) => state))).toEqual(new Set(['free']));
  });
});
