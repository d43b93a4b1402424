import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The folder in which a run's project is written and built. The same for every call with the same arguments.
 *
 * @param runId Untrusted: anything but the form that we give to run ids is replaced by its digest.
 */
export function workFolder(baseDir: string, runId: string): string {
  const isOurs = runId.length <= 64 && /^req-[0-9a-z]+-[0-9a-z]+$/.test(runId);
  return join(baseDir, isOurs ? runId : `other-${createHash('sha256').update(runId).digest('hex').slice(0, 40)}`);
}

/**
 * Paths of all regular files below a folder, relative to it, with `/`, sorted by code unit. Symbolic links are neither
 * listed nor followed. Empty when there is no such folder.
 */
export async function listFiles(folder: string): Promise<readonly string[]> {
  const files: string[] = [];
  const pending = [''];
  for (let prefix = pending.pop(); prefix !== undefined; prefix = pending.pop()) {
    for (const entry of await entriesOf(join(folder, prefix))) {
      if (entry.isDirectory()) pending.push(`${prefix}${entry.name}/`);
      else if (entry.isFile()) files.push(`${prefix}${entry.name}`);
    }
  }
  return files.sort();
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
