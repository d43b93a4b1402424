/** Servers on loopback, on ports that were free a moment ago. */
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

const LIMIT_MS = 60_000;
const LOOK_EVERY_MS = 200;

export async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Starts a program. `said()` is what it has printed; `end(signal)` ends it and gives its exit code or signal. */
export function start(program, args, options) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const ended = new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal));
    child.once('error', (error) => resolve(error.message));
  });
  const isOver = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  return {
    said: () => said,
    isOver,
    async end(signal = 'SIGTERM') {
      if (!isOver()) child.kill(signal);
      return ended;
    },
  };
}

/**
 * Looks until the condition gives something that is true.
 *
 * @throws Error with what the last look has thrown, when that takes more than a minute.
 */
export async function until(what, condition) {
  let reason = 'it never was so';
  for (const end = Date.now() + LIMIT_MS; Date.now() < end; await pause(LOOK_EVERY_MS)) {
    try {
      const found = await condition();
      if (found) return found;
    } catch (error) {
      reason = error.message;
    }
  }
  throw new Error(`Not within ${LIMIT_MS} ms: ${what}; ${reason}`);
}
