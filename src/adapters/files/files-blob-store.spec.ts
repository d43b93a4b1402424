import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { SettableClock } from '../../../test/support/settable-clock.js';
import { TooLarge, Unavailable } from '../../kernel/errors.js';
import { FilesBlobStore } from './files-blob-store.js';

const HOUR_MS = 3_600_000;

let parent: string;
let folder: string;
let clock: SettableClock;
let store: FilesBlobStore;

const open = (): FilesBlobStore =>
  new FilesBlobStore({ folder, publicUrl: 'http://ledger.test', signingKey: Buffer.alloc(32, 1), clock });

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'runledger-files-'));
  folder = join(parent, 'blobs');
  clock = new SettableClock(Date.now());
  store = open();
});
afterEach(() => rm(parent, { recursive: true }));

const files = async (): Promise<string[]> => (await readdir(folder, { recursive: true })).toSorted();
const contentFiles = async (): Promise<string[]> => (await files()).filter((name) => /(^|\/)c-/.test(name));
const read = async (key: string): Promise<string | undefined> => {
  const found = await store.get(key);
  return found && text(found.content);
};

describe('the folder of a files blob store', () => {
  it('holds one content and one info per blob, and nothing once it is deleted', async () => {
    await store.put('a/b', Buffer.from('old'));
    await store.put('a/b', Buffer.from('new'));
    expect(await files()).toEqual(['d-a', expect.stringMatching(/^d-a\/c-/), 'd-a/i-b']);
    await store.delete('a/b');
    expect(await files()).toEqual([]);
  });

  it('holds one content after twenty puts at once', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, n) => store.put('a', Buffer.from(`${n}`))));
    expect(await contentFiles()).toHaveLength(1);
  });

  it('holds no content of a put that failed', async () => {
    await expect(store.put('a', Buffer.from('xx'), { maxBytes: 1 })).rejects.toBeInstanceOf(TooLarge);
    await expect(store.put('a', Readable.from([{ no: 'bytes' }]))).rejects.toThrow('must be of type');
    expect(await files()).toEqual([]);
  });

  it('is shared by processes', async () => {
    const other = open();
    const puts = Array.from({ length: 20 }, (_, n) => (n % 2 ? other : store).put(`a/${n % 4}`, Buffer.from(`${n}`)));
    const deletes = Array.from({ length: 20 }, (_, n) => (n % 2 ? store : other).delete(`a/${n % 4}`));
    await Promise.all([...puts, ...deletes]);
    const keys = (await other.list('')).map(({ key }) => key);
    for (const key of keys) expect(await read(key)).toMatch(/^\d+$/);
  });

  it('may be a link that the operator made', async () => {
    await mkdir(join(parent, 'disk'));
    await symlink(join(parent, 'disk'), folder);
    await store.put('a', Buffer.from('x'));
    expect(await read('a')).toBe('x');
  });
});

describe('after a crash', () => {
  it('that left a content without an info, the blob is what it was', async () => {
    await store.put('a', Buffer.from('old'));
    await writeFile(join(folder, `c-${crypto.randomUUID()}`), 'new');
    await writeFile(join(folder, `t-${crypto.randomUUID()}`), '{"key":');
    store = open();
    expect([await read('a'), (await store.list('')).length]).toEqual(['old', 1]);
  });

  it('a sweep removes what was left, but nothing that is named or was written to within the hour', async () => {
    await store.put('a/b', Buffer.from('kept'));
    const [named = ''] = await contentFiles();
    const [old, young] = [`d-a/c-${crypto.randomUUID()}`, `d-a/c-${crypto.randomUUID()}`];
    const draft = `t-${crypto.randomUUID()}`;
    for (const name of [old, young, draft]) await writeFile(join(folder, name), 'x');
    await mkdir(join(folder, 'd-empty', 'd-too'), { recursive: true });
    const longAgo = new Date(clock.now() - HOUR_MS - 1);
    for (const name of [named, old, draft]) await utimes(join(folder, name), longAgo, longAgo);
    expect(await store.sweep()).toBe(0);
    expect(await files()).toEqual(['d-a', named, young, 'd-a/i-b'].toSorted());
    expect(await read('a/b')).toBe('kept');
  });
});

describe('links', () => {
  const canary = 'the canary';
  let outside: string;

  beforeEach(async () => {
    outside = join(parent, 'outside');
    await mkdir(outside);
    await writeFile(join(outside, 'canary'), canary);
    await store.put('a/b', Buffer.from('inside'));
  });

  it('in place of a content are not followed', async () => {
    const [content = ''] = await contentFiles();
    await rm(join(folder, content));
    await symlink(join(outside, 'canary'), join(folder, content));
    await expect(store.get('a/b')).rejects.toBeInstanceOf(Unavailable);
  });

  it('in place of an info are not followed, and a put replaces them', async () => {
    const info = join(folder, 'd-a', 'i-b');
    await rename(info, join(outside, 'info'));
    await symlink(join(outside, 'info'), info);
    expect([await store.stat('a/b'), await store.list('')]).toEqual([undefined, []]);
    await store.put('a/b', Buffer.from('new'));
    expect(await read('a/b')).toBe('new');
    expect(await readFile(join(outside, 'info'), 'utf8')).toContain('"key":"a/b"');
  });

  it('in place of a folder are neither read nor written through', async () => {
    await rename(join(folder, 'd-a'), join(outside, 'd-a'));
    await symlink(join(outside, 'd-a'), join(folder, 'd-a'));
    const before = await readdir(outside, { recursive: true });
    clock.advance(2 * HOUR_MS);
    expect([await store.stat('a/b'), await store.get('a/b'), await store.list('')]).toEqual([undefined, undefined, []]);
    for (const key of ['a/b', 'a/new', 'a/deep/new']) {
      await expect(store.put(key, Buffer.from('x'))).rejects.toBeInstanceOf(Unavailable);
    }
    await store.delete('a/b');
    await store.sweep();
    expect(await readdir(outside, { recursive: true })).toEqual(before);
  });

  it('are not made by an info that names a file elsewhere', async () => {
    const info = join(folder, 'd-a', 'i-b');
    const stored = JSON.parse(await readFile(info, 'utf8')) as Record<string, unknown>;
    for (const content of ['../../outside/canary', join(outside, 'canary'), `c-${'.'.repeat(36)}`]) {
      await writeFile(info, JSON.stringify({ ...stored, content }));
      await expect(store.get('a/b')).rejects.toBeInstanceOf(Unavailable);
      await expect(store.delete('a/b')).rejects.toBeInstanceOf(Unavailable);
    }
    expect(await readFile(join(outside, 'canary'), 'utf8')).toBe(canary);
  });
});

describe('a folder that cannot be used', () => {
  it('makes the store unavailable', async () => {
    await writeFile(folder, 'a file is in the way');
    await expect(store.put('a', Buffer.from('x'))).rejects.toBeInstanceOf(Unavailable);
    await expect(store.sweep()).resolves.toBe(0);
  });
});
