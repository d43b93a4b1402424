import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startApp, type TestApp } from '../support/app.js';
import { HookReceiver } from '../support/hook-receiver.js';
import { NameServer, type NameRecord } from '../support/name-server.js';
import { ServerProcess } from '../support/server-process.js';
import { SettableClock } from '../support/settable-clock.js';
import { WebhookApi, type DeliveryBody } from '../support/webhook-api.js';

/** Stands for the public network: the operator allows it, and nothing else of this machine. */
const OUTSIDE = '127.0.0.2';
const INSIDE = '127.0.0.1';
const ROLES = { RUNLEDGER_ROLES: 'api,projector,dispatcher' };
const START_LIMIT_MS = 60_000;

type Attempt = DeliveryBody['attempts'][number];

/** Sets up an endpoint at this URL, and tests it. @returns its first attempt. */
async function attemptAt(api: WebhookApi, url: string): Promise<Attempt | undefined> {
  const { id } = await api.create({ url });
  await api.post(`/ledger/webhooks/${id}/test`);
  const { attempts } = await api.only(id, (delivery) => delivery.attempts.length > 0);
  await api.clear();
  return attempts[0];
}

const blocked = (reason: RegExp): unknown =>
  expect.objectContaining({ status: null, response: '', error: expect.stringMatching(reason) as unknown });

/** Beside it: test/e2e/ledger/webhooks-ssrf.e2e.spec.ts, with every range and spelling of an address. */
describe('fault 24: an endpoint reaches nothing inside', () => {
  let names: NameServer;
  let service: TestApp;
  let api: WebhookApi;
  let inside: HookReceiver;
  let outside: HookReceiver;
  beforeAll(async () => {
    inside = await HookReceiver.start(INSIDE);
    outside = await HookReceiver.start(OUTSIDE, inside.port);
    inside.answer = () => ({ status: 200, body: 'the secret of the inside' });
    names = await NameServer.start();
    service = await startApp(
      { ...ROLES, WEBHOOK_ALLOW_CIDRS: `${OUTSIDE}/32` },
      // Time stands still: no delivery is tried a second time.
      { clock: new SettableClock(Date.now()), resolveHost: names.resolve },
    );
    api = new WebhookApi(service.origin);
  });
  beforeEach(() => {
    names.records.clear();
    outside.hooks.length = 0;
    outside.answer = () => ({ status: 200, headers: { connection: 'close' } });
  });
  afterAll(async () => {
    await service.close();
    await names.close();
    await outside.close();
    await inside.close();
  });

  const alias = (from: string, to: string): void => void names.records.set(from, [{ type: 'CNAME', value: to }]);
  const address = (name: string, ...records: NameRecord[]): void => void names.records.set(name, records);
  const urlOf = (name: string): string => `http://${name}:${inside.port}/`;

  it.each<[string, NameRecord, RegExp]>([
    ['loopback', { type: 'A', value: INSIDE }, /^Blocked address: hooks\.example \(loopback\)$/],
    ['loopback 6', { type: 'AAAA', value: '::1' }, /\(loopback\)$/],
    ['a private network', { type: 'A', value: '10.0.0.1' }, /\(private\)$/],
    ['the metadata of clouds', { type: 'A', value: '169.254.169.254' }, /\(linkLocal\)$/],
    ['a mapped address', { type: 'AAAA', value: '::ffff:7f00:1' }, /\(ipv4Mapped\)$/],
    ['NAT64', { type: 'AAAA', value: '64:ff9b::7f00:1' }, /\(rfc6052\)$/],
    ['6to4', { type: 'AAAA', value: '2002:7f00:1::1' }, /\(6to4\)$/],
    ['a unique local address', { type: 'AAAA', value: 'fd00::1' }, /\(uniqueLocal\)$/],
  ])('by a public name that is an alias of one at %s', async (_, record, reason) => {
    alias('hooks.example', 'cdn.example');
    alias('cdn.example', 'inside.example');
    address('inside.example', record);
    expect(await attemptAt(api, urlOf('hooks.example'))).toEqual(blocked(reason));
    expect(names.asked).toContain('hooks.example');
    expect([inside.connections, outside.hooks]).toEqual([0, []]);
  });

  it('by an alias that is pointed elsewhere after it was good', async () => {
    alias('hooks.example', 'cdn.example');
    address('cdn.example', { type: 'A', value: OUTSIDE });
    expect(await attemptAt(api, urlOf('hooks.example'))).toMatchObject({ status: 200, error: null });
    address('cdn.example', { type: 'A', value: INSIDE });
    expect(await attemptAt(api, urlOf('hooks.example'))).toEqual(blocked(/\(loopback\)$/));
    expect([inside.connections, outside.types]).toEqual([0, ['webhook.test']]);
  });

  it('by an alias of several addresses, of which only one is outside', async () => {
    alias('hooks.example', 'cdn.example');
    const inner: NameRecord[] = [
      { type: 'A', value: INSIDE },
      { type: 'AAAA', value: '::1' },
    ];
    address('cdn.example', ...inner, { type: 'A', value: OUTSIDE });
    expect(await attemptAt(api, urlOf('hooks.example'))).toMatchObject({ status: 200, error: null });
    expect([inside.connections, outside.types]).toEqual([0, ['webhook.test']]);
  });

  it('by a name that leads nowhere, or an alias that does', async () => {
    expect(await attemptAt(api, urlOf('nowhere.example'))).toEqual(blocked(/host not found/));
    alias('a.example', 'b.example');
    expect(await attemptAt(api, urlOf('a.example'))).toEqual(blocked(/host not found/));
    expect(inside.connections).toBe(0);
  });

  it.each([301, 302, 303, 307, 308])('by a redirect with %i', async (status) => {
    outside.answer = () => ({ status, headers: { location: urlOf(INSIDE), connection: 'close' }, body: 'moved' });
    expect(await attemptAt(api, urlOf(OUTSIDE))).toMatchObject({
      status,
      response: 'moved',
      error: `the receiver answered ${status}`,
    });
    expect([inside.connections, outside.hooks.length]).toEqual([0, 1]);
  });

  it.each([
    '127.0.0.1.',
    '0x7f.0x0.0x0.0x1',
    '017700000001',
    '0',
    '127。0。0。1',
    '[::ffff:0:127.0.0.1]',
    '[0:0:0:0:0:ffff:7f00:0001]',
    '192.88.99.1',
    '198.51.100.1',
    '203.0.113.1',
    '[2001:20::1]',
    '[3fff::1]',
    '[5f00::1]',
  ])('by the spelling %s', async (host) => {
    expect(await attemptAt(api, urlOf(host))).toEqual(blocked(/^Blocked address: /));
    expect(inside.connections).toBe(0);
  });
});

describe('fault 24: a service that was started with a proxy in its environment', () => {
  let folder: string;
  let proxy: HookReceiver;
  let outside: HookReceiver;
  let server: ServerProcess;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runledger-proxied-'));
    proxy = await HookReceiver.start(INSIDE);
    outside = await HookReceiver.start(OUTSIDE);
    const address = `http://${INSIDE}:${proxy.port}`;
    const variables = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'all_proxy'];
    server = await ServerProcess.start({
      dataDir: folder,
      env: {
        ...ROLES,
        ...Object.fromEntries(variables.map((name) => [name, address])),
        NODE_USE_ENV_PROXY: '1',
        WEBHOOK_ALLOW_CIDRS: `${OUTSIDE}/32`,
      },
      recoveryLimitMs: START_LIMIT_MS,
    });
  });
  afterAll(async () => {
    await server.stop();
    await proxy.close();
    await outside.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('asks it for nothing: neither for what may be reached, nor for what may not', async () => {
    const api = new WebhookApi(server.origin);
    expect(await attemptAt(api, outside.url.replace(INSIDE, OUTSIDE))).toMatchObject({ status: 200, error: null });
    expect(await attemptAt(api, proxy.url)).toEqual(blocked(/^Blocked address: 127\.0\.0\.1 \(loopback\)$/));
    expect([outside.types, proxy.connections]).toEqual([['webhook.test'], 0]);
  });
});
