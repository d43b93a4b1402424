import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/**
 * One address for several servers of this machine, as clients see a service behind a load balancer: each connection goes
 * to the next server in turn, or to the one after it when nobody listens there.
 */
export class Balancer {
  #listener = createServer((client) => void this.#join(client));
  #open = new Set();
  #turn = 0;

  /** @param port @default a free one */
  static async open(ports, port = 0) {
    const balancer = new Balancer();
    balancer.ports = ports;
    await once(balancer.#listener.listen(port, '127.0.0.1'), 'listening');
    return balancer;
  }

  get url() {
    return `http://127.0.0.1:${this.#listener.address().port}`;
  }

  async close() {
    this.#listener.close();
    for (const socket of this.#open) socket.destroy();
    await once(this.#listener, 'close');
  }

  async #join(client) {
    this.#keep(client);
    client.pause();
    const server = await this.#next();
    if (!server || client.destroyed) {
      client.destroy();
      server?.destroy();
      return;
    }
    this.#keep(server);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ]) {
      one.on('close', () => other.destroy());
      one.pipe(other);
    }
  }

  /** @returns undefined when nobody takes connections. */
  async #next() {
    for (const _ of this.ports) {
      const socket = connect(this.ports[this.#turn++ % this.ports.length], '127.0.0.1');
      try {
        await once(socket, 'connect');
        return socket;
      } catch {
        socket.destroy();
      }
    }
    return undefined;
  }

  #keep(socket) {
    this.#open.add(socket);
    socket.setNoDelay(true).on('error', () => socket.destroy());
    socket.on('close', () => this.#open.delete(socket));
  }
}
