import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { InvalidKey, TooLarge } from '../../src/kernel/errors.js';
import type { BlobStore } from '../../src/kernel/ports/blob-store.js';
import type { SettableClock } from '../support/settable-clock.js';

/** An empty store, the time that it goes by, and the way to what it presigns. */
export interface BlobStoreHarness {
  readonly store: BlobStore;
  /** Begins at the real time: a store in another process checks its presigned URLs by a clock of its own. */
  readonly clock: SettableClock;
  /** Closes the store and opens the same content anew. */
  reopen(): Promise<BlobStore>;
  /** A request to a presigned URL, by HTTP. */
  fetch(presignedUrl: string, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

const HOUR_MS = 3_600_000;

const sha256 = (content: Uint8Array | string): string => createHash('sha256').update(content).digest('hex');

const illFormedKeys = [
  ['', '/', '/a', 'a/', 'a//b', '.', '..', '../a', 'a/..', 'a/../b', 'a/./b', '//server/share'],
  ['a\\b', '..\\a', '\\\\server\\share', 'C:/a', 'c:', 'a\0', 'a\nb', 'a\u007f', 'a\u0085b', '\ud800'],
  ['%2e%2e/a', 'a/%2E', '%2e%2e%2fa', '%252e%252e%252fa', 'a%5cb', 'a%00', '．．/a', '‥/a', '․', 'a／b', 'a＼b'],
  ['a'.repeat(256), 'é'.repeat(128), `${'a/'.repeat(450)}b`],
].flat();

/** In byte order. Several are the same text to a file system that ignores case or normalises Unicode. */
const oddKeys = [
  ' ',
  '%',
  '...',
  'A',
  'CON',
  'a',
  'a b',
  'a-b',
  'a.',
  'a/b',
  'a/b/c',
  'a0',
  'aa',
  `${'l'.repeat(80)}-`,
  `${'l'.repeat(80)}/m`,
  `${'l'.repeat(80)}0`,
  'l'.repeat(255),
  'n\u0061\u0308',
  'n\u00e4',
  `x/${'y/'.repeat(448)}z`,
  'é'.repeat(127),
  '\uffee',
  '\u{1f600}',
];

/** What every blob store promises, under replacement, broken streams, expiry, odd names and restarts. */
export function describeBlobStore(adapter: string, open: () => Promise<BlobStoreHarness>): void {
  describe(`BlobStore: ${adapter}`, () => {
    let harness: BlobStoreHarness;
    let store: BlobStore;

    beforeEach(async () => {
      harness = await open();
      store = harness.store;
    });
    afterEach(() => harness.close());

    const read = async (key: string, range?: { start: number; end: number }): Promise<string | undefined> => {
      const found = await store.get(key, range);
      return found && text(found.content);
    };
    const keys = async (prefix: string, options?: { after?: string; limit?: number }): Promise<string[]> =>
      (await store.list(prefix, options)).map(({ key }) => key);

    describe('a blob', () => {
      it('is given back as it was put, with what is known of it', async () => {
        const info = await store.put('t/run/trace.zip', Buffer.from('content'), { contentType: 'application/zip' });
        expect(info).toEqual({
          key: 't/run/trace.zip',
          sizeBytes: 7,
          contentType: 'application/zip',
          sha256: sha256('content'),
          storedAt: harness.clock.iso(),
          expiresAt: null,
        });
        expect(await store.stat('t/run/trace.zip')).toEqual(info);
        const found = await store.get('t/run/trace.zip');
        expect(found?.info).toEqual(info);
        expect(found && (await text(found.content))).toBe('content');
      });

      it('is a stream of bytes unless it is put as something else', async () => {
        expect(await store.put('a', Readable.from(['con', 'tent']))).toMatchObject({
          contentType: 'application/octet-stream',
          sha256: sha256('content'),
        });
      });

      it('may be empty', async () => {
        await store.put('a', Readable.from([]));
        await store.put('b', new Uint8Array(0));
        expect(await store.stat('a')).toMatchObject({ sizeBytes: 0, sha256: sha256('') });
        expect([await read('a'), await read('b')]).toEqual(['', '']);
      });

      it('may be large', async () => {
        const piece = randomBytes(1_048_576);
        const whole = Buffer.concat(Array.from({ length: 12 }, () => piece));
        await store.put('large', Readable.from(Array.from({ length: 12 }, () => piece)));
        const found = await store.get('large');
        expect(found?.info).toMatchObject({ sizeBytes: whole.length, sha256: sha256(whole) });
        expect(found && sha256(await buffer(found.content))).toBe(sha256(whole));
      });

      it('is given in part, both ends included', async () => {
        await store.put('a', Buffer.from('0123456789'));
        expect(await read('a', { start: 2, end: 4 })).toBe('234');
        expect(await read('a', { start: 8, end: 100 })).toBe('89');
        expect(await read('a', { start: 0, end: 0 })).toBe('0');
      });

      it('is not there before it is put, nor after it is deleted', async () => {
        expect([await store.stat('a'), await store.get('a')]).toEqual([undefined, undefined]);
        await store.put('a', Buffer.from('x'));
        await store.delete('a');
        await store.delete('a');
        expect([await store.stat('a'), await store.get('a'), await keys('')]).toEqual([undefined, undefined, []]);
      });

      it('is still there after a restart', async () => {
        const info = await store.put('a/b', Buffer.from('kept'), { contentType: 'text/plain' });
        store = await harness.reopen();
        expect(await store.stat('a/b')).toEqual(info);
        expect(await read('a/b')).toBe('kept');
      });
    });

    describe('a put', () => {
      it('replaces content and info at once', async () => {
        await store.put('a', Buffer.from('a long old one'), { contentType: 'text/plain', expiresAt: isoIn(HOUR_MS) });
        harness.clock.advance(1_000);
        const info = await store.put('a', Buffer.from('new'));
        expect(await store.stat('a')).toEqual(info);
        expect(info).toMatchObject({ sizeBytes: 3, contentType: 'application/octet-stream', expiresAt: null });
        expect(await read('a')).toBe('new');
      });

      it('leaves one of twenty at once, whole', async () => {
        const contents = Array.from({ length: 20 }, (_, n) => `${n} `.repeat(10_000));
        await Promise.all(contents.map((content) => store.put('a', Readable.from([content]))));
        const found = await store.get('a');
        const content = found && (await text(found.content));
        expect(contents).toContain(content);
        expect(found?.info.sha256).toBe(sha256(content ?? ''));
        expect(await keys('')).toEqual(['a']);
      });

      it('shows readers the old content or the new one, never a mixture', async () => {
        const sizes = Array.from({ length: 20 }, (_, n) => (n + 1) * 5_000);
        await store.put('a', Buffer.alloc(1));
        const writing = (async () => {
          for (const size of sizes) await store.put('a', Buffer.alloc(size, size % 251));
        })();
        const seen = await Promise.all(
          Array.from({ length: 40 }, async () => {
            const found = await store.get('a');
            return [found?.info.sha256, found && sha256(await buffer(found.content))];
          }),
        );
        await writing;
        for (const [promised, got] of seen) expect(got).toBe(promised);
      });

      it('does not disturb who reads the content it replaces', async () => {
        await store.put('a', Buffer.from('old'));
        const found = await store.get('a');
        await store.put('a', Buffer.from('new'));
        await store.delete('a');
        expect(found && (await text(found.content))).toBe('old');
      });

      it('above its limit is refused and stores nothing', async () => {
        const five = (): Readable => Readable.from(['123', '45']);
        await expect(store.put('a', five(), { maxBytes: 4 })).rejects.toBeInstanceOf(TooLarge);
        await expect(store.put('a', Buffer.from('12345'), { maxBytes: 4 })).rejects.toBeInstanceOf(TooLarge);
        expect(await store.stat('a')).toBeUndefined();
        await store.put('a', five(), { maxBytes: 5 });
        await expect(store.put('a', Readable.from(['a longer one']), { maxBytes: 5 })).rejects.toBeInstanceOf(TooLarge);
        expect(await read('a')).toBe('12345');
      });

      it('of a stream that breaks off rejects with its error and stores nothing', async () => {
        await store.put('a', Buffer.from('old'));
        const broken = new Error('the sender hung up');
        const content = (): Readable =>
          Readable.from(
            (async function* () {
              yield Buffer.from('half');
              throw broken;
            })(),
          );
        await expect(store.put('a', content())).rejects.toBe(broken);
        await expect(store.put('b', content())).rejects.toBe(broken);
        expect([await read('a'), await read('b'), await keys('')]).toEqual(['old', undefined, ['a']]);
      });

      it('of a stream that is closed before its end stores nothing', async () => {
        const content = new Readable({ read: () => {} });
        content.push('half');
        const put = store.put('a', content);
        content.destroy();
        await expect(put).rejects.toThrow();
        expect(await store.stat('a')).toBeUndefined();
      });
    });

    describe('a blob that expires', () => {
      it('is there until its time, and not from then on', async () => {
        const expiresAt = isoIn(HOUR_MS);
        expect(await store.put('a/b', Buffer.from('x'), { expiresAt })).toMatchObject({ expiresAt });
        await store.put('a/c', Buffer.from('y'));
        harness.clock.set(Date.parse(expiresAt) - 1);
        expect(await keys('')).toEqual(['a/b', 'a/c']);
        harness.clock.set(Date.parse(expiresAt));
        expect([await store.stat('a/b'), await store.get('a/b')]).toEqual([undefined, undefined]);
        expect(await keys('')).toEqual(['a/c']);
      });

      it('is removed and counted by one sweep', async () => {
        for (const key of ['a', 'b/c']) await store.put(key, Buffer.from('x'), { expiresAt: isoIn(HOUR_MS) });
        await store.put('kept', Buffer.from('x'), { expiresAt: isoIn(3 * HOUR_MS) });
        await store.put('for/ever', Buffer.from('x'));
        expect(await store.sweep()).toBe(0);
        harness.clock.advance(2 * HOUR_MS);
        expect([await store.sweep(), await store.sweep()]).toEqual([2, 0]);
        expect(await keys('')).toEqual(['for/ever', 'kept']);
      });

      it('can be put again', async () => {
        await store.put('a', Buffer.from('old'), { expiresAt: isoIn(HOUR_MS) });
        harness.clock.advance(2 * HOUR_MS);
        await store.put('a', Buffer.from('new'));
        expect([await store.sweep(), await read('a')]).toEqual([0, 'new']);
      });
    });

    describe('keys', () => {
      it('that look alike are kept apart, in byte order', async () => {
        for (const key of oddKeys.toReversed()) await store.put(key, Buffer.from(key));
        expect(await keys('')).toEqual(oddKeys);
        for (const key of oddKeys) expect([key, await read(key)]).toEqual([key, key]);
        for (const key of oddKeys) await store.delete(key);
        expect(await keys('')).toEqual([]);
      });

      it.each(illFormedKeys.map((key) => [JSON.stringify(key).slice(0, 40), key]))(
        'that are ill-formed are refused: %s',
        async (_, key) => {
          await expect(store.put(key, Buffer.from('x'))).rejects.toBeInstanceOf(InvalidKey);
          await expect(store.stat(key)).rejects.toBeInstanceOf(InvalidKey);
          await expect(store.get(key)).rejects.toBeInstanceOf(InvalidKey);
          await expect(store.delete(key)).rejects.toBeInstanceOf(InvalidKey);
          await expect(store.presign('GET', key, 1_000)).rejects.toBeInstanceOf(InvalidKey);
          expect(await keys('')).toEqual([]);
        },
      );
    });

    describe('a list', () => {
      beforeEach(async () => {
        for (const key of oddKeys) await store.put(key, Buffer.from(key));
      });

      it('holds what begins with the prefix', async () => {
        for (const prefix of [
          'a',
          'a/',
          'a/b',
          'l',
          'l'.repeat(80),
          'l'.repeat(100),
          'x/y/',
          'n',
          'q',
          '..',
          '/',
          'b/',
        ]) {
          const expected = oddKeys.filter((key) => key.startsWith(prefix));
          expect([prefix, await keys(prefix)]).toEqual([prefix, expected]);
        }
      });

      it('goes on after a key, whether there is such a key or not', async () => {
        for (const after of ['a', 'a/', 'a/b', 'a1', 'l'.repeat(80), '\uffff', ' ', 'zzz', '\u{10ffff}']) {
          const expected = oddKeys.filter((key) => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
          expect([after, await keys('', { after })]).toEqual([after, expected]);
        }
        expect(await keys('a', { after: 'a-b' })).toEqual(['a.', 'a/b', 'a/b/c', 'a0', 'aa']);
        expect(await keys('a/', { after: 'a/z' })).toEqual([]);
      });

      it('comes in pages that hold each key once', async () => {
        const pages: string[][] = [];
        for (let page = await keys('', { limit: 4 }); page.length > 0;) {
          pages.push(page);
          page = await keys('', { limit: 4, after: page.at(-1) ?? '' });
        }
        expect(pages.flat()).toEqual(oddKeys);
        expect(pages.every((page) => page.length <= 4)).toBe(true);
      });
    });

    describe('a presigned URL', () => {
      const key = 'tenant a/run+1/ü%.txt';

      it('lets its bearer read', async () => {
        await store.put(key, Buffer.from('content'), { contentType: 'text/plain' });
        const response = await harness.fetch(await store.presign('GET', key, HOUR_MS));
        expect(response.status).toBe(200);
        expect(response.headers.get('content-type')).toBe('text/plain');
        expect(response.headers.get('content-length')).toBe('7');
        expect(await response.text()).toBe('content');
      });

      it('lets its bearer write', async () => {
        const init = { method: 'PUT', body: 'content', headers: { 'content-type': 'image/png' } };
        const response = await harness.fetch(await store.presign('PUT', key, HOUR_MS), init);
        expect(response.status).toBe(200);
        expect(await store.stat(key)).toMatchObject({
          contentType: 'image/png',
          sizeBytes: 7,
          sha256: sha256('content'),
        });
        expect(await read(key)).toBe('content');
      });

      it('finds nothing where nothing is', async () => {
        expect((await harness.fetch(await store.presign('GET', key, HOUR_MS))).status).toBe(404);
      });

      it('is refused once it has expired', async () => {
        await store.put(key, Buffer.from('content'));
        const realMs = harness.clock.now();
        harness.clock.set(realMs - HOUR_MS);
        const [get, put] = [await store.presign('GET', key, 1_000), await store.presign('PUT', key, 1_000)];
        harness.clock.set(realMs);
        expect([403, 410]).toContain((await harness.fetch(get)).status);
        expect([403, 410]).toContain((await harness.fetch(put, { method: 'PUT', body: 'x' })).status);
        expect(await read(key)).toBe('content');
      });

      it('is refused for the other method', async () => {
        await store.put(key, Buffer.from('content'));
        const get = await store.presign('GET', key, HOUR_MS);
        const put = await store.presign('PUT', key, HOUR_MS);
        expect((await harness.fetch(get, { method: 'PUT', body: 'x' })).status).toBe(403);
        expect((await harness.fetch(put)).status).toBe(403);
        expect(await read(key)).toBe('content');
      });

      it('is refused for another key or another signature', async () => {
        await store.put('b', Buffer.from('secret'));
        const url = await store.presign('GET', 'a', HOUR_MS);
        const other = url.replace('/a?', '/b?');
        const forged = url.replace(/[0-9a-f]{8}(?=[0-9a-f]*$|&)/, (digits) =>
          (digits === '00000000' ? '1' : '0').repeat(8),
        );
        expect(new Set([url, other, forged]).size).toBe(3);
        for (const changed of [other, forged]) expect((await harness.fetch(changed)).status).toBe(403);
      });

      it('lasts at least a second', async () => {
        await expect(store.presign('GET', 'a', 999)).rejects.toBeInstanceOf(RangeError);
      });
    });

    /** A time so many ms from now, by the store's clock. */
    function isoIn(ms: number): string {
      return new Date(harness.clock.now() + ms).toISOString();
    }
  });
}
