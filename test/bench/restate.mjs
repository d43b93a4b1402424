/** Restate with a handler of five durable steps that do nothing: the peer of a run of five instant steps. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerParent, isEntry, startProcess } from './processes.mjs';

const PEERS = fileURLToPath(new URL('peers/', import.meta.url));
const START_LIMIT_MS = 60_000;

/** Installs what the benchmarks are compared with, when it is not there. */
export async function installPeers() {
  if (existsSync(join(PEERS, 'node_modules/@restatedev/restate-server'))) return;
  const install = spawn('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: PEERS, stdio: 'inherit' });
  const [code] = await once(install, 'exit');
  if (code !== 0) throw new Error('The peers could not be installed: npm ci in test/bench/peers failed');
}

/** Starts the server in `folder` and the handler beside it. @returns where to call it, its memory, and how to stop it. */
export async function startRestate(folder) {
  const [ingress, admin, node] = await freePorts(3);
  const server = spawn(binary(), ['--no-logo', '--listen-mode=tcp', '--bind-ip=127.0.0.1'], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      RESTATE_BASE_DIR: join(folder, 'restate'),
      RESTATE_BIND_PORT: String(node),
      RESTATE_INGRESS__BIND_PORT: String(ingress),
      RESTATE_ADMIN__BIND_PORT: String(admin),
      RESTATE_LOG_FILTER: 'error',
      RESTATE_DISABLE_TELEMETRY: 'true',
      DO_NOT_TRACK: '1',
    },
    stdio: 'ignore',
  });
  // A line of log per run would be a handicap.
  const handler = startProcess(import.meta.url, { env: { RESTATE_LOGGING: 'ERROR' } });
  const stop = async () => {
    server.kill('SIGTERM');
    if (server.exitCode === null) await once(server, 'exit');
    await handler.stop();
  };
  try {
    const uri = await handler.call('serve', { port: (await freePorts(1))[0] });
    await register(`http://127.0.0.1:${admin}`, uri, server);
  } catch (error) {
    await stop();
    throw error;
  }
  return { origin: `http://127.0.0.1:${ingress}`, path: '/bench/run', rssMb: () => rssOf(server.pid), stop };
}

function binary() {
  const require = createRequire(join(PEERS, 'package.json'));
  const platform = `${process.platform}-${process.arch}`;
  const manifest = require.resolve(`@restatedev/restate-server-${platform}/package.json`, {
    paths: [PEERS, dirname(require.resolve('@restatedev/restate-server/package.json'))],
  });
  return join(dirname(manifest), 'bin', 'restate-server');
}

async function register(admin, uri, server) {
  const deadline = Date.now() + START_LIMIT_MS;
  for (;;) {
    if (server.exitCode !== null) throw new Error(`Restate ended with ${server.exitCode}`);
    const answer = await fetch(`${admin}/deployments`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ uri }),
    }).catch(() => undefined);
    if (answer?.ok) return;
    if (Date.now() > deadline) throw new Error(`Restate did not take the handler: ${await answer?.text()}`);
    await sleep(100);
  }
}

async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function rssOf(pid) {
  const pages = Number(readFileSync(`/proc/${pid}/statm`, 'utf8').split(' ')[1]);
  return (pages * 4_096) / 1e6;
}

/** In the handler's process. */
async function serve({ port }) {
  const require = createRequire(join(PEERS, 'package.json'));
  const sdk = await import(pathToFileURL(require.resolve('@restatedev/restate-sdk')));
  const run = async (context) => {
    for (let step = 1; step <= 5; step++) await context.run(`step ${step}`, () => ({ step, ok: true }));
    return { status: 'completed' };
  };
  await sdk.serve({ port, services: [sdk.service({ name: 'bench', handlers: { run } })] });
  return `http://127.0.0.1:${port}`;
}

if (isEntry(import.meta.url)) answerParent({ serve });
