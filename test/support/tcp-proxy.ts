import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

interface Line {
  readonly client: Socket;
  readonly server: Socket;
}

/** Stands between a client and a server on loopback, and lets a test spoil the connections. */
export class TcpProxy {
  private readonly lines = new Set<Line>();
  private listener: Server;
  private mute = false;
  /** Pieces of the server's answers that were lost. */
  lost = 0;
  private held = false;

  private constructor(
    private readonly target: number,
    listener: Server,
  ) {
    this.listener = listener;
  }

  /** @param target The server's port on 127.0.0.1. */
  static async open(target: number): Promise<TcpProxy> {
    const listener = createServer();
    const proxy = new TcpProxy(target, listener);
    listener.on('connection', (client) => proxy.join(client));
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  get port(): number {
    return (this.listener.address() as AddressInfo).port;
  }

  /** How many connections go through it now. */
  get size(): number {
    return this.lines.size;
  }

  /** Breaks every connection; new ones come through. */
  cut(): void {
    for (const { client, server } of this.lines) {
      client.destroy();
      server.destroy();
    }
  }

  /** Lets nothing through any more, while every connection stays: a pulled cable. */
  hold(): void {
    this.held = true;
    for (const { client, server } of this.lines) for (const socket of [client, server]) socket.pause();
  }

  /** Lets through what was held, and what follows. */
  release(): void {
    this.held = false;
    for (const { client, server } of this.lines) for (const socket of [client, server]) socket.resume();
  }

  /** The server hears everything, and its answers get lost, until `cut` and `unmute`. */
  muteServer(): void {
    this.mute = true;
  }

  unmute(): void {
    this.mute = false;
  }

  async close(): Promise<void> {
    this.cut();
    this.listener.close();
    await once(this.listener, 'close');
  }

  private join(client: Socket): void {
    const server = connect(this.target, '127.0.0.1');
    const line = { client, server };
    this.lines.add(line);
    const end = (): void => {
      this.lines.delete(line);
      client.destroy();
      server.destroy();
    };
    for (const socket of [client, server]) socket.setNoDelay(true).on('error', end).on('close', end);
    client.on('data', (bytes) => server.write(bytes));
    server.on('data', (bytes) => {
      if (this.mute) this.lost += 1;
      else client.write(bytes);
    });
    if (this.held) for (const socket of [client, server]) socket.pause();
  }
}
