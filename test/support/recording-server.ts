import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request that came in. */
export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The text as JSON; undefined when it is none. */
  readonly json: unknown;
}

/** A status with a text, a value to be sent as JSON with 200, or `hang` for no answer at all. */
export type Reply = 'hang' | { readonly status: number; readonly text?: string } | { readonly json: unknown };

/** A foreign server on loopback that keeps every request: an agent, or a receiver of webhooks. */
export class RecordingServer {
  readonly requests: RecordedRequest[] = [];

  private constructor(
    private readonly server: Server,
    /** Without a trailing slash. */
    readonly url: string,
  ) {}

  /** @param reply Asked after the request is kept; `count` is how many there have been, this one included. */
  static async start(
    reply: (request: RecordedRequest, count: number) => Reply | Promise<Reply> = () => ({ status: 200 }),
  ): Promise<RecordingServer> {
    const server = createServer(async (incoming, response) => {
      const chunks = await Array.fromAsync(incoming as AsyncIterable<Buffer>);
      const text = Buffer.concat(chunks).toString();
      const { method = '', url: path = '', headers } = incoming;
      const request = { method, path, headers, text, json: parse(text) };
      recording.requests.push(request);
      recording.answer(response, await reply(request, recording.requests.length));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const recording = new RecordingServer(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    return recording;
  }

  private answer(response: ServerResponse, reply: Reply): void {
    if (reply === 'hang') return;
    if ('json' in reply) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(reply.json));
    } else {
      response.writeHead(reply.status).end(reply.text ?? '');
    }
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
