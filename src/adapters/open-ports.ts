import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Ports } from '../kernel/kernel.js';
import type { BlobStore } from '../kernel/ports/blob-store.js';
import type { Clock } from '../kernel/ports/clock.js';
import type { EventBus } from '../kernel/ports/event-bus.js';
import type { EventLog } from '../kernel/ports/event-log.js';
import type { Ids } from '../kernel/ports/ids.js';
import type { ViewStore } from '../kernel/ports/view-store.js';
import type { WorkQueue } from '../kernel/ports/work-queue.js';
import type { Settings } from '../kernel/settings.js';
import { EventStoreDbEventLog } from './eventstoredb/eventstoredb-event-log.js';
import { FilesBlobStore } from './files/files-blob-store.js';
import { InProcessEventBus } from './memory/in-process-event-bus.js';
import { MongoViewStore } from './mongodb/mongo-view-store.js';
import { NatsEventBus } from './nats/nats-event-bus.js';
import { NatsWorkQueue } from './nats/nats-work-queue.js';
import { S3BlobStore } from './s3/s3-blob-store.js';
import { SqliteStore } from './sqlite/sqlite-store.js';
import type { WriterHooks } from './sqlite/writer.js';

export interface PortsOptions {
  readonly clock: Clock;
  readonly ids: Ids;
  readonly logger: Logger;
  /** Where the server's own blobs are reached, and the key that vouches for their URLs. */
  readonly publicUrl: string;
  readonly urlKey: Buffer;
  readonly hooks?: WriterHooks | undefined;
}

export interface OpenPorts {
  readonly ports: Ports;
  /** Set where artifacts are files of this server: it serves them at presigned URLs itself. */
  readonly files: FilesBlobStore | undefined;
  close(): Promise<void>;
}

/**
 * Opens each port's adapter: the server that the settings name for it, or the embedded default.
 *
 * @throws InvalidSettings when another process has the data folder open, or a URL will not do.
 * @throws Unavailable when a server cannot be reached; what was open by then is closed again.
 */
export async function openPorts(settings: Settings, options: PortsOptions): Promise<OpenPorts> {
  const opened = new Closables();
  try {
    return await open(settings, options, opened);
  } catch (error) {
    await opened.close();
    throw error;
  }
}

async function open(settings: Settings, options: PortsOptions, opened: Closables): Promise<OpenPorts> {
  const { servers, dataDir } = settings;
  const { clock, ids, logger, publicUrl, urlKey, hooks } = options;
  const isWhole = servers.eventStore && servers.mongo && servers.nats;
  const store = isWhole ? undefined : opened.add(await SqliteStore.open({ folder: dataDir, clock, hooks }));
  const embedded = (): SqliteStore => store ?? fail();
  const log: EventLog = opened.add(
    servers.eventStore ? EventStoreDbEventLog.connect(servers.eventStore, { clock, logger }) : embedded().log,
  );
  const views: ViewStore = opened.add(servers.mongo ? await MongoViewStore.connect(servers.mongo) : embedded().views);
  const nats = servers.nats ? { url: servers.nats, clock, logger, replicas: servers.natsReplicas } : undefined;
  const queue: WorkQueue = opened.add(nats ? await NatsWorkQueue.open(nats) : embedded().queue);
  const bus: EventBus = opened.add(nats ? await NatsEventBus.open(nats) : new InProcessEventBus({ clock, logger }));
  const files = servers.s3
    ? undefined
    : new FilesBlobStore({ folder: join(dataDir, 'blobs'), publicUrl, signingKey: urlKey, clock });
  const blobs: BlobStore = opened.add(files ?? (await S3BlobStore.connect(servers.s3 ?? fail(), { clock })));
  return { ports: { log, views, queue, bus, blobs, clock, ids }, files, close: () => opened.close() };
}

function fail(): never {
  throw new Error('An adapter is asked for that was not opened');
}

/** What is closed in the opposite order of its opening: the store goes after the ports that stand on it. */
class Closables {
  private readonly all: { close(): Promise<void> }[] = [];

  add<Item extends { close(): Promise<void> }>(item: Item): Item {
    this.all.push(item);
    return item;
  }

  async close(): Promise<void> {
    for (const item of this.all.splice(0).toReversed()) await item.close();
  }
}
