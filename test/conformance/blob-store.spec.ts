import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fastify from 'fastify';
import { FilesBlobStore } from '../../src/adapters/files/files-blob-store.js';
import { PresignedUrls } from '../../src/kernel/presigned-url.js';
import { registerBlobRoutes } from '../../src/ledger/blob-routes.js';
import { SettableClock } from '../support/settable-clock.js';
import { describeBlobStore, type BlobStoreHarness } from './blob-store.suite.js';

/** Presigned URLs lead to the service's own routes, on a port that is known only once they listen. */
const PUBLIC_URL = 'http://ledger.test/prefix';

async function openFiles(): Promise<BlobStoreHarness> {
  const parent = await mkdtemp(join(tmpdir(), 'runledger-blobs-'));
  const clock = new SettableClock(Date.now());
  const options = { folder: join(parent, 'blobs'), publicUrl: PUBLIC_URL, signingKey: randomBytes(32), clock };
  const store = new FilesBlobStore(options);
  const server = fastify();
  await server.register(registerBlobRoutes, { store, urls: new PresignedUrls(options) });
  const origin = await server.listen({ port: 0, host: '127.0.0.1' });
  return {
    store,
    clock,
    async reopen() {
      await store.close();
      return new FilesBlobStore(options);
    },
    fetch: (url, init) => fetch(url.replace(PUBLIC_URL, origin), init),
    async close() {
      await server.close();
      await store.close();
      await rm(parent, { recursive: true });
    },
  };
}

describeBlobStore('files', openFiles);
