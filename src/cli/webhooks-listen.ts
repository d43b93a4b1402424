import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { verifyHexSignature, verifyWebhook } from '../kernel/webhooks/inbound.js';
import { Refused } from '../kernel/errors.js';
import { TEST_TYPE } from '../ledger/webhooks/message.js';
import { command, Failed, WrongUsage, type Cli } from './cli.js';
import { DeliveryReceiver, NotTaken, type Posted } from './delivery-receiver.js';
import { printable } from './screen.js';
import type { ServerClient } from './server-client.js';
import { serverOf, withTarget, type TargetOptions } from './target.js';
import { pathOf, PATH, tested } from './webhooks-test.js';

const FORWARD_TIMEOUT_MS = 15_000;
/** Of one connection, and none of the receiver's business; the rest of a delivery is passed on as it came. */
const NOT_FORWARDED = new Set(
  'host connection keep-alive content-length transfer-encoding te trailer upgrade expect proxy-connection'.split(' '),
);

interface ListenOptions extends TargetOptions {
  readonly port: string;
  readonly secretFile?: string;
  readonly sha256?: string;
  readonly idHeader?: string;
  readonly forward?: string;
  readonly limit: string;
  readonly endpoint?: true;
  readonly tenant?: string;
  readonly type?: readonly string[];
  readonly address?: string;
}

/** One delivery, as `--json` prints it. */
interface Taken {
  readonly id: string;
  readonly receivedAt: string;
  /** What the body says it is about; null when it says nothing. */
  readonly type: string | null;
  /** What the address that it was forwarded to has answered; null when it was not. */
  readonly forwarded: number | null;
  /** Parsed where it is JSON, else the text. */
  readonly body: unknown;
}

export function registerListen(webhooks: Command, cli: Cli): void {
  command<ListenOptions>(
    withTarget(
      webhooks
        .command('listen')
        .description(
          'Receive webhooks on this machine while you write what will receive them: every genuine delivery is a line, ' +
            'once; all else is refused with 401. The secret is that of WEBHOOK_SECRET (several by blanks), of a file, ' +
            'or of an endpoint that lasts as long as the command.',
        )
        .option('--port <port>', 'where to listen; 0 for a free port', '0')
        .option('--secret-file <file>', 'read the secret from here; several by blanks or lines')
        .option('--sha256 <header>', 'signed by this header with sha256=<hex>, not after Standard Webhooks')
        .option('--id-header <header>', 'with --sha256: the header that names a delivery (default: x-github-delivery)')
        .option('--forward <address>', 'pass each on to this address, and its answer back')
        .option('--limit <count>', 'end after so many; 0 for never', '0')
        .option('--endpoint', 'let the server tell it here: an endpoint that is deleted at the end')
        .option('--type <types...>', 'with --endpoint: types, or beginnings such as run.* (default: *)')
        .option('--tenant <tenant>', 'with --endpoint: whose events')
        .option('--address <address>', 'with --endpoint: how the server reaches this machine (default: loopback)'),
    ),
    [
      ['runledger webhooks listen --secret-file secret.txt --port 4000', 'of an endpoint that you have set up'],
      ['runledger webhooks listen --endpoint --tenant acme --url http://127.0.0.1:3000', 'of one for the moment'],
      ['runledger webhooks listen --endpoint --tenant acme --forward http://127.0.0.1:8000/hooks', 'for your program'],
    ],
    (options) => listen(cli, options),
  );
}

async function listen(cli: Cli, options: ListenOptions): Promise<void> {
  const { screen } = cli;
  const [port, limit] = [whole('--port', options.port), whole('--limit', options.limit)];
  const { forward } = options;
  if (port > 65_535) throw new WrongUsage('--port is at most 65535');
  for (const [name, url] of [['--forward', forward] as const, ['--address', options.address] as const])
    if (url !== undefined && !/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
      throw new WrongUsage(`${name} is an address like http://127.0.0.1:8000/hooks`);
  if (options.endpoint && (options.sha256 ?? options.secretFile) !== undefined)
    throw new WrongUsage('An endpoint of the moment has its own secret, after Standard Webhooks');
  const server = options.endpoint ? serverOf(cli, options) : undefined;
  if (options.endpoint && !server) throw new WrongUsage('Whose endpoint? Name the server by --url or RUNLEDGER_URL');
  // A delivery that is faster than the answer to who made the endpoint waits for its secret.
  const secrets = Promise.withResolvers<readonly string[]>();
  if (!options.endpoint) secrets.resolve(await secretsOf(cli, options));

  const done = Promise.withResolvers<void>();
  const most = limit === 0 ? Infinity : limit;
  let [begun, shown] = [0, 0];
  let isReady = !options.endpoint;
  const receiver = await DeliveryReceiver.start(port, {
    verify: async (posted) => verified(posted, await secrets.promise, options),
    take: async (id, posted) => {
      const { type, body } = readBody(posted.body);
      // The first test asks whether the server reaches this command, and is of no interest to anybody behind it.
      if (!isReady && type === TEST_TYPE) return;
      if (begun >= most) throw new NotTaken(503, 'No more are taken');
      begun += 1;
      try {
        const forwarded = forward === undefined ? null : await forwardTo(forward, posted, cli.signal);
        const taken: Taken = { id, receivedAt: new Date().toISOString(), type, forwarded, body };
        screen.line(options.json ? JSON.stringify(taken) : lineOf(taken, posted.body.length));
        shown += 1;
      } catch (error) {
        begun -= 1;
        throw error;
      }
    },
    answered: () => {
      if (shown >= most) done.resolve();
    },
    turnedAway: (status, reason) => screen.note(`${status}: ${printable(reason)}`),
  });
  cli.signal.addEventListener('abort', () => done.resolve(), { once: true });
  if (cli.signal.aborted) done.resolve();
  try {
    screen.note(`Listening on ${receiver.url}`);
    if (!server) return await done.promise;
    const endpoint = await createEndpoint(server, options, receiver.url);
    secrets.resolve([endpoint.secret]);
    try {
      await checkReach(cli, server, endpoint);
      isReady = true;
      screen.note(`${endpoint.id} is told here until this ends`);
      await done.promise;
    } finally {
      await server.delete(pathOf(endpoint.id));
    }
  } finally {
    secrets.resolve([]);
    await receiver.close();
  }
}

interface OwnEndpoint {
  readonly id: string;
  readonly url: string;
  readonly secret: string;
}

function createEndpoint(server: ServerClient, options: ListenOptions, ownUrl: string): Promise<OwnEndpoint> {
  const { tenant, type: types = ['*'], address: url = ownUrl } = options;
  const description = 'runledger webhooks listen: deleted when it ends';
  return server.post<OwnEndpoint>(PATH, { url, types, tenant, description });
}

/** @throws Failed when a test does not arrive. */
async function checkReach({ signal }: Cli, server: ServerClient, { id, url }: OwnEndpoint): Promise<void> {
  try {
    const { attempt } = await tested(server, id, signal);
    if (attempt.error === null) return;
    throw new Failed(
      `The server does not reach ${url}: ${printable(attempt.error)}. It needs WEBHOOK_ALLOW_CIDRS=127.0.0.1 for its ` +
        'own machine, or an --address that leads here',
    );
  } catch (error) {
    // Whoever breaks off does not want to know any more.
    if (!signal.aborted) throw error;
  }
}

/** @returns the id. @throws Refused for what is not genuine. */
function verified(posted: Posted, secrets: readonly string[], { sha256, idHeader }: ListenOptions): string {
  if (secrets.length === 0) throw new Refused('unauthorized', 'There is no secret to verify it with');
  if (sha256 === undefined) return verifyWebhook(posted, secrets, Date.now()).id;
  verifyHexSignature(posted, sha256.toLowerCase(), secrets);
  const name = (idHeader ?? 'x-github-delivery').toLowerCase();
  const id = posted.headers[name];
  if (typeof id !== 'string' || id === '') throw new Refused('unauthorized', `${name} is missing`);
  return id;
}

/** @throws WrongUsage when there is none. */
async function secretsOf({ env }: Cli, { secretFile }: ListenOptions): Promise<string[]> {
  const text = secretFile === undefined ? env['WEBHOOK_SECRET'] : await readSecretFile(secretFile);
  const secrets = (text ?? '').split(/\s+/).filter((secret) => secret !== '');
  if (secrets.includes('whsec_')) throw new WrongUsage('The secret is empty: there is nothing after whsec_');
  if (secrets.length > 0) return secrets;
  throw new WrongUsage('Whose deliveries? Set WEBHOOK_SECRET, or name a --secret-file, or have an --endpoint');
}

async function readSecretFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new WrongUsage(`--secret-file cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** @throws NotTaken when it is not taken there: the sender is told so, and tries again. */
async function forwardTo(url: string, { headers, body }: Posted, signal: AbortSignal): Promise<number> {
  const passed = Object.entries(headers).filter(([name, value]) => value !== undefined && !NOT_FORWARDED.has(name));
  let answer: Response;
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: passed.map(([name, value]): [string, string] => [name, String(value)]),
      body: new Uint8Array(body),
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(FORWARD_TIMEOUT_MS)]),
    });
    await answer.body?.cancel();
  } catch (error) {
    const { cause, message } = error as { cause?: { code?: string }; message: string };
    throw new NotTaken(502, `${url} does not answer: ${cause?.code ?? message}`);
  }
  const { status } = answer;
  if (answer.ok) return status;
  const retryAfter = answer.headers.get('retry-after') ?? undefined;
  throw new NotTaken(status < 400 ? 502 : status, `${url} answers ${status}`, retryAfter);
}

function readBody(bytes: Buffer): { readonly type: string | null; readonly body: unknown } {
  const text = bytes.toString();
  try {
    const body: unknown = JSON.parse(text);
    const { type, event } = (body ?? {}) as { type?: unknown; event?: unknown };
    return { type: [type, event].find((each) => typeof each === 'string') ?? null, body };
  } catch {
    // Not every sender speaks JSON.
    return { type: null, body: text };
  }
}

function lineOf({ id, receivedAt, type, forwarded }: Taken, bytes: number): string {
  const size = `${bytes} bytes`;
  const answer = forwarded === null ? '' : `forwarded: ${forwarded}`;
  return printable([receivedAt, (type ?? '-').padEnd(24), id, size, answer].join('  ').trimEnd());
}

function whole(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new WrongUsage(`${option} is a whole number`);
  return Number(text);
}
