import { spawn } from 'node:child_process';
import { maskSecrets } from './secrets.js';
import { StepFailed } from './step-agent.js';

export interface BuildOptions {
  /** After so many ms the build is killed. */
  readonly timeoutMs: number;
  /** Kills the build when it fires. */
  readonly signal: AbortSignal;
}

const MAX_CAPTURED_CHARS = 16_384;
const MAX_DETAIL_CHARS = 200;

/**
 * Runs the build script of a work folder in a process of its own, without a shell and with an empty environment, and
 * waits for its end. When it is cut short, everything that it started in its process group is killed with it.
 *
 * @param script The script's name in the folder.
 * @throws StepFailed when it cannot be started, does not exit with 0, or takes too long.
 * @throws The signal's reason when that fires.
 */
export async function runBuild(folder: string, script: string, { timeoutMs, signal }: BuildOptions): Promise<void> {
  signal.throwIfAborted();
  const child = spawn(process.execPath, [script], {
    cwd: folder,
    env: {},
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    if (output.length < MAX_CAPTURED_CHARS) output += chunk.slice(0, MAX_CAPTURED_CHARS - output.length);
  });
  let late = false;
  const kill = (): void => {
    if (child.pid !== undefined) killGroup(child.pid);
    // What left the group may hold the other end open, and must not make us wait.
    child.stderr.destroy();
  };
  const timer = setTimeout(() => {
    late = true;
    kill();
  }, timeoutMs);
  signal.addEventListener('abort', kill, { once: true });
  try {
    const { code, killedBy } = await endOf(child);
    signal.throwIfAborted();
    if (late) throw new StepFailed(`Build took longer than ${timeoutMs} ms`);
    if (code !== 0) throw new StepFailed(`Build ended with ${killedBy ?? `exit code ${code}`}${detailOf(output)}`);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', kill);
  }
}

function endOf(child: ReturnType<typeof spawn>): Promise<{ code: number | null; killedBy: string | null }> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new StepFailed('Build could not be started', { cause })));
    child.once('close', (code, killedBy) => resolve({ code, killedBy }));
  });
}

/** Only a line that the script means for its readers: stack traces would show where on the server it ran. */
function detailOf(output: string): string {
  const line = output.split('\n').find((candidate) => candidate.startsWith('build: '));
  return line === undefined ? '' : `: ${maskSecrets(line.slice('build: '.length)).slice(0, MAX_DETAIL_CHARS)}`;
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
