import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isIP } from 'node:net';
import { startApp, type TestApp } from '../../support/app.js';
import { eventually } from '../../support/eventually.js';
import { HookReceiver } from '../../support/hook-receiver.js';
import { Client, said } from '../../support/http.js';
import { SettableClock } from '../../support/settable-clock.js';

interface Attempt {
  readonly status: number | null;
  readonly response: string;
  readonly error: string | null;
}
interface Delivery {
  readonly status: string;
  readonly attempts: readonly Attempt[];
}

const PROXY = ['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'all_proxy', 'NODE_USE_ENV_PROXY'];
const before = Object.fromEntries(PROXY.map((name) => [name, process.env[name]]));

/** Time stands still: no delivery is tried a second time. */
const standing = (): SettableClock => new SettableClock(Date.now());
/** What the resolver says of a name. */
const names = new Map<string, string[]>();
let service: TestApp;
let client: Client;
/** Listens on every address of this machine. */
let receiver: HookReceiver;

beforeAll(async () => {
  receiver = await HookReceiver.start('::');
  receiver.answer = () => ({ status: 200, body: 'the secret of the inside' });
  // A proxy would be asked instead of the address that was checked.
  for (const name of PROXY) process.env[name] = `http://127.0.0.1:${receiver.port}`;
  // On the stack the log is asked by gRPC, which goes through proxies on purpose.
  process.env['no_grpc_proxy'] = '127.0.0.1';
  service = await startApp(
    { RUNLEDGER_ROLES: 'api,projector,dispatcher' },
    {
      clock: standing(),
      resolveHost: async (hostname) => {
        const answers = names.get(hostname) ?? ['127.0.0.1'];
        return answers.map((address) => ({ address, family: isIP(address) }));
      },
    },
  );
  client = new Client(service.origin);
});
afterAll(async () => {
  await service.close();
  await receiver.close();
  for (const [name, value] of Object.entries(before)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

/** Sets up an endpoint at this URL, and tests it. @returns the delivery after its first attempt. */
async function deliverTo(url: string): Promise<Delivery> {
  const body = { tenant: 'acme', url, types: ['*'] };
  const created = await client.post<{ id: string }>('/ledger/webhooks', body);
  expect([url, created.status]).toEqual([url, 201]);
  const path = `/ledger/webhooks/${created.body.id}`;
  const { body: test } = await client.post<{ delivery: string }>(`${path}/test`);
  const delivery = await eventually(async () => {
    const answer = await client.get<Delivery>(`${path}/deliveries/${test.delivery}`);
    return answer.status === 200 && answer.body.attempts.length > 0 && answer.body;
  });
  await client.delete(path);
  return delivery;
}

async function expectBlocked(url: string, reason: RegExp): Promise<void> {
  const { status, attempts } = await deliverTo(url);
  expect({ url, status, attempts }).toEqual({
    url,
    status: 'retrying',
    attempts: [
      expect.objectContaining({ status: null, response: '', error: expect.stringMatching(reason) as unknown }),
    ],
  });
  expect(receiver.connections).toBe(0);
}

const port = (): number => receiver.port;

describe('an endpoint set by API', () => {
  it.each([
    ['loopback', '127.0.0.1'],
    ['all of loopback', '127.255.255.254'],
    ['this host', '0.0.0.0'],
    ['private 10', '10.0.0.1'],
    ['private 172.16', '172.31.255.254'],
    ['private 192.168', '192.168.0.1'],
    ['link-local, and the metadata of clouds', '169.254.169.254'],
    ['carrier-grade NAT', '100.64.0.1'],
    ['benchmarks', '198.18.0.1'],
    ['documentation', '192.0.2.1'],
    ['protocol assignments', '192.0.0.1'],
    ['multicast', '224.0.0.1'],
    ['reserved', '240.0.0.1'],
    ['broadcast', '255.255.255.255'],
    ['loopback in decimal', '2130706433'],
    ['loopback in octal', '0177.0.0.1'],
    ['loopback in hexadecimal', '0x7f000001'],
    ['loopback in short', '127.1'],
    ['loopback in full-width digits', '１２７.０.０.１'],
    ['loopback 6', '[::1]'],
    ['unspecified 6', '[::]'],
    ['mapped', '[::ffff:127.0.0.1]'],
    ['mapped in hexadecimal', '[::ffff:7f00:1]'],
    ['compatible', '[::127.0.0.1]'],
    ['NAT64', '[64:ff9b::7f00:1]'],
    ['NAT64 of one’s own', '[64:ff9b:1::7f00:1]'],
    ['6to4', '[2002:7f00:1::1]'],
    ['Teredo', '[2001:0:7f00:1::1]'],
    ['unique local', '[fd00::1]'],
    ['link-local 6', '[fe80::1]'],
    ['site-local', '[fec0::1]'],
    ['multicast 6', '[ff02::1]'],
    ['documentation 6', '[2001:db8::1]'],
    ['discard only', '[100::1]'],
  ])('reaches nothing at an address of %s (%s)', (_, host) =>
    expectBlocked(`http://${host}:${port()}/`, /^Blocked address: /),
  );

  it.each([
    ['localhost', '127.0.0.1'],
    ['localhost.', '127.0.0.1'],
    ['LOCALHOST', '::1'],
    ['inside.example', '10.1.2.3'],
    ['mapped.example', '::ffff:127.0.0.1'],
    ['nat64.example', '64:ff9b::7f00:1'],
  ])('reaches nothing under the name %s, which stands for %s', async (name, address) => {
    names.set(name.toLowerCase(), [address]);
    await expectBlocked(`http://${name}:${port()}/`, /^Blocked address: /);
  });

  it.each(['http://public.example@127.0.0.1/', 'http://a:b@127.0.0.1/', 'https://127.0.0.1%40@x.example/'])(
    'has no user name: %s is refused',
    async (url) => {
      const answer = await client.post('/ledger/webhooks', { tenant: 'acme', url, types: ['*'] });
      expect(said(answer)).toEqual([400, { error: 'url: without a user name and password' }]);
    },
  );

  it.each([
    'file:///etc/passwd',
    'gopher://127.0.0.1/',
    'javascript:0',
    '//127.0.0.1/',
    'nowhere',
    'http://',
    'http://[::1',
  ])('is no other kind of address: %s is refused', async (url) => {
    const answer = await client.post('/ledger/webhooks', { tenant: 'acme', url, types: ['*'] });
    expect(said(answer)).toEqual([400, { error: 'url: an http or https address' }]);
  });
});

/** 127.0.0.2 stands for the public network: the operator allows it, and nothing else of this machine. */
describe('an endpoint in a network that may be reached', () => {
  let inside: HookReceiver;
  let outside: HookReceiver;
  let allowed: TestApp;
  let answers: string[];
  beforeAll(async () => {
    inside = await HookReceiver.start('127.0.0.1');
    outside = await HookReceiver.start('127.0.0.2', inside.port);
    allowed = await startApp(
      { WEBHOOK_ALLOW_CIDRS: '127.0.0.2/32', RUNLEDGER_ROLES: 'api,projector,dispatcher' },
      { clock: standing(), resolveHost: async () => [{ address: answers.shift() ?? 'none', family: 4 }] },
    );
    client = new Client(allowed.origin);
  });
  afterAll(async () => {
    await allowed.close();
    await outside.close();
    await inside.close();
  });

  it('cannot send what it gets to another address by a redirect', async () => {
    const location = `http://127.0.0.1:${inside.port}/inside`;
    outside.answer = () => ({ status: 307, headers: { location }, body: 'moved' });
    const { attempts } = await deliverTo(`http://127.0.0.2:${outside.port}/`);
    expect(attempts).toEqual([
      expect.objectContaining({ status: 307, response: 'moved', error: 'the receiver answered 307' }),
    ]);
    expect([outside.hooks.length, inside.connections]).toEqual([1, 0]);
  });

  it('cannot change its address between check and use, nor after it', async () => {
    answers = ['127.0.0.2', '127.0.0.1', '127.0.0.2'];
    outside.answer = () => ({ status: 200, headers: { connection: 'close' } });
    const url = `http://rebinding.example:${outside.port}/`;
    const [first, second] = [await deliverTo(url), await deliverTo(url)];
    expect(first.attempts).toEqual([expect.objectContaining({ status: 200, error: null })]);
    expect(second.attempts).toEqual([
      expect.objectContaining({
        status: null,
        response: '',
        error: 'Blocked address: rebinding.example (loopback)',
      }),
    ]);
    // One look at the name for each attempt: what was checked is what is used.
    expect([answers, inside.connections]).toEqual([['127.0.0.2'], 0]);
  });
});
