import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Stands before a service, and turns the lines of its answers into others. */
export class LyingServer {
  /** What the lines of each answer are turned into. */
  lie: (lines: string[]) => readonly string[] = (lines) => lines;

  private constructor(private readonly server: Server) {}

  /** @param origin The service that tells the truth. */
  static async before(origin: string): Promise<LyingServer> {
    const server = createServer();
    const liar = new LyingServer(server);
    server.on('request', (request, response) => {
      const headers = { authorization: String(request.headers.authorization) };
      void fetch(origin + (request.url ?? ''), { headers }).then(async (answer) => {
        const lines = (await answer.text()).trimEnd().split('\n');
        response.writeHead(answer.status).end(liar.lie(lines).join('\n'));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return liar;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
