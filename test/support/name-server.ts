import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import type { AddressInfo } from 'node:net';
import type { ResolveHost } from '../../src/kernel/outbound/outbound-client.js';

export interface NameRecord {
  readonly type: 'A' | 'AAAA' | 'CNAME';
  /** An address, or the other name. */
  readonly value: string;
}

const TYPES = { A: 1, CNAME: 5, AAAA: 28 } as const;
const HEADER_BYTES = 12;
const NO_SUCH_NAME = 3;

/**
 * A server of names on loopback, over UDP. Like the one that a machine asks, it follows its aliases, and answers with
 * all of the way.
 */
export class NameServer {
  readonly records = new Map<string, readonly NameRecord[]>();
  readonly asked: string[] = [];

  private constructor(private readonly socket: Socket) {}

  static async start(): Promise<NameServer> {
    const socket = createSocket('udp4');
    const server = new NameServer(socket);
    socket.on('message', (query, { port, address }) => socket.send(server.answer(query), port, address));
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return server;
  }

  /** Resolves by asking this server. */
  get resolve(): ResolveHost {
    const resolver = new Resolver();
    resolver.setServers([`127.0.0.1:${(this.socket.address() as AddressInfo).port}`]);
    return async (hostname) => {
      const [four, six] = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
      const found = [
        ...(four.status === 'fulfilled' ? four.value.map((address) => ({ address, family: 4 })) : []),
        ...(six.status === 'fulfilled' ? six.value.map((address) => ({ address, family: 6 })) : []),
      ];
      if (found.length === 0 && four.status === 'rejected') throw four.reason;
      return found;
    };
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.socket.close(resolve));
  }

  private answer(query: Buffer): Buffer {
    let end = HEADER_BYTES;
    const labels: string[] = [];
    for (let length = query.readUInt8(end); length > 0; length = query.readUInt8(end)) {
      labels.push(query.toString('latin1', end + 1, end + 1 + length));
      end += 1 + length;
    }
    const type = query.readUInt16BE(end + 1);
    const question = query.subarray(HEADER_BYTES, end + 5);
    const name = labels.join('.').toLowerCase();
    this.asked.push(name);
    const answers = this.way(name, type);
    const header = Buffer.alloc(HEADER_BYTES);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(0x8180 | (this.records.has(name) ? 0 : NO_SUCH_NAME), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(answers.length, 6);
    return Buffer.concat([header, question, ...answers]);
  }

  private way(name: string, type: number): Buffer[] {
    return (this.records.get(name) ?? []).flatMap((record) => {
      if (record.type === 'CNAME') return [recordOf(name, record), ...this.way(record.value, type)];
      return TYPES[record.type] === type ? [recordOf(name, record)] : [];
    });
  }
}

function recordOf(name: string, { type, value }: NameRecord): Buffer {
  const data = type === 'CNAME' ? nameOf(value) : Buffer.from(type === 'A' ? value.split('.').map(Number) : six(value));
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(TYPES[type], 0);
  fixed.writeUInt16BE(1, 2);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([nameOf(name), fixed, data]);
}

function nameOf(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([...labels, Buffer.from([0])]);
}

/** The sixteen bytes of an address that is written in hexadecimal groups alone. */
function six(address: string): number[] {
  const [left = '', right] = address.split('::');
  const groups = (text: string): number[] => (text === '' ? [] : text.split(':').map((group) => parseInt(group, 16)));
  const [before, after] = [groups(left), groups(right ?? '')];
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return all.flatMap((group) => [group >> 8, group & 0xff]);
}
