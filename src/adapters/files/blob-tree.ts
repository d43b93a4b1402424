import { rmdir, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Unavailable } from '../../kernel/errors.js';
import type { BlobInfo } from '../../kernel/ports/blob-store.js';
import { orderedEntries, startsWith } from './blob-paths.js';
import { absent, listPlain, openListed } from './plain-files.js';

/** What an info file holds: the blob's info, and the name of its content file beside it. */
export interface StoredInfo extends BlobInfo {
  readonly content: string;
}

/**
 * Reads an info from its open file, and closes it.
 *
 * @throws Unavailable when it holds something else than an info.
 */
export async function readInfo(handle: FileHandle | undefined): Promise<StoredInfo | undefined> {
  if (!handle) return undefined;
  const text = await handle.readFile('utf8').finally(() => handle.close());
  const stored = parseInfo(text);
  // The name becomes part of a path, so it is checked even though we wrote it.
  if (!stored || !/^c-[0-9a-f-]{36}$/.test(stored.content)) throw new Unavailable('The info of a blob is damaged');
  return stored;
}

export interface WalkRange {
  /** Keys must begin with it. */
  readonly prefix: Buffer;
  /** Keys must come after it. */
  readonly after: Buffer;
}

/**
 * All infos below `folder` within `range`, by key in byte order, expired ones included. Folders that cannot hold such a
 * key are not read.
 *
 * @param path What all keys in `folder` begin with.
 */
export async function* walk(
  folder: string,
  range: WalkRange,
  path: Buffer = Buffer.alloc(0),
): AsyncGenerator<StoredInfo> {
  for (const entry of orderedEntries(path, await listPlain(folder))) {
    if (entry.kind === 'folder') {
      if (mayHold(entry.path, range)) yield* walk(join(folder, entry.name), range, entry.path);
    } else if (startsWith(entry.path, range.prefix) && Buffer.compare(entry.path, range.after) > 0) {
      const stored = await readInfo(await openListed(folder, entry.name));
      if (stored) yield stored;
    }
  }
}

/** Removes a folder and those above it up to `base`, as far as they are empty. */
export async function pruneFolders(folder: string, base: string): Promise<void> {
  for (let current = folder; current !== base; current = dirname(current)) {
    const removed = await rmdir(current).then(() => true, absent('ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR'));
    if (!removed) return;
  }
}

function mayHold(path: Buffer, { prefix, after }: WalkRange): boolean {
  const inPrefix = startsWith(path, prefix) || startsWith(prefix, path);
  return inPrefix && (Buffer.compare(path, after) > 0 || startsWith(after, path));
}

function parseInfo(text: string): StoredInfo | undefined {
  try {
    return JSON.parse(text) as StoredInfo;
  } catch {
    return undefined;
  }
}
