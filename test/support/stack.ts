import { S3BlobStore } from '../../src/adapters/s3/s3-blob-store.js';
import { SystemClock } from '../../src/adapters/system/system-clock.js';
import { DoubleFolder } from './eventstoredb/double-folder.js';
import { openTestMongo, type TestMongo } from './mongodb.js';
import { openTestS3, type TestS3 } from './s3.js';
import { startNatsServer } from './servers/nats.mjs';
import type { TestServer } from './servers/server-process.mjs';

/** `RUNLEDGER_TEST_STACK` puts every service that tests start on servers of its own. */
export const onStack = (process.env['RUNLEDGER_TEST_STACK'] ?? '') !== '';

/** The servers of one service: its log, its views, its work and events, its artifacts. */
export interface Stack {
  readonly eventStore: DoubleFolder;
  readonly mongo: TestMongo;
  readonly nats: TestServer & { readonly url: string };
  readonly s3: TestS3;
  /** What the service is told of them. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** Starts the servers, with nothing in them. A run's script may have started FerretDB and S3 for all: those are shared. */
export async function openStack(): Promise<Stack> {
  const ends: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).toReversed()) await end();
  };
  try {
    const eventStore = await DoubleFolder.open({ version: '24.2' });
    ends.push(() => eventStore.close());
    const mongo = await openTestMongo();
    ends.push(() => mongo.close());
    const nats = await startNatsServer();
    ends.push(() => nats.close());
    const s3 = await openTestS3();
    ends.push(() => s3.close());
    const bucket = s3.newBucket();
    await (await S3BlobStore.connect(bucket, { clock: new SystemClock(), createBucket: true })).close();
    const env = {
      EVENTSTORE_URL: eventStore.server.url,
      MONGODB_URL: `${mongo.url.replace(/\/$/, '')}/${mongo.database}`,
      NATS_URL: nats.url,
      S3_URL: bucket,
    };
    return { eventStore, mongo, nats, s3, env, close };
  } catch (error) {
    await close();
    throw error;
  }
}
