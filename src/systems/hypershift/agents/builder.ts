import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
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

/**
 * Writes a project for the blueprint into the run's work folder, and builds it there in a process of its own. The folder
 * stays, for Sentinel and for publishing; a later attempt of the same run begins with an empty one.
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
    return this.slots.use(signal, async () => {
      await onDisk(() => writeProject(folder, files));
      await runBuild(folder, 'build.cjs', { timeoutMs: this.timeoutMs, signal });
      const built = await onDisk(() => readOutput(folder));
      return {
        buildSteps: [
          `Generated ${files.length} source files`,
          'Ran node build.cjs',
          `Wrote ${built.length} files to ${OUTPUT_DIR}/`,
        ],
        outputDir: OUTPUT_DIR,
        files: [...files.map(({ path, content }) => entry(path, Buffer.from(content))), ...built].sort((a, b) =>
          a.path < b.path ? -1 : 1,
        ),
      };
    });
  }
}

async function writeProject(folder: string, files: readonly ProjectFile[]): Promise<void> {
  await rm(folder, { recursive: true, force: true });
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
