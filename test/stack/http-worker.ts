import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('./http-worker-process.mjs', import.meta.url));

/** A job that it has taken. */
export interface Claimed {
  /** The run. */
  readonly claimed: string;
  readonly attempt: number;
  readonly claim: string;
}

/** What its report of one was answered with. */
export interface Completed {
  readonly completed: string;
  readonly attempt: number;
  readonly status: number;
}

type Line = Claimed | Completed | { readonly kept: number };

export interface HttpWorkerOptions {
  readonly name: string;
  /** `hold` keeps what it takes first until it is told to report. */
  readonly mode: 'work' | 'hold';
  readonly kind: string;
  readonly leaseMs: number;
  readonly origins: readonly string[];
}

/** A worker from outside as a process, and what it has told. */
export class HttpWorker {
  readonly name: string;
  private text = '';
  private readonly child: ChildProcess;
  private readonly ended: Promise<unknown>;

  constructor({ name, mode, kind, leaseMs, origins }: HttpWorkerOptions) {
    this.name = name;
    this.child = spawn(process.execPath, [SCRIPT, name, mode, String(leaseMs), kind, ...origins], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.text += text));
    // What is written to one that was killed gets lost with it.
    this.child.stdin?.on('error', () => undefined);
    this.ended = once(this.child, 'close');
  }

  get claimed(): Claimed[] {
    return this.lines.filter((line): line is Claimed => 'claimed' in line);
  }

  get completed(): Completed[] {
    return this.lines.filter((line): line is Completed => 'completed' in line);
  }

  /** How often one that holds has kept all that it has. */
  get heartbeats(): number {
    return this.lines.filter((line) => 'kept' in line).length;
  }

  /** Lets one that holds report what it has. */
  report(): void {
    this.child.stdin?.write('report\n');
  }

  freeze(): void {
    this.child.kill('SIGSTOP');
  }

  thaw(): void {
    this.child.kill('SIGCONT');
  }

  /** As `kill -9` does; resolves when all that it had told is known. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }

  private get lines(): Line[] {
    // The last one may not be whole yet.
    const whole = this.text.slice(0, this.text.lastIndexOf('\n') + 1);
    return whole.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]));
  }
}
