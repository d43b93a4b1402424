import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { contentType } from 'mime-types';
import type { BlobStore, BlobInfo } from '../../../kernel/ports/blob-store.js';
import type { Readable } from 'node:stream';
import { InvalidKey } from '../../../kernel/errors.js';
import { StepFailed } from '../agents/step-agent.js';
import { listFiles, workFolder } from '../agents/work-folder.js';
import { deploymentKeys } from './deployment-keys.js';

const OUTPUT = 'out/';

export interface DeploymentsOptions {
  readonly target: 'local' | 'none';
  readonly buildDir: string;
  /** Whether builds are made here. What an agent elsewhere has built cannot be published by us. */
  readonly buildsHere: boolean;
  /** Prefix of deployment URLs, without a trailing slash. Asked when something is published: the port may be a free one. */
  readonly publicUrl: () => string;
}

/** Publishes what was built, and serves it. */
export class Deployments {
  constructor(
    private readonly blobs: BlobStore,
    private readonly options: DeploymentsOptions,
  ) {}

  /**
   * Copies a run's `out/` folder to the artifacts. Doing so again puts the same files in the same places.
   *
   * @param buildPlan The builder's output; where it names files with their SHA-256, they must still be those.
   * @returns the address, ending with `/`; null when nothing is to be published, or nothing was built here.
   * @throws StepFailed when the build has changed since it was scanned.
   */
  async publish(runId: string, buildPlan: unknown, signal: AbortSignal): Promise<string | null> {
    if (this.options.target === 'none') return null;
    const folder = workFolder(this.options.buildDir, runId);
    const files = (await listFiles(folder)).filter((path) => path.startsWith(OUTPUT));
    const planned = plannedHashes(buildPlan);
    if (files.length === 0 && (planned.size === 0 || !this.options.buildsHere)) return null;
    const built = new Set(files);
    for (const path of planned.keys()) if (!built.has(path)) throw new StepFailed(`The build lacks ${path}`);
    for (const path of files) {
      signal.throwIfAborted();
      const content = await readFile(join(folder, path));
      const wanted = planned.get(path);
      if (wanted === undefined || createHash('sha256').update(content).digest('hex') !== wanted) {
        throw new StepFailed(`The build has changed since it was scanned: ${path}`);
      }
      const type = contentType(path.slice(path.lastIndexOf('/') + 1)) || 'application/octet-stream';
      await this.blobs.put(blobKey(runId, path.slice(OUTPUT.length)), content, { contentType: type });
    }
    return `${this.options.publicUrl()}/deployments/${encodeURIComponent(runId)}/`;
  }

  /** A published file, or a folder's `index.html`; undefined when there is none. */
  async open(runId: string, path: string): Promise<{ info: BlobInfo; content: Readable } | undefined> {
    const wanted = path === '' || path.endsWith('/') ? `${path}index.html` : path;
    try {
      return await this.blobs.get(blobKey(runId, wanted));
    } catch (error) {
      if (error instanceof InvalidKey) return undefined;
      throw error;
    }
  }
}

function blobKey(runId: string, path: string): string {
  return deploymentKeys(runId) + path;
}

/** SHA-256 by path, of the built files that a plan names. */
function plannedHashes(buildPlan: unknown): Map<string, string> {
  const { files } = (buildPlan ?? {}) as { files?: unknown };
  const hashes = new Map<string, string>();
  for (const file of Array.isArray(files) ? (files as unknown[]) : []) {
    const { path, sha256 } = (file ?? {}) as { path?: unknown; sha256?: unknown };
    if (typeof path === 'string' && path.startsWith(OUTPUT) && typeof sha256 === 'string') hashes.set(path, sha256);
  }
  return hashes;
}
