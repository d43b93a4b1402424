import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** The wire between clients and a server on this machine, for a test to cut and to hold. */
export class Line {
  private readonly pairs = new Set<readonly [Socket, Socket]>();
  private server: Server | undefined;
  private held = false;
  /** Where clients connect; stays the same when the line is closed and opened again. */
  port: number;

  constructor(port: number) {
    this.port = port;
  }

  get connections(): number {
    return this.pairs.size;
  }

  async open(target: number): Promise<void> {
    const server = createServer((client) => this.join(client, connect(target, '127.0.0.1')));
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Breaks every connection, in the middle of whatever is on it; new ones are taken. */
  cut(): void {
    for (const [client, server] of this.pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  /** Lets nothing through any more, while every connection stays: a stopped process, a pulled cable. */
  hold(): void {
    this.held = true;
    for (const [client, server] of this.pairs) {
      client.unpipe(server).pause();
      server.unpipe(client).pause();
    }
  }

  /** Lets through what was held, and what follows. */
  release(): void {
    this.held = false;
    for (const pair of this.pairs) flow(pair);
  }

  async close(): Promise<void> {
    const { server } = this;
    this.server = undefined;
    if (!server) return;
    const closed = once(server, 'close');
    server.close();
    this.cut();
    await closed;
  }

  private join(client: Socket, server: Socket): void {
    const pair = [client, server] as const;
    this.pairs.add(pair);
    const end = (): void => {
      this.pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of pair) socket.setNoDelay(true).on('error', end).on('close', end);
    if (!this.held) flow(pair);
  }
}

function flow([client, server]: readonly [Socket, Socket]): void {
  client.pipe(server);
  server.pipe(client);
}
