import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Lets the parent call functions of this process: the other half of `startProcess`. What they return travels as plain
 * data. The process ends, after its own `stop` when it has one, when the parent lets it go.
 *
 * @param {Record<string, (params: any) => unknown>} functions
 */
export function answerParent(functions) {
  process.on('message', async ({ id, name, params }) => {
    try {
      process.send({ id, result: await functions[name](params) });
    } catch (error) {
      process.send({ id, error: error instanceof Error ? error.stack : String(error) });
    }
  });
  process.on('disconnect', async () => {
    await functions.stop?.();
    process.exit(0);
  });
}

/** For a process that is the service: what `npm start` gives it on its command line. */
export const AS_STARTED = { execArgv: ['--max-semi-space-size=16'] };

/** Whether this file is the one that the process was started with. */
export function isEntry(url) {
  return process.argv[1] === fileURLToPath(url) && process.send !== undefined;
}

/**
 * Starts a file of this folder as a process of its own, so that what is measured and what measures share no event loop.
 *
 * @returns `call(name, params)` runs one of its functions; `stop()` lets it go and waits for its end.
 */
export function startProcess(url, { execArgv = [], env = {} } = {}) {
  const child = fork(fileURLToPath(url), [], {
    // An environment of its own: settings of the shell must not change what is measured.
    env: { PATH: process.env.PATH, ...env },
    execArgv: ['--disable-warning=ExperimentalWarning', ...execArgv],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  const calls = new Map();
  const exited = new Promise((resolve) => child.once('exit', resolve));
  let count = 0;
  child.on('message', ({ id, result, error }) => {
    const call = calls.get(id);
    calls.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error));
  });
  child.on('exit', (code, signal) => {
    for (const { reject } of calls.values()) reject(new Error(`${url} ended with ${signal ?? code}`));
    calls.clear();
  });
  return {
    call(name, params) {
      const { promise, resolve, reject } = Promise.withResolvers();
      const id = (count += 1);
      calls.set(id, { resolve, reject });
      child.send({ id, name, params });
      return promise;
    },
    async stop() {
      if (child.connected) child.disconnect();
      await exited;
    },
    exited,
  };
}

/** Runs `work` with a folder that is removed afterwards. */
export async function inFolder(work) {
  const folder = await mkdtemp(join(tmpdir(), 'runledger-bench-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs `work` with a process that is stopped afterwards. */
export async function withProcess(url, options, work) {
  const started = startProcess(url, options);
  try {
    return await work(started);
  } finally {
    await started.stop();
  }
}
