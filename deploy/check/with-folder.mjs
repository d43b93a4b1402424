import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Lends a temporary folder to some work, and removes it. */
export async function withFolder(work) {
  const folder = await mkdtemp(join(tmpdir(), 'runledger-deploy-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
