import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Refused } from '../kernel/errors.js';
import { KnownDeliveries } from '../kernel/webhooks/known-deliveries.js';
import { Failed } from './cli.js';

/** An event is 1 MiB at most; around it come its name and origin. */
const MAX_BODY_BYTES = 2 * 1_048_576;
/** A sender waits fifteen seconds for the whole of it. */
const REQUEST_TIMEOUT_MS = 15_000;

/** One POST as it came. */
export interface Posted {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly path: string;
  readonly body: Buffer;
}

export interface ReceiverParts {
  /** @returns the id of a genuine delivery. @throws Refused `unauthorized` for any other. */
  readonly verify: (posted: Posted) => Promise<string>;
  /** Called once for each id, until it succeeds. @throws NotTaken when the sender is to try again. */
  readonly take: (id: string, posted: Posted) => Promise<void>;
  /** A delivery that was new, and taken, has got its answer, or nobody waits for it any more. */
  readonly answered: () => void;
  /** A request that was refused, or not taken, and why. */
  readonly turnedAway: (status: number, reason: string) => void;
}

/** A genuine delivery that could not be dealt with: answered like this, so that it comes again. */
export class NotTaken extends Error {
  override readonly name = 'NotTaken';
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfter?: string,
  ) {
    super(message);
  }
}

/** Receives webhooks on loopback: 204 for what is genuine, whether it is new or not, and 401 for all else. */
export class DeliveryReceiver {
  private readonly known = new KnownDeliveries();

  private constructor(
    private readonly server: Server,
    private readonly parts: ReceiverParts,
  ) {}

  /** @param port 0 for a free one. @throws Failed when it is taken. */
  static async start(port: number, parts: ReceiverParts): Promise<DeliveryReceiver> {
    const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS });
    const receiver = new DeliveryReceiver(server, parts);
    server.on('request', (request, response) => void receiver.handle(request, response));
    await new Promise<void>((resolve, reject) => {
      server.once('error', ({ code }: NodeJS.ErrnoException) =>
        reject(new Failed(`Port ${port} cannot be listened on (${code}): name another by --port`)),
      );
      server.listen(port, '127.0.0.1', resolve);
    });
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { answered, turnedAway } = this.parts;
    try {
      const isNew = await this.received(request);
      if (isNew) response.once('close', answered);
      response.writeHead(204).end();
    } catch (error) {
      const { status, retryAfter } = answerTo(error);
      const { message } = error as Error;
      turnedAway(status, message);
      // What is left of a body that nobody wants to read ends with the connection.
      if (!request.complete) response.setHeader('connection', 'close');
      if (retryAfter !== undefined) response.setHeader('retry-after', retryAfter);
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ error: message }));
    }
  }

  /** @returns whether it is the first of its id. */
  private async received(request: IncomingMessage): Promise<boolean> {
    const { method, url: path = '/', headers } = request;
    if (method !== 'POST') throw new NotTaken(405, 'Webhooks are posted');
    const posted = { headers, path, body: await bodyOf(request) };
    const id = await this.parts.verify(posted);
    return this.known.once(id, () => this.parts.take(id, posted));
  }
}

function answerTo(error: unknown): { readonly status: number; readonly retryAfter?: string | undefined } {
  if (error instanceof NotTaken) return error;
  return { status: error instanceof Refused ? 401 : 500 };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // A body that is too long is left where it is, so that its sender can be told.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new NotTaken(413, `A delivery has ${MAX_BODY_BYTES} bytes at most`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
