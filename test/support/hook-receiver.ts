import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** One POST, as it came in. */
export interface Hook {
  readonly id: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The body's. */
  readonly type: string;
}

export interface HookAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A receiver of webhooks on loopback: keeps what it is sent, and answers as the test says. */
export class HookReceiver {
  readonly hooks: Hook[] = [];
  /** Connections that were opened to it, whatever came over them. */
  connections = 0;
  answer: (hook: Hook) => HookAnswer | Promise<HookAnswer> = () => ({ status: 200 });

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  /** @param port A free one when it is left out. */
  static async start(host = '127.0.0.1', port = 0): Promise<HookReceiver> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    const receiver = new HookReceiver(server, (server.address() as AddressInfo).port);
    server.on('connection', () => (receiver.connections += 1));
    server.on('request', (request, response: ServerResponse) => {
      void text(request).then(async (body) => {
        const { url = '', headers } = request;
        const { type } = JSON.parse(body) as { type: string };
        const hook = { id: String(headers['webhook-id']), path: url, headers, body, type };
        receiver.hooks.push(hook);
        const answer = await receiver.answer(hook);
        response.writeHead(answer.status, answer.headers).end(answer.body);
      });
    });
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  /** Types that came in, in order. */
  get types(): string[] {
    return this.hooks.map(({ type }) => type);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
