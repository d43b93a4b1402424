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
import { FilesBlobStore } from './files/files-blob-store.js';
import { InProcessEventBus } from './memory/in-process-event-bus.js';
import type { NatsOptions } from './nats/nats-link.js';
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
  // A server's client is loaded where there is such a server: together they take more memory than the service itself.
  const log: EventLog = opened.add(servers.eventStore ? await eventStore(servers.eventStore, options) : embedded().log);
  const views: ViewStore = opened.add(servers.mongo ? await mongo(servers.mongo) : embedded().views);
  const nats = servers.nats ? { url: servers.nats, clock, logger, replicas: servers.natsReplicas } : undefined;
  const queue: WorkQueue = opened.add(nats ? await natsQueue(nats) : embedded().queue);
  const bus: EventBus = opened.add(nats ? await natsBus(nats) : new InProcessEventBus({ clock, logger }));
  const files = servers.s3
    ? undefined
    : new FilesBlobStore({ folder: join(dataDir, 'blobs'), publicUrl, signingKey: urlKey, clock });
  const blobs: BlobStore = opened.add(files ?? (await s3(servers.s3 ?? fail(), { clock })));
  return { ports: { log, views, queue, bus, blobs, clock, ids }, files, close: () => opened.close() };
}

async function eventStore(url: string, { clock, logger }: PortsOptions): Promise<EventLog> {
  const { EventStoreDbEventLog } = await import('./eventstoredb/eventstoredb-event-log.js');
  return EventStoreDbEventLog.connect(url, { clock, logger });
}

async function mongo(url: string): Promise<ViewStore> {
  const { MongoViewStore } = await import('./mongodb/mongo-view-store.js');
  return MongoViewStore.connect(url);
}

async function natsQueue(options: NatsOptions): Promise<WorkQueue> {
  const { NatsWorkQueue } = await import('./nats/nats-work-queue.js');
  return NatsWorkQueue.open(options);
}

async function natsBus(options: NatsOptions): Promise<EventBus> {
  const { NatsEventBus } = await import('./nats/nats-event-bus.js');
  return NatsEventBus.open(options);
}

async function s3(url: string, { clock }: { clock: Clock }): Promise<BlobStore> {
  const { S3BlobStore } = await import('./s3/s3-blob-store.js');
  return S3BlobStore.connect(url, { clock });
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
