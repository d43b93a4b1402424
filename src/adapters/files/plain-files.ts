import { constants } from 'node:fs';
import { lstat, mkdir, open, readdir, realpath, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { Unavailable } from '../../kernel/errors.js';

/** Windows has no such flag; there the check of the folder has to do. */
const NO_FOLLOW = constants.O_NOFOLLOW ?? 0;

/**
 * Opens a file for reading that is no link and has none above it.
 *
 * @param folder Absolute path that holds no link itself when nobody has tampered with it.
 * @returns undefined when there is no such plain file.
 */
export async function openPlain(folder: string, name: string): Promise<FileHandle | undefined> {
  return (await isPlainFolder(folder)) ? openListed(folder, name) : undefined;
}

/** The same for a folder that `listPlain` led to, one by one from the top. */
export async function openListed(folder: string, name: string): Promise<FileHandle | undefined> {
  const flags = constants.O_RDONLY | NO_FOLLOW;
  const handle = await open(join(folder, name), flags).catch(absent('ENOENT', 'ELOOP', 'ENOTDIR'));
  if (!handle || (await handle.stat()).isFile()) return handle;
  await handle.close();
  return undefined;
}

/** Makes a new file for writing; fails when the name is taken, even by a link. */
export async function createPlain(folder: string, name: string): Promise<FileHandle> {
  return open(join(folder, name), 'wx', 0o600);
}

/**
 * Makes the folders below `base` one by one, durably.
 *
 * @throws Unavailable when something else than a folder is in the way, a link to a folder included.
 */
export async function makeFolders(base: string, names: readonly string[]): Promise<string> {
  const whole = join(base, ...names);
  if (await isPlainFolder(whole)) return whole;
  let folder = base;
  for (const name of names) {
    const above = folder;
    folder = join(above, name);
    const made = await mkdir(folder, 0o700).then(() => true, absent('EEXIST'));
    if (made) await syncFolder(above);
    else if (!(await lstat(folder)).isDirectory()) throw new Unavailable('The blob folder holds something foreign');
  }
  return folder;
}

/** Names of the files and folders in a folder, without links; none when it is gone. */
export async function listPlain(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(absent('ENOENT', 'ENOTDIR'));
  return (entries ?? []).filter((entry) => entry.isFile() || entry.isDirectory()).map(({ name }) => name);
}

/** Makes renames and new names in a folder survive a power cut. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return; // cannot open folders
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** For `catch`: turns errors with these codes into undefined, and throws the others again. */
export function absent(...codes: readonly string[]): (error: unknown) => undefined {
  return (error) => {
    if (!codes.includes(errorCode(error) ?? '')) throw error;
    return undefined;
  };
}

export function errorCode(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

async function isPlainFolder(folder: string): Promise<boolean> {
  return (await realpath(folder).catch(absent('ENOENT', 'ENOTDIR', 'ELOOP'))) === folder;
}
