import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './until.js';

const SERVER = fileURLToPath(new URL('../faults/server.mjs', import.meta.url));
/** Below the range from which systems hand out free ports: nobody else takes it while the server is down. */
const PORTS = { from: 20_000, to: 30_000 };
const LAST_LINES = 20;

/** At which group of writes a server kills itself, counted from 1. */
export interface CutPoint {
  readonly before?: number;
  readonly after?: number;
}

export interface ServerProcessOptions {
  readonly dataDir: string;
  readonly env?: Readonly<Record<string, string>>;
  /** How long a start may take until the server is ready. */
  readonly recoveryLimitMs: number;
  /** Another script in the place of the one that can be told where to die, and what it is told. */
  readonly program?: readonly string[];
}

/** The service in a process of its own, on one folder and port, through any number of violent deaths. */
export class ServerProcess {
  /** From the start of each process to the moment it was ready, in ms. */
  readonly recoveriesMs: number[] = [];
  /** All that the service has logged, and all else that the process has written. */
  readonly lines: string[] = [];
  deaths = 0;
  private child: ChildProcess | undefined;
  private ended: Promise<number | null> = Promise.resolve(null);
  private up: Promise<void> = Promise.resolve();
  private stopping = false;
  private nextStart: CutPoint = {};

  private constructor(
    readonly port: number,
    private readonly options: ServerProcessOptions,
  ) {}

  /** Starts the service, and starts it again whenever it dies, until it is stopped. */
  static async start(options: ServerProcessOptions): Promise<ServerProcess> {
    const server = new ServerProcess(await freePort(), options);
    server.revive({});
    try {
      await server.ready();
    } catch (error) {
      await server.stop(0);
      throw error;
    }
    return server;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What was logged as an error, and what is no line of the log at all. */
  get errors(): string[] {
    return this.lines.filter((line) => !/^\{"level":[1-4]0,/.test(line));
  }

  get executions(): string {
    return join(this.options.dataDir, 'executions.jsonl');
  }

  get requests(): string {
    return join(this.options.dataDir, 'requests.txt');
  }

  /** Resolves when the present process is ready, or the one that follows it should it die before. */
  async ready(): Promise<void> {
    for (let waited: Promise<void> | undefined; waited !== this.up;) {
      waited = this.up;
      await waited;
    }
  }

  /**
   * Orders the process to kill itself there, or nowhere. Write groups are counted from this order.
   *
   * @returns how many there were since the last order, as `writes`.
   */
  arm(cut: CutPoint): Promise<number> {
    return this.ask({ arm: cut });
  }

  /** How many groups have been written since the last order, or since the start; -1 when the process died meanwhile. */
  writes(): Promise<number> {
    return this.ask({});
  }

  /** Waits until nothing is left to write, nor to send: what follows from earlier requests has come to rest. */
  async quiet(): Promise<void> {
    let last = -1;
    let same = 0;
    await until('the server has nothing left to write', async () => {
      const [writes, pending] = [await this.writes(), await this.webhooksPending()];
      same = writes === last && pending === 0 ? same + 1 : 0;
      last = writes;
      return same >= 3;
    });
  }

  /** A receiver that answers slowly lets nothing be written for a while: that is no rest. */
  private async webhooksPending(): Promise<number> {
    const answer = await fetch(`${this.origin}/metrics`).catch(() => undefined);
    const figures = (await answer?.text())?.matchAll(/^runledger_webhook_pending\{[^}]*\} (\d+)$/gm) ?? [];
    return [...figures].reduce((sum, [, count]) => sum + Number(count), answer ? 0 : 1);
  }

  /** Lets the next process die during its recovery already. */
  armNextStart(cut: CutPoint): void {
    this.nextStart = cut;
  }

  /** Kills the process as `kill -9` does, and waits until it is gone; another one follows. */
  async kill(): Promise<void> {
    const { ended } = this;
    this.child?.kill('SIGKILL');
    await ended;
  }

  /** Stops the process where it is: it answers nothing, and no time passes for it, until `thaw`. */
  freeze(): void {
    this.child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.child?.kill('SIGCONT');
  }

  /** Shifts all clocks on the wall that the process sees by so much; negative ones go back. */
  async shift(ms: number): Promise<void> {
    await this.ask({ shift: ms });
  }

  /** Sends SIGTERM, and starts nothing again. @returns the exit code; null when it had to be killed after `limitMs`. */
  async stop(limitMs = 30_000): Promise<number | null> {
    this.stopping = true;
    const { child } = this;
    child?.kill('SIGTERM');
    const timer = setTimeout(() => child?.kill('SIGKILL'), limitMs);
    const code = await this.ended;
    clearTimeout(timer);
    return code;
  }

  /** Starts the service again after `stop`. */
  async resume(): Promise<void> {
    this.stopping = false;
    this.revive({});
    await this.ready();
  }

  private revive(cut: CutPoint): void {
    const { dataDir, env = {}, program = [SERVER] } = this.options;
    const began = performance.now();
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...program], {
      env: {
        PATH: process.env['PATH'],
        NODE_COMPILE_CACHE: join(tmpdir(), 'runledger-compile-cache'),
        PORT: String(this.port),
        RUNLEDGER_DATA_DIR: dataDir,
        RUNLEDGER_LOG_LEVEL: 'error',
        FAULT_EXECUTIONS: this.executions,
        FAULT_REQUESTS: this.requests,
        ...(cut.before === undefined ? {} : { FAULT_KILL_BEFORE: String(cut.before) }),
        ...(cut.after === undefined ? {} : { FAULT_KILL_AFTER: String(cut.after) }),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child = child;
    child.on('error', () => undefined);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.lines.push(...text.split('\n').filter(Boolean)));
    }
    // With it everything that it had written has been read.
    const ended = once(child, 'close').then(([code, signal]) => {
      if (!this.stopping && signal === 'SIGKILL') {
        this.deaths += 1;
        const next = this.nextStart;
        this.nextStart = {};
        this.revive(next);
      } else if (!this.stopping) {
        this.up = Promise.reject(
          new Error(`The server ended by itself, with ${code ?? signal}:\n${this.lines.slice(-LAST_LINES).join('\n')}`),
        );
        this.up.catch(() => undefined);
      }
      return code as number | null;
    });
    this.ended = ended;
    this.up = this.untilReady(child).then((ready) => {
      if (ready) this.recoveriesMs.push(performance.now() - began);
    });
    // Whoever waits meets the failure; until then it must not count as unhandled.
    this.up.catch(() => undefined);
  }

  /** @returns false when the process ended before it was ready. */
  private untilReady(child: ChildProcess): Promise<boolean> {
    let last = 'no answer';
    const look = async (): Promise<'ready' | 'dead' | undefined> => {
      if (child.exitCode !== null || child.signalCode !== null) return 'dead';
      const answer = await fetch(`${this.origin}/readyz`).catch(() => undefined);
      if (answer?.status === 200) {
        await answer.body?.cancel();
        return 'ready';
      }
      last = (await answer?.text().catch(() => undefined)) ?? 'no answer';
      return undefined;
    };
    return until('the server is ready again', look, this.options.recoveryLimitMs).then(
      (state) => state === 'ready',
      (error: unknown) => {
        const told = [String(error), `/readyz: ${last}`, ...this.lines.slice(-LAST_LINES)];
        throw new Error(told.join('\n'), { cause: error });
      },
    );
  }

  private async ask(question: object): Promise<number> {
    const { child, ended } = this;
    if (!child) throw new Error('The server was never started');
    const { promise, resolve } = Promise.withResolvers<{ counted: number }>();
    child.once('message', resolve);
    // Sent to a process that is dying it gets lost, like its answer.
    child.send(question, () => undefined);
    const { counted } = await Promise.race([promise, ended.then(() => ({ counted: -1 }))]);
    child.off('message', resolve);
    return counted;
  }
}

async function freePort(): Promise<number> {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
}
