import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { BlobStore } from '../kernel/ports/blob-store.js';
import type { Clock } from '../kernel/ports/clock.js';
import type { EventLog } from '../kernel/ports/event-log.js';
import type { ViewStore } from '../kernel/ports/view-store.js';
import type { Settings } from '../kernel/settings.js';
import { FilesBlobStore } from './files/files-blob-store.js';
import { SqliteStore } from './sqlite/sqlite-store.js';

/** What a ledger holds, to be looked at. */
export interface ReadablePorts {
  readonly log: EventLog;
  readonly views: ViewStore;
  readonly blobs: BlobStore;
  close(): Promise<void>;
}

/**
 * Opens what the settings name for reading only, also while the service runs on it.
 *
 * @throws InvalidSettings when there is no ledger in the data folder, or a URL will not do.
 * @throws Unavailable when a server cannot be reached; what was open by then is closed again.
 */
export async function openForReading(settings: Settings, clock: Clock, logger: Logger): Promise<ReadablePorts> {
  const { servers, dataDir } = settings;
  const opened: { close(): Promise<void> }[] = [];
  const add = <Item extends { close(): Promise<void> }>(item: Item): Item => {
    opened.push(item);
    return item;
  };
  const close = async (): Promise<void> => {
    for (const item of opened.splice(0).toReversed()) await item.close();
  };
  try {
    // Clients of servers are loaded where there is one: a command begins faster without.
    let store: SqliteStore | undefined;
    const embedded = (): SqliteStore => (store ??= add(SqliteStore.openForReading({ folder: dataDir, clock })));
    const log = servers.eventStore
      ? add(
          (await import('./eventstoredb/eventstoredb-event-log.js')).EventStoreDbEventLog.connect(servers.eventStore, {
            clock,
            logger,
          }),
        )
      : embedded().log;
    const views = servers.mongo
      ? add(await (await import('./mongodb/mongo-view-store.js')).MongoViewStore.connect(servers.mongo))
      : embedded().views;
    // Nobody is given a URL here, so nothing has to vouch for one.
    const signingKey = randomBytes(32);
    const blobs = servers.s3
      ? add(await (await import('./s3/s3-blob-store.js')).S3BlobStore.connect(servers.s3, { clock }))
      : add(new FilesBlobStore({ folder: join(dataDir, 'blobs'), publicUrl: 'http://localhost', signingKey, clock }));
    return { log, views, blobs, close };
  } catch (error) {
    await close();
    throw error;
  }
}
