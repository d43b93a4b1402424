import { createHash, randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SettableClock } from '../../../test/support/settable-clock.js';
import { startS3 } from '../../../test/support/servers/s3.mjs';
import type { TestServer } from '../../../test/support/servers/server-process.mjs';
import { unique } from '../../../test/support/unique.js';
import { InvalidSettings, TooLarge, Unavailable } from '../../kernel/errors.js';
import { S3BlobStore } from './s3-blob-store.js';

const sha256 = (content: Uint8Array | string): string => createHash('sha256').update(content).digest('hex');
const MEBIBYTE = 1_048_576;

describe('blobs in S3', () => {
  const TIMEOUT_MS = 1_000;
  let server: TestServer;
  let bucketUrl: string;
  let clock: SettableClock;
  let store: S3BlobStore;

  beforeAll(async () => {
    server = await startS3();
  });
  afterAll(() => server.close());
  beforeEach(async () => {
    clock = new SettableClock(Date.now());
    bucketUrl = server.url + unique('blobs');
    store = await S3BlobStore.connect(bucketUrl, { clock, createBucket: true, timeoutMs: TIMEOUT_MS });
  });

  const everything = (): Promise<unknown>[] => [
    store.put('during', Readable.from(['x'])),
    store.put('large', Readable.from([Buffer.alloc(9 * MEBIBYTE)])),
    store.stat('before'),
    store.get('before'),
    store.list(''),
    store.delete('before'),
    store.sweep(),
  ];
  const refused = async (): Promise<void> => {
    const results = await Promise.allSettled(everything());
    expect(results.map((result) => (result.status === 'rejected' ? result.reason : 'done'))).toEqual(
      results.map(() => expect.any(Unavailable)),
    );
  };

  it('are Unavailable, all of them, while the server is down, and there again after it', async () => {
    await store.put('before', Buffer.from('kept'));
    await server.stop();
    try {
      await refused();
      await expect(S3BlobStore.connect(bucketUrl, { clock })).rejects.toBeInstanceOf(Unavailable);
    } finally {
      await server.start();
    }
    const found = await store.get('before');
    expect(found && (await text(found.content))).toBe('kept');
    expect((await store.list('')).map(({ key }) => key)).toEqual(['before']);
  });

  it('are not waited for without end when the server is frozen', async () => {
    await store.put('before', Buffer.from('kept'));
    server.freeze();
    try {
      const asked = [store.stat('before'), store.get('before'), store.list(''), store.delete('x'), store.sweep()];
      const results = await Promise.allSettled(asked);
      expect(results.map((result) => (result.status === 'rejected' ? result.reason : 'done'))).toEqual(
        asked.map(() => expect.any(Unavailable)),
      );
    } finally {
      server.thaw();
    }
    expect(await store.stat('before')).toMatchObject({ sizeBytes: 4 });
  });

  it('go up in parts when they are large, and leave no temporary file behind', async () => {
    const pieces = Array.from({ length: 21 }, () => randomBytes(MEBIBYTE));
    const whole = Buffer.concat(pieces);
    const leftOvers = async (): Promise<string[]> =>
      (await readdir(tmpdir())).filter((name) => name.startsWith('runledger-blob-'));
    const before = await leftOvers();
    await store.put('large', Readable.from(pieces), { contentType: 'video/webm' });
    await expect(store.put('large', Readable.from(pieces), { maxBytes: 20 * MEBIBYTE })).rejects.toBeInstanceOf(
      TooLarge,
    );
    const found = await store.get('large', { start: 8 * MEBIBYTE - 2, end: 8 * MEBIBYTE + 1 });
    expect(found?.info).toMatchObject({ sizeBytes: whole.length, sha256: sha256(whole), contentType: 'video/webm' });
    expect(found && (await buffer(found.content))).toEqual(whole.subarray(8 * MEBIBYTE - 2, 8 * MEBIBYTE + 2));
    expect((await leftOvers()).filter((name) => !before.includes(name))).toEqual([]);
  });

  it('that a presigned URL uploaded get their checksum when they are asked for', async () => {
    const url = await store.presign('PUT', 'report', 60_000);
    expect((await fetch(url, { method: 'PUT', body: 'from outside' })).status).toBe(200);
    const expected = { key: 'report', sizeBytes: 12, sha256: sha256('from outside'), expiresAt: null };
    const found = await store.get('report', { start: 5, end: 11 });
    expect(found?.info).toMatchObject(expected);
    expect(found && (await text(found.content))).toBe('outside');
    expect(await store.list('')).toEqual([expect.objectContaining(expected)]);
  });

  it('give nothing for a range that holds nothing', async () => {
    await store.put('a', Buffer.from('0123'));
    for (const range of [
      { start: 4, end: 9 },
      { start: 3, end: 2 },
    ]) {
      const found = await store.get('a', range);
      expect(found?.info.sizeBytes).toBe(4);
      expect(found && (await text(found.content))).toBe('');
    }
    expect(await store.get('missing', { start: 3, end: 2 })).toBeUndefined();
  });

  it('share a bucket with others below a prefix', async () => {
    const inner = await S3BlobStore.connect(`${bucketUrl}/inner/folder`, { clock });
    await store.put('a', Buffer.from('outer'));
    await inner.put('b/c', Buffer.from('inner'));
    expect((await inner.list('')).map(({ key }) => key)).toEqual(['b/c']);
    expect((await inner.list('', { after: 'b' })).map(({ key }) => key)).toEqual(['b/c']);
    expect((await store.list('')).map(({ key }) => key)).toEqual(['a', 'inner/folder/b/c']);
    await inner.close();
  });

  it('need a bucket that is there, and credentials that it knows', async () => {
    const connect = (url: string): Promise<unknown> => S3BlobStore.connect(url, { clock });
    await expect(connect(server.url + unique('none'))).rejects.toBeInstanceOf(InvalidSettings);
    const wrong = new URL(bucketUrl);
    wrong.password = 'wrong';
    await expect(connect(wrong.href)).rejects.toBeInstanceOf(InvalidSettings);
  });

  it('have URLs of at most seven days', async () => {
    await expect(store.presign('GET', 'a', 604_800_001)).rejects.toBeInstanceOf(RangeError);
    expect(await store.presign('GET', 'a', 604_800_000)).toContain('X-Amz-Expires=604800');
  });
});
