import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const LOOK_EVERY_MS = 20;
const START_LIMIT_MS = 30_000;
const STOP_LIMIT_MS = 10_000;
/** Below the range from which systems hand out free ports: nobody else takes it while the server is down. */
const PORTS = { from: 20_000, to: 30_000 };

/** All servers of this process: they end with it. */
const running = new Set();
process.on('exit', () => {
  for (const server of running) void server.kill();
});

/**
 * A server in a process of its own, on loopback, on a port that was free, in a temporary folder. It can be stopped,
 * killed, frozen and started again with the same port and content. It ends with us.
 */
export class ServerProcess {
  /** Whether servers are spared the signals that a terminal sends to all: whoever sets this ends them on such a signal. */
  static ownGroup = false;

  #command;
  #child;

  /**
   * @param command Given the port and the folder: `{ program, args, env }`.
   * @returns the server once it takes connections.
   */
  static async start(name, command) {
    const server = new ServerProcess();
    server.name = name;
    server.#command = command;
    server.port = await freePort();
    server.folder = await mkdtemp(join(tmpdir(), `runledger-${name}-`));
    running.add(server);
    try {
      await server.start();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  get pid() {
    return this.#child?.pid;
  }

  /** Starts it again after `stop` or `kill`. */
  async start() {
    const { program, args, env = {} } = await this.#command(this.port, this.folder);
    const log = openSync(this.logFile, 'a');
    const options = {
      cwd: this.folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log],
      detached: ServerProcess.ownGroup,
    };
    const child = spawn(program, args, options);
    closeSync(log);
    this.#child = child;
    let failed;
    child.once('error', (error) => (failed = error));
    for (const until = Date.now() + START_LIMIT_MS; !(await answers(this.port));) {
      if (failed || child.exitCode !== null || Date.now() > until) {
        throw new Error(`${this.name} did not start: ${failed ?? readFileSync(this.logFile, 'utf8').slice(-2_000)}`);
      }
      await pause(LOOK_EVERY_MS);
    }
  }

  get logFile() {
    return join(this.folder, 'server.log');
  }

  /** Lets it shut down in order; kills it when that takes too long. */
  async stop() {
    const child = this.#child;
    const late = setTimeout(() => child?.kill('SIGKILL'), STOP_LIMIT_MS);
    await this.#end('SIGTERM');
    clearTimeout(late);
  }

  async kill() {
    await this.#end('SIGKILL');
  }

  /** It keeps its connections and answers nothing, until `thaw`. */
  freeze() {
    this.#child?.kill('SIGSTOP');
  }

  thaw() {
    this.#child?.kill('SIGCONT');
  }

  /** Ends it and removes its folder. */
  async close() {
    await this.kill();
    running.delete(this);
    await rm(this.folder, { recursive: true, force: true });
  }

  async #end(signal) {
    const child = this.#child;
    this.#child = undefined;
    if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}

/** When a script is run by itself: starts the server, says where, and ends it on SIGINT or SIGTERM. */
export async function runAsScript(url, start) {
  if (process.argv[1] !== new URL(url).pathname) return;
  const server = await start();
  process.stdout.write(`${server.url}\n`);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void server.close());
}

async function freePort() {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * (PORTS.to - PORTS.from));
    const probe = createServer();
    const free = await new Promise((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
}

async function answers(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
