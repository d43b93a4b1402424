import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { runBuild } from './build-process.js';
import { type ProjectFile, projectFiles } from './builder-templates.js';
import { Slots } from './slots.js';
import { type StepAgent, type StepContext, StepFailed, type StepInputs } from './step-agent.js';
import { listFiles, workFolder } from './work-folder.js';

export interface BuilderOptions {
  /** Where the work folders are made; created when missing. */
  readonly baseDir: string;
  /** How many builds run at once, at least 1. @default the number of CPUs */
  readonly concurrency?: number;
  /** How long the build script may run, in ms. @default 60_000 */
  readonly timeoutMs?: number;
}

/** The builder's output. Paths are relative to the work folder and written with `/`. */
export interface BuildPlan {
  readonly buildSteps: readonly string[];
  readonly outputDir: 'out';
  /** Every generated and every built file, by path; `sha256` in hex. */
  readonly files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[];
}

const OUTPUT_DIR = 'out';
/** How a folder that is not empty refuses to be replaced. */
const TAKEN: ReadonlySet<string> = new Set(['ENOTEMPTY', 'EEXIST']);

/**
 * Writes a project for the blueprint into a folder of its own, and builds it there in a process of its own. What is ready
 * becomes the run's work folder, and stays, for Sentinel and for publishing.
 *
 * Two attempts of one run may build at the same time: a worker that lost its lease, and the one that has it. They build
 * the same, and neither sees what the other has not finished.
 */
export class Builder implements StepAgent {
  readonly name = 'builder';
  private readonly baseDir: string;
  private readonly timeoutMs: number;
  private readonly slots: Slots;

  constructor({ baseDir, concurrency = availableParallelism(), timeoutMs = 60_000 }: BuilderOptions) {
    this.baseDir = baseDir;
    this.timeoutMs = timeoutMs;
    this.slots = new Slots(concurrency);
  }

  /** @throws StepFailed when the build fails, takes too long, or cannot be written to disk. */
  async run(inputs: StepInputs, context: StepContext): Promise<BuildPlan> {
    const { runId, codename, signal } = context;
    const files = projectFiles({ runId, codename, userIntent: inputs.userIntent, blueprint: inputs.blueprint });
    const folder = workFolder(this.baseDir, runId);
    const draft = `${folder}.${randomUUID()}`;
    return this.slots.use(signal, async () => {
      try {
        await onDisk(() => writeProject(draft, files));
        await runBuild(draft, 'build.cjs', { timeoutMs: this.timeoutMs, signal });
        const built = await onDisk(() => readOutput(draft));
        const entries = [...files.map(({ path, content }) => entry(path, Buffer.from(content))), ...built];
        entries.sort((a, b) => (a.path < b.path ? -1 : 1));
        await onDisk(() => putInPlace(draft, folder, entries));
        return {
          buildSteps: [
            `Generated ${files.length} source files`,
            'Ran node build.cjs',
            `Wrote ${built.length} files to ${OUTPUT_DIR}/`,
          ],
          outputDir: OUTPUT_DIR,
          files: entries,
        };
      } finally {
        await onDisk(() => rm(draft, { recursive: true, force: true }));
      }
    });
  }
}

async function writeProject(folder: string, files: readonly ProjectFile[]): Promise<void> {
  const folders = new Set(files.map(({ path }) => dirname(join(folder, path))));
  await Promise.all(Array.from(folders, (path) => mkdir(path, { recursive: true })));
  await Promise.all(files.map(({ path, content }) => writeFile(join(folder, path), content)));
}

async function readOutput(folder: string): Promise<BuildPlan['files']> {
  const paths = await listFiles(join(folder, OUTPUT_DIR));
  return Promise.all(
    paths.map(async (path) => entry(`${OUTPUT_DIR}/${path}`, await readFile(join(folder, OUTPUT_DIR, path)))),
  );
}

/** Makes the draft the work folder. One that another attempt has put there stays: somebody may be reading it. */
async function putInPlace(draft: string, folder: string, files: BuildPlan['files']): Promise<void> {
  for (;;) {
    try {
      await rename(draft, folder);
      return;
    } catch (error) {
      if (!TAKEN.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    }
    if (await holds(folder, files)) return;
    await rm(folder, { recursive: true, force: true });
  }
}

async function holds(folder: string, files: BuildPlan['files']): Promise<boolean> {
  const paths = await listFiles(folder);
  if (paths.length !== files.length) return false;
  for (const [index, path] of paths.entries()) {
    const wanted = files[index];
    // One that cannot be read is none of these: another attempt is removing it.
    const content = await readFile(join(folder, path)).catch(() => undefined);
    if (!content || wanted?.path !== path || entry(path, content).sha256 !== wanted.sha256) return false;
  }
  return true;
}

const entry = (path: string, content: Buffer): BuildPlan['files'][number] => ({
  path,
  bytes: content.length,
  sha256: createHash('sha256').update(content).digest('hex'),
});

/** Errors of the file system name absolute paths, which users must not see; the cause keeps them for the log. */
async function onDisk<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new StepFailed('Work folder cannot be used', { cause });
  }
}
