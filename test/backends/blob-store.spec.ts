import { afterAll, beforeAll, describe } from '@jest/globals';
import { S3BlobStore } from '../../src/adapters/s3/s3-blob-store.js';
import { describeBlobStore } from '../conformance/blob-store.suite.js';
import { openTestS3, type TestS3 } from '../support/s3.js';
import { SettableClock } from '../support/settable-clock.js';

describe('on a server', () => {
  let s3: TestS3;
  beforeAll(async () => {
    s3 = await openTestS3();
  });
  afterAll(() => s3.close());

  describeBlobStore('s3', async () => {
    const clock = new SettableClock(Date.now());
    const url = s3.newBucket();
    const open = (): Promise<S3BlobStore> => S3BlobStore.connect(url, { clock, createBucket: true });
    let store = await open();
    return {
      store,
      clock,
      async reopen() {
        await store.close();
        store = await open();
        return store;
      },
      fetch: (presigned, init) => fetch(presigned, init),
      async close() {
        for (const { key } of await store.list('')) await store.delete(key);
        await store.close();
      },
    };
  });
});
