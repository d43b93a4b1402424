import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One POST that came in. */
export interface Received {
  readonly deliveryId: string;
  readonly event: string;
  readonly body: string;
  /** What it was answered with. */
  readonly status: number;
}

/** A real receiver on loopback that keeps all that it is sent. */
export class WebhookReceiver {
  readonly received: Received[] = [];

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  /** @param answer Which status a POST gets; asked before it is kept. @default 200 for all */
  static async start(answer: (post: Omit<Received, 'status'>) => number = () => 200): Promise<WebhookReceiver> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const post = {
          deliveryId: String(request.headers['x-hypershift-delivery']),
          event: String(request.headers['x-hypershift-event']),
          body: Buffer.concat(chunks).toString(),
        };
        const status = answer(post);
        receiver.received.push({ ...post, status });
        response.writeHead(status).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const receiver = new WebhookReceiver(server, `http://127.0.0.1:${port}/hook`);
    return receiver;
  }

  /** Deliveries that were accepted, each once, in the order in which they were first accepted. */
  get accepted(): Received[] {
    const first = new Map<string, Received>();
    for (const post of this.received) {
      if (post.status < 300 && !first.has(post.deliveryId)) first.set(post.deliveryId, post);
    }
    return [...first.values()];
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
