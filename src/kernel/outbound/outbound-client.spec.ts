import { afterEach, describe, expect, it } from '@jest/globals';
import type { LookupAddress } from 'node:dns';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server as TcpServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { SettableClock } from '../../../test/support/settable-clock.js';
import { parseAllowedCidrs } from './address-guard.js';
import { OutboundClient, type OutboundClientOptions, type PostOptions } from './outbound-client.js';
import { BlockedAddress, OutboundFailed } from './outbound-errors.js';

/** Stands for a public address: the tests allow it, and nothing else of the loopback network. */
const PUBLIC = '127.0.0.2';
const PRIVATE = '127.0.0.1';
const allowed = parseAllowedCidrs(PUBLIC);

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});

interface Listener {
  readonly port: number;
  readonly connections: () => number;
}

async function listenWith(server: Server | TcpServer, host: string, port: number): Promise<Listener> {
  let connections = 0;
  server.on('connection', (socket) => {
    connections += 1;
    closing.push(async () => socket.destroy());
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  return { port: (server.address() as AddressInfo).port, connections: () => connections };
}

const listen = (answer: RequestListener, host = PRIVATE, port = 0): Promise<Listener> =>
  listenWith(createServer(answer), host, port);

function open(options: Partial<OutboundClientOptions> = {}): OutboundClient {
  const client = new OutboundClient({ clock: new SettableClock(), ...options });
  closing.push(() => client.close());
  return client;
}

const resolvesTo =
  (...addresses: string[]) =>
  () =>
    Promise.resolve(addresses.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 })));

const unguarded: PostOptions = { headers: {}, body: '{}', timeoutMs: 10_000, guarded: false };
const guarded: PostOptions = { ...unguarded, guarded: true };

const failure = (posted: Promise<unknown>): Promise<unknown> =>
  posted.then(
    () => undefined,
    (error: unknown) => error,
  );

const answerOk: RequestListener = (_, response) => response.end('ok');

describe('a post', () => {
  it('sends headers and body, and gives back status and start of the answer', async () => {
    const seen: unknown[] = [];
    const { port } = await listen(async (request, response) => {
      seen.push(request.method, request.url, request.headers['x-one'], await text(request));
      response.writeHead(503, { 'retry-after': '7' }).end('später');
    });
    const url = `http://127.0.0.1:${port}/hook?a=%20b#part`;
    const answer = await open().post(url, { ...unguarded, headers: { 'X-One': '1' }, body: 'naïve' });
    expect(seen).toEqual(['POST', '/hook?a=%20b', '1', 'naïve']);
    expect(answer).toEqual({ status: 503, retryAfterMs: 7_000, bodyStart: 'später', ms: 0 });
  });

  it('keeps the first KiB of a long body, whole characters only', async () => {
    const { port } = await listen((_, response) => response.end(`x${'é'.repeat(20_000)}`));
    const { bodyStart } = await open().post(`http://127.0.0.1:${port}/`, unguarded);
    expect(bodyStart).toBe(`x${'é'.repeat(511)}`);
  });

  it('drops the connection of a body that does not end', async () => {
    const closed = Promise.withResolvers<void>();
    const { port } = await listen((_, response) => {
      response.on('close', closed.resolve);
      const more = (): unknown =>
        response.write('y'.repeat(10_000)) ? setImmediate(more) : response.once('drain', more);
      more();
    });
    const answer = await open().post(`http://127.0.0.1:${port}/`, unguarded);
    expect(answer).toMatchObject({ status: 200, bodyStart: 'y'.repeat(1_024) });
    await closed.promise;
  });

  it('uses one connection again and again', async () => {
    const listener = await listen(answerOk);
    const client = open();
    for (let n = 0; n < 50; n += 1) await client.post(`http://127.0.0.1:${listener.port}/${n}`, unguarded);
    // Two, because a connection is not free before the event loop has turned once after its answer.
    expect(listener.connections()).toBeLessThanOrEqual(2);
  });

  it('opens no more connections to an origin than it may', async () => {
    const listener = await listen((request, response) => void request.resume().on('end', () => response.end()));
    const client = open({ connectionsPerOrigin: 3 });
    const url = `http://127.0.0.1:${listener.port}/`;
    await Promise.all(Array.from({ length: 60 }, () => client.post(url, unguarded)));
    expect(listener.connections()).toBe(3);
  });

  it('uses no proxy that the environment names', async () => {
    const proxy = await listen(answerOk);
    const { port } = await listen(answerOk);
    const before = { ...process.env };
    const address = `http://127.0.0.1:${proxy.port}`;
    Object.assign(process.env, {
      HTTP_PROXY: address,
      http_proxy: address,
      ALL_PROXY: address,
      NODE_USE_ENV_PROXY: '1',
    });
    try {
      expect(await open().post(`http://127.0.0.1:${port}/`, unguarded)).toMatchObject({ status: 200 });
    } finally {
      process.env = before;
    }
    expect(proxy.connections()).toBe(0);
  });
});

describe('a guarded post reaches no blocked address', () => {
  const hosts = [
    ['127.0.0.1', '2130706433', '0x7f000001', '0x7f.0x0.0x0.0x1', '0177.0.0.1', '017700000001', '127.1', '127.0.0.1.'],
    ['[::1]', '[::]', '[::ffff:127.0.0.1]', '[::ffff:7f00:1]', '[::127.0.0.1]', '[64:ff9b::127.0.0.1]'],
    ['[2002:7f00:1::]', '0', '0.0.0.0', '127。0。0。1', '①②⑦.0.0.1', 'localhost', 'LOCALHOST'],
  ].flat();

  it.each(hosts)('as the host %s', async (host) => {
    const listener = await listen(answerOk, '0.0.0.0');
    const error = await failure(open().post(`http://${host}:${listener.port}/`, guarded));
    expect(error).toBeInstanceOf(BlockedAddress);
    expect(listener.connections()).toBe(0);
  });

  it('behind a name that resolves to one', async () => {
    const listener = await listen(answerOk);
    for (const address of [PRIVATE, '::1', '::ffff:127.0.0.1', '64:ff9b::7f00:1']) {
      const client = open({ resolve: resolvesTo(address), allowed });
      for (const host of ['hooks.example', 'hooks.example.', 'localhost.', 'a.localhost']) {
        const error = await failure(client.post(`http://${host}:${listener.port}/`, guarded));
        expect(error).toBeInstanceOf(BlockedAddress);
        expect((error as BlockedAddress).message).toContain(host);
      }
    }
    expect(listener.connections()).toBe(0);
  });

  it('by a second answer of the resolver: the socket goes to the address that was checked', async () => {
    const target = await listen(answerOk, PUBLIC);
    const trap = await listen(answerOk, PRIVATE, target.port);
    const answers = [PUBLIC, PRIVATE, PRIVATE];
    const client = open({ allowed, resolve: () => resolvesTo(answers.shift() ?? PRIVATE)() });
    const url = `http://rebind.example:${target.port}/`;
    expect(await client.post(url, guarded)).toMatchObject({ status: 200, bodyStart: 'ok' });
    expect([target.connections(), trap.connections(), answers.length]).toEqual([1, 0, 2]);
  });

  it('among several addresses of a name', async () => {
    const target = await listen(answerOk, PUBLIC);
    const trap = await listen(answerOk, PRIVATE, target.port);
    const client = open({ allowed, resolve: resolvesTo('::1', PRIVATE, PUBLIC) });
    expect(await client.post(`http://mixed.example:${target.port}/`, guarded)).toMatchObject({ status: 200 });
    expect([target.connections(), trap.connections()]).toEqual([1, 0]);
  });

  it('by a redirect', async () => {
    const trap = await listen(answerOk);
    const { port } = await listen((_, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${trap.port}/` }).end('moved');
    }, PUBLIC);
    const answer = await open({ allowed }).post(`http://${PUBLIC}:${port}/`, guarded);
    expect(answer).toMatchObject({ status: 307, bodyStart: 'moved' });
    expect(trap.connections()).toBe(0);
  });

  it('on a connection that an unguarded post has left open', async () => {
    const listener = await listen(answerOk);
    const client = open();
    const url = `http://127.0.0.1:${listener.port}/`;
    expect(await client.post(url, unguarded)).toMatchObject({ status: 200 });
    expect(await failure(client.post(url, guarded))).toBeInstanceOf(BlockedAddress);
    expect(listener.connections()).toBe(1);
  });

  it('by tricks with user names', async () => {
    const listener = await listen(answerOk);
    for (const authority of [
      '8.8.8.8@127.0.0.1',
      '8.8.8.8:80@127.0.0.1',
      '8.8.8.8%40@127.0.0.1',
      'user:pass@localhost',
    ]) {
      const error = await failure(open().post(`http://${authority}:${listener.port}/`, guarded));
      expect((error as OutboundFailed).reason).toBe('URL holds a user name or password');
    }
    const error = await failure(open().post(`http://127.0.0.1:${listener.port}\\@8.8.8.8/`, guarded));
    expect(error).toBeInstanceOf(BlockedAddress);
    expect(listener.connections()).toBe(0);
  });

  it('by another scheme', async () => {
    for (const url of [
      'file:///etc/passwd',
      'ftp://1.1.1.1/',
      'gopher://1.1.1.1/',
      'data:,x',
      'unix:/run/x',
      '//1.1.1.1/',
      '',
    ]) {
      expect(((await failure(open().post(url, guarded))) as OutboundFailed).reason).toBe('not an http or https URL');
    }
  });
});

describe('a post fails', () => {
  it('when the receiver does not answer in time', async () => {
    const closed = Promise.withResolvers<void>();
    const { port } = await listen((request) => void request.on('close', closed.resolve));
    const error = await failure(open().post(`http://127.0.0.1:${port}/`, { ...unguarded, timeoutMs: 50 }));
    expect(error).toEqual(new OutboundFailed('no answer within 50 ms'));
    await closed.promise;
  });

  it('when the body comes drop by drop for too long', async () => {
    const closed = Promise.withResolvers<void>();
    const { port } = await listen((_, response) => {
      const drip = setInterval(() => response.write('.'), 5);
      response.on('close', () => closed.resolve(clearInterval(drip)));
    });
    const error = await failure(open().post(`http://127.0.0.1:${port}/`, { ...unguarded, timeoutMs: 100 }));
    expect((error as OutboundFailed).reason).toBe('no answer within 100 ms');
    await closed.promise;
  });

  it('when no connection comes free in time, and is not sent afterwards', async () => {
    const bodies: string[] = [];
    const held = Promise.withResolvers<ServerResponse<IncomingMessage>>();
    const { port } = await listen(async (request, response) => {
      bodies.push(await text(request));
      if (bodies.length === 1) held.resolve(response);
      else response.end();
    });
    const client = open({ connectionsPerOrigin: 1 });
    const url = `http://127.0.0.1:${port}/`;
    const first = client.post(url, { ...unguarded, body: 'first' });
    const response = await held.promise;
    const second = await failure(client.post(url, { ...unguarded, body: 'second', timeoutMs: 20 }));
    expect(second).toBeInstanceOf(OutboundFailed);
    response.end();
    await first;
    await client.post(url, { ...unguarded, body: 'third' });
    expect(bodies).toEqual(['first', 'third']);
  });

  it('when nobody listens', async () => {
    const server = createTcpServer();
    const { port } = await listenWith(server, PRIVATE, 0);
    await new Promise((resolve) => server.close(resolve));
    const error = (await failure(open().post(`http://127.0.0.1:${port}/`, unguarded))) as OutboundFailed;
    expect(error.reason).toBe('connection refused');
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('when the host has no address', async () => {
    const error = await failure(open({ resolve: resolvesTo() }).post('http://nowhere.example/', guarded));
    expect((error as OutboundFailed).reason).toBe('host not found');
  });

  it('when the answer is not HTTP, or breaks off', async () => {
    const replies: Readonly<Record<string, string>> = {
      'malformed response': 'SSH-2.0-OpenSSH\r\n\r\n',
      'connection closed': 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart',
    };
    for (const [reason, reply] of Object.entries(replies)) {
      const server = createTcpServer((socket) => socket.once('data', () => socket.end(reply)));
      const { port } = await listenWith(server, PRIVATE, 0);
      const error = await failure(open().post(`http://127.0.0.1:${port}/`, unguarded));
      expect((error as OutboundFailed).reason).toBe(reason);
    }
  });

  it('for a header that HTTP cannot carry, without quoting it', async () => {
    const headers = { authorization: 'Bearer s3cret\r\nx: y' };
    const error = (await failure(open().post('http://127.0.0.1:9/', { ...unguarded, headers }))) as OutboundFailed;
    expect(error.reason).toBe('invalid request');
    expect(`${error.stack} ${String(error.cause)}`).not.toContain('s3cret');
  });

  it('when the client closes', async () => {
    const arrived = Promise.withResolvers<void>();
    const { port } = await listen(() => arrived.resolve());
    const client = open();
    const posted = failure(client.post(`http://127.0.0.1:${port}/`, unguarded));
    await arrived.promise;
    await client.close();
    expect(((await posted) as OutboundFailed).reason).toBe('client closed');
  });
});
