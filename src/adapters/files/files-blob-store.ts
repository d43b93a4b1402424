import { createHash, randomUUID } from 'node:crypto';
import { lstat, mkdir, realpath, rename, rm, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { assertBlobKey } from '../../kernel/blob-key.js';
import { TooLarge, Unavailable } from '../../kernel/errors.js';
import { BlobStore, type BlobInfo, type PutOptions } from '../../kernel/ports/blob-store.js';
import type { Clock } from '../../kernel/ports/clock.js';
import { PresignedUrls } from '../../kernel/presigned-url.js';
import { locate, orderedEntries } from './blob-paths.js';
import { pruneFolders, readInfo, walk, type StoredInfo } from './blob-tree.js';
import {
  absent,
  createPlain,
  errorCode,
  listPlain,
  makeFolders,
  openListed,
  openPlain,
  syncFolder,
} from './plain-files.js';

export interface FilesBlobStoreOptions {
  /** Made when it is not there. Several processes may share it. */
  readonly folder: string;
  /** See `PresignedUrls`. */
  readonly publicUrl: string;
  readonly signingKey: Buffer;
  readonly clock: Clock;
}

/** Files that no info names are leftovers of a crash once nobody has written to them for so long. */
const LEFTOVER_MS = 3_600_000;

/** Another process may replace a blob, or remove a folder that became empty, between two steps of ours. */
const ATTEMPTS = 10;

/**
 * Blobs as files below a folder; `blob-paths.ts` says where.
 *
 * A content file has a name of its own and never changes. The info file names it and is renamed into place last: this
 * rename is the moment at which the blob changes, content and info at once. A crash leaves files that no info names, and
 * `sweep` removes them.
 */
export class FilesBlobStore extends BlobStore {
  private readonly folder: string;
  private readonly clock: Clock;
  private readonly urls: PresignedUrls;
  private readonly commits = new Map<string, Promise<unknown>>();

  constructor(options: FilesBlobStoreOptions) {
    super();
    this.folder = options.folder;
    this.clock = options.clock;
    this.urls = new PresignedUrls(options);
  }

  override async put(key: string, content: Readable | Uint8Array, options: PutOptions = {}): Promise<BlobInfo> {
    const { contentType = 'application/octet-stream', expiresAt, maxBytes = Infinity } = options;
    // The stream may fail while nobody reads it yet; reading it then gives the error again.
    if (content instanceof Readable) content.on('error', () => {});
    try {
      assertBlobKey(key);
      const expires = expiresAt === undefined ? null : new Date(expiresAt).toISOString();
      return await available(async () => {
        const { folder, name, handle } = await this.createContent(key);
        try {
          const { sizeBytes, sha256 } = await writeAll(handle, content, maxBytes).finally(() => handle.close());
          const info = { key, sizeBytes, contentType, sha256, storedAt: this.clock.iso(), expiresAt: expires };
          await this.commit(folder, { ...info, content: name });
          return info;
        } catch (error) {
          await rm(join(folder, name), { force: true });
          throw error;
        }
      });
    } catch (error) {
      // Whoever feeds the stream must not wait for a reader that is gone.
      if (content instanceof Readable) content.destroy();
      throw error;
    }
  }

  override async stat(key: string): Promise<BlobInfo | undefined> {
    assertBlobKey(key);
    const stored = await available(() => this.current(key));
    return stored && publicInfo(stored);
  }

  override async get(
    key: string,
    range?: { readonly start: number; readonly end: number },
  ): Promise<{ readonly info: BlobInfo; readonly content: Readable } | undefined> {
    assertBlobKey(key);
    return available(async () => {
      let missing: string | undefined;
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const stored = await this.current(key);
        if (!stored) return undefined;
        const handle = await openPlain(await this.folderOf(key), stored.content);
        if (handle) return { info: publicInfo(stored), content: await streamRange(handle, stored.sizeBytes, range) };
        // Replaced since its info was read; or lost, if the info still names it.
        if (stored.content === missing) throw new Unavailable('The content of a blob is lost');
        missing = stored.content;
      }
      throw new Unavailable('A blob changes faster than it can be read');
    });
  }

  override async list(
    prefix: string,
    options: { readonly after?: string; readonly limit?: number } = {},
  ): Promise<readonly BlobInfo[]> {
    const { after = '', limit = 1_000 } = options;
    if (limit <= 0) return [];
    return available(async () => {
      const found: BlobInfo[] = [];
      for await (const stored of walk(await this.base(), { prefix: Buffer.from(prefix), after: Buffer.from(after) })) {
        if (this.isOver(stored)) continue;
        found.push(publicInfo(stored));
        if (found.length >= limit) break;
      }
      return found;
    });
  }

  override async delete(key: string): Promise<void> {
    assertBlobKey(key);
    await available(() => this.remove(key, () => true));
  }

  override async sweep(): Promise<number> {
    return available(async () => this.sweepFolder(await this.base()));
  }

  override async presign(method: 'GET' | 'PUT', key: string, expiresInMs: number): Promise<string> {
    return this.urls.sign(method, key, expiresInMs);
  }

  override async close(): Promise<void> {
    await Promise.allSettled(this.commits.values());
  }

  /** The folder without links, which it may itself be: the operator put it there. Made anew if it was removed. */
  private async base(): Promise<string> {
    const found = await realpath(this.folder).catch(absent('ENOENT'));
    if (found !== undefined) return found;
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    return realpath(this.folder);
  }

  private async folderOf(key: string): Promise<string> {
    return join(await this.base(), ...locate(key).folders);
  }

  private async current(key: string): Promise<StoredInfo | undefined> {
    const stored = await readInfo(await openPlain(await this.folderOf(key), locate(key).infoName));
    return stored && !this.isOver(stored) ? stored : undefined;
  }

  private isOver({ expiresAt }: StoredInfo): boolean {
    return expiresAt !== null && Date.parse(expiresAt) <= this.clock.now();
  }

  private async createContent(key: string): Promise<{ folder: string; name: string; handle: FileHandle }> {
    const name = `c-${randomUUID()}`;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const folder = await makeFolders(await this.base(), locate(key).folders);
        return { folder, name, handle: await createPlain(folder, name) };
      } catch (error) {
        if (errorCode(error) !== 'ENOENT' || attempt === ATTEMPTS) throw error;
      }
    }
  }

  private async commit(folder: string, stored: StoredInfo): Promise<void> {
    const { infoName } = locate(stored.key);
    await this.exclusively(stored.key, async () => {
      const draft = `t-${randomUUID()}`;
      const handle = await createPlain(folder, draft);
      let replaced: StoredInfo | undefined;
      try {
        await writeAll(handle, Buffer.from(JSON.stringify(stored)), Infinity).finally(() => handle.close());
        // A sweep takes an upload that stood still for an hour for a leftover.
        const swept = !(await lstat(join(folder, stored.content)).catch(absent('ENOENT')));
        if (swept) throw new Unavailable('An upload stood still for too long');
        replaced = await readInfo(await openPlain(folder, infoName));
        await rename(join(folder, draft), join(folder, infoName));
      } catch (error) {
        await rm(join(folder, draft), { force: true });
        throw error;
      }
      await syncFolder(folder);
      if (replaced) await rm(join(folder, replaced.content), { force: true });
    });
  }

  /** Removes a blob for which `when` holds at the moment of the removal. @returns whether there was one. */
  private async remove(key: string, when: (stored: StoredInfo) => boolean): Promise<boolean> {
    const { infoName } = locate(key);
    const folder = await this.folderOf(key);
    return this.exclusively(key, async () => {
      const stored = await readInfo(await openPlain(folder, infoName));
      if (!stored || !when(stored)) return false;
      await unlink(join(folder, infoName)).catch(absent('ENOENT'));
      await rm(join(folder, stored.content), { force: true });
      await syncFolder(folder).catch(absent('ENOENT'));
      await pruneFolders(folder, await this.base());
      return true;
    });
  }

  /** Commits to one key come one after another: two at once would replace the same content, and forget one of theirs. */
  private async exclusively<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.commits.get(key) ?? Promise.resolve();
    const running = before.then(work, work);
    this.commits.set(key, running);
    try {
      return await running;
    } finally {
      if (this.commits.get(key) === running) this.commits.delete(key);
    }
  }

  /** @returns how many blobs had expired in the folder and below. Leftovers are removed but not counted. */
  private async sweepFolder(folder: string): Promise<number> {
    const names = await listPlain(folder);
    // Ages first, infos second: what is named by then is not lost, however old it is.
    const idle = await this.idleFiles(folder, names);
    let removed = 0;
    for (const { name, kind } of orderedEntries(Buffer.alloc(0), names)) {
      if (kind === 'folder') {
        removed += await this.sweepFolder(join(folder, name));
        continue;
      }
      const stored = await readInfo(await openListed(folder, name));
      if (!stored) continue;
      idle.delete(stored.content);
      if (this.isOver(stored) && (await this.remove(stored.key, (latest) => this.isOver(latest)))) removed += 1;
    }
    for (const name of idle) await rm(join(folder, name), { force: true });
    await pruneFolders(folder, await this.base());
    return removed;
  }

  private async idleFiles(folder: string, names: readonly string[]): Promise<Set<string>> {
    const idle = new Set<string>();
    for (const name of names) {
      if (!/^[ct]-/.test(name)) continue;
      const found = await lstat(join(folder, name)).catch(absent('ENOENT'));
      if (found && found.mtimeMs < this.clock.now() - LEFTOVER_MS) idle.add(name);
    }
    return idle;
  }
}

/** Carries an error of the caller's stream past the mapping of our own errors. */
class SourceFailed extends Error {}

/** Writes everything and syncs it. @throws TooLarge, SourceFailed */
async function writeAll(
  handle: FileHandle,
  content: Readable | Uint8Array,
  maxBytes: number,
): Promise<{ sizeBytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of content instanceof Readable ? chunksOf(content) : [content]) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > maxBytes) throw new TooLarge(`The content exceeds ${maxBytes} bytes`, maxBytes);
    hash.update(chunk);
    await handle.writeFile(chunk); // writes on from where the last one ended
  }
  await handle.sync();
  return { sizeBytes, sha256: hash.digest('hex') };
}

async function* chunksOf(source: Readable): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of source) yield Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk as string | Uint8Array);
  } catch (error) {
    throw new SourceFailed('The content broke off', { cause: error });
  }
}

async function streamRange(
  handle: FileHandle,
  sizeBytes: number,
  range: { readonly start: number; readonly end: number } = { start: 0, end: sizeBytes },
): Promise<Readable> {
  const start = Math.max(0, range.start);
  const end = Math.min(range.end, sizeBytes - 1);
  if (start <= end) return handle.createReadStream({ start, end });
  await handle.close();
  return Readable.from([]);
}

function publicInfo({ key, sizeBytes, contentType, sha256, storedAt, expiresAt }: StoredInfo): BlobInfo {
  return { key, sizeBytes, contentType, sha256, storedAt, expiresAt };
}

/** The disk's errors are the store's: full, read-only, gone. Errors of the caller's stream stay what they are. */
async function available<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SourceFailed) throw error.cause;
    const code = errorCode(error);
    const ours = error instanceof Unavailable || error instanceof TooLarge;
    if (ours || code === undefined) throw error;
    throw new Unavailable(`The blob folder cannot be used (${code})`, { cause: error });
  }
}
