import { S3BlobStore } from '../../src/adapters/s3/s3-blob-store.js';
import { SystemClock } from '../../src/adapters/system/system-clock.js';
import { DoubleFolder } from '../support/eventstoredb/double-folder.js';
import { startFerretDb } from '../support/servers/ferretdb.mjs';
import { startNatsServer } from '../support/servers/nats.mjs';
import { startS3 } from '../support/servers/s3.mjs';
import type { TestServer } from '../support/servers/server-process.mjs';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/until.js';

/** Each of them is an append, a write or an acknowledgement of which its sender does not know whether it was taken. */
const LOST_ANSWERS = 3;

/** One server that a service stands on, and all that can happen to it. */
export interface Backend {
  readonly name: string;
  /** Ends it; `start` brings it back with what it held, at the same address. */
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Breaks every connection; new ones are taken. */
  cut(): void;
  /** It keeps its connections and answers nothing, until `thaw`. */
  freeze(): void;
  thaw(): void;
  /** It does what it is asked, and some of its answers get lost with their connections. Resolves when they are. */
  loseAnswers(): Promise<void>;
}

export interface Backends {
  readonly eventStore: Backend & { readonly folder: DoubleFolder };
  readonly mongo: Backend;
  readonly nats: Backend & { readonly server: TestServer };
  readonly s3: Backend;
  /** What a service is told of them. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** Starts all four, with nothing in them; each is reached through a wire that tests can spoil. */
export async function openBackends(): Promise<Backends> {
  const ends: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).toReversed()) await end();
  };
  const proxied = async (name: string, server: TestServer): Promise<Backend & { readonly proxy: TcpProxy }> => {
    ends.push(() => server.close());
    const proxy = await TcpProxy.open(server.port);
    ends.push(() => proxy.close());
    return { ...backendOf(name, server, proxy), proxy };
  };
  try {
    const folder = await DoubleFolder.open({ version: '24.2' });
    ends.push(() => folder.close());
    const ferretDb = await startFerretDb();
    const mongo = await proxied('MongoDB', ferretDb);
    const natsServer = await startNatsServer();
    const nats = await proxied('NATS', natsServer);
    const s3Server = await startS3();
    const s3 = await proxied('S3', s3Server);
    const bucket = new URL(s3Server.url);
    bucket.port = String(s3.proxy.port);
    bucket.pathname = '/runledger';
    await (await S3BlobStore.connect(bucket.href, { clock: new SystemClock(), createBucket: true })).close();
    const env = {
      EVENTSTORE_URL: folder.server.url,
      MONGODB_URL: `mongodb://127.0.0.1:${mongo.proxy.port}/runledger`,
      NATS_URL: `nats://127.0.0.1:${nats.proxy.port}`,
      S3_URL: bucket.href,
    };
    return { eventStore: eventStoreOf(folder), mongo, nats: { ...nats, server: natsServer }, s3, env, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function backendOf(name: string, server: TestServer, proxy: TcpProxy): Backend {
  return {
    name,
    stop: () => server.stop(),
    start: () => server.start(),
    cut: () => proxy.cut(),
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    async loseAnswers() {
      const before = proxy.lost;
      proxy.muteServer();
      try {
        await until(`${name} answers in vain`, () => proxy.lost - before >= LOST_ANSWERS);
      } finally {
        proxy.cut();
        proxy.unmute();
      }
    },
  };
}

/** The double has a wire of its own, and switches for what lies behind it. */
function eventStoreOf(folder: DoubleFolder): Backends['eventStore'] {
  const { server } = folder;
  return {
    name: 'EventStoreDB',
    folder,
    stop: () => server.stop(),
    start: () => server.start(),
    cut: () => server.cut(),
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    async loseAnswers() {
      server.faults.loseAnswers = LOST_ANSWERS;
      await until('EventStoreDB answers in vain', () => server.faults.loseAnswers === 0);
    },
  };
}
