/**
 * `npm run stack`: the production stack on this machine, to be looked at and tried. EventStoreDB (the tests' double, or
 * what `TEST_EVENTSTORE_URL` names), FerretDB, NATS and S3, each in a temporary folder; and two processes of each role,
 * behind one address. `PORT` says which (default 3000); all other settings of the service are taken over as they stand,
 * so `WEBHOOK_URL` and `PIPELINE_STEP_DELAY_MS` do what the README's tour says. Ends on SIGINT and SIGTERM.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { SystemClock } from '../../dist/src/adapters/system/system-clock.js';
import { S3BlobStore } from '../../dist/src/adapters/s3/s3-blob-store.js';
import { startFerretDb } from '../support/servers/ferretdb.mjs';
import { startNatsServer } from '../support/servers/nats.mjs';
import { startS3 } from '../support/servers/s3.mjs';
import { ServerProcess } from '../support/servers/server-process.mjs';
import { Balancer } from './balancer.mjs';

const DOUBLE = fileURLToPath(new URL('../support/eventstoredb/serve.mjs', import.meta.url));
const RUNLEDGER = fileURLToPath(new URL('../../bin/runledger.mjs', import.meta.url));
const ROLES = ['api', 'projector', 'dispatcher', 'worker'];
const PROCESSES_OF_A_ROLE = 2;
const READY_LIMIT_MS = 60_000;

/** What is to be ended, in the opposite order of its beginning. Whatever starts together ends together. */
const ends = [];

// Ctrl-C reaches the whole group of a terminal: what we start must outlive it, to be stopped in order.
ServerProcess.ownGroup = true;

const stopped = new Promise((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => resolve(signal));
});
try {
  await start();
  say(`Stopping on ${await stopped}.`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
} finally {
  for (const end of ends.toReversed()) await end();
}

async function start() {
  const env = await startServers();
  const buildDir = await mkdtemp(join(tmpdir(), 'runledger-builds-'));
  ends.push(() => rm(buildDir, { recursive: true, force: true }));
  const apis = [];
  const balancer = await Balancer.open(apis, Number(process.env.PORT || 3000));
  ends.push(() => balancer.close());
  Object.assign(env, {
    RUNLEDGER_SIGNING_KEY: process.env.RUNLEDGER_SIGNING_KEY || newKey(),
    RUNLEDGER_PUBLIC_URL: process.env.RUNLEDGER_PUBLIC_URL || balancer.url,
    DEPLOY_BUILD_BASE_DIR: process.env.DEPLOY_BUILD_BASE_DIR || buildDir,
  });
  const names = ROLES.flatMap((role) => Array.from({ length: PROCESSES_OF_A_ROLE }, () => role));
  const processes = [];
  ends.push(() => Promise.all(processes.map((each) => each.stop().then(() => each.close()))));
  const starting = names.map((role, index) => startProcess(role, `${role}-${(index % PROCESSES_OF_A_ROLE) + 1}`, env));
  for (const begun of await Promise.allSettled(starting)) {
    if (begun.status === 'rejected') throw begun.reason;
    processes.push(begun.value);
  }
  await Promise.all(processes.map(untilReady));
  apis.push(...processes.filter(({ name }) => name.startsWith('api-')).map(({ port }) => port));
  for (const { name, port, pid, logFile } of processes)
    say(`${name}  http://127.0.0.1:${port}  pid ${pid}  ${logFile}`);
  say(`Ready: ${balancer.url} goes to each API process in turn. Ctrl-C stops everything.`);
}

/** @returns the settings that name the servers. */
async function startServers() {
  const server = async (name, named, begin) => {
    if (named) return named;
    const started = await begin();
    ends.push(() => started.close());
    say(`${name}  ${started.url ?? ''}  pid ${started.pid}  ${started.logFile}`);
    return started.url;
  };
  const { TEST_EVENTSTORE_URL, TEST_MONGODB_URL, TEST_NATS_URL, TEST_S3_URL } = process.env;
  const eventStore = await server('EventStoreDB (double)', TEST_EVENTSTORE_URL, startDouble);
  const mongo = await server('MongoDB (FerretDB)', TEST_MONGODB_URL, startFerretDb);
  const nats = await server('NATS', TEST_NATS_URL, startNatsServer);
  const s3 = await server('S3 (versitygw)', TEST_S3_URL, startS3);
  const bucket = TEST_S3_URL ?? `${s3}runledger`;
  await (await S3BlobStore.connect(bucket, { clock: new SystemClock(), createBucket: true })).close();
  return {
    EVENTSTORE_URL: eventStore,
    MONGODB_URL: TEST_MONGODB_URL ?? `${mongo}runledger`,
    NATS_URL: nats,
    S3_URL: bucket,
  };
}

async function startDouble() {
  const double = await ServerProcess.start('eventstoredb', (port, folder) => ({
    program: process.execPath,
    args: [
      '--disable-warning=ExperimentalWarning',
      DOUBLE,
      join(folder, 'log.jsonl'),
      `--port=${port}`,
      '--version=24.2',
    ],
  }));
  return Object.assign(double, { url: `esdb://127.0.0.1:${double.port}?tls=false` });
}

function startProcess(role, name, env) {
  return ServerProcess.start(name, (port, folder) => ({
    program: process.execPath,
    args: ['--disable-warning=ExperimentalWarning', RUNLEDGER, 'serve'],
    env: { ...env, PORT: String(port), RUNLEDGER_DATA_DIR: folder, RUNLEDGER_ROLES: role },
  }));
}

async function untilReady({ name, port, logFile }) {
  for (const limit = performance.now() + READY_LIMIT_MS; ; await pause(100)) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.status === 200) return;
    if (performance.now() > limit) throw new Error(`${name} is not ready after ${READY_LIMIT_MS} ms: see ${logFile}`);
  }
}

function newKey() {
  const { privateKey } = generateKeyPairSync('ed25519');
  return privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
}

function say(text) {
  process.stdout.write(`${text}\n`);
}
