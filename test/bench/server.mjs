/** The service as a process of its own, and what the benchmarks ask of it beside HTTP. */
import '../../bin/heap.mjs';
import { writeFile } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { answerParent, isEntry } from './processes.mjs';

const STEPS = ['architect', 'builder', 'sentinel', 'sre', 'finops'];
const IDLE_MS = 3_000;

let app;
let session;

/**
 * @param dist Folder of the build.
 * @param agents `memory`: five agents in this process that answer at once. Otherwise `env` says where they are.
 */
async function start({ dist, env, agents }) {
  const { createApp } = await import(`${dist}/src/app.js`);
  const instant = (name) => [name, { name, run: async () => ({ step: name, ok: true }) }];
  const overrides = agents === 'memory' ? { hypershiftAgents: Object.fromEntries(STEPS.map(instant)) } : {};
  app = await createApp(
    { PORT: '0', RUNLEDGER_LOG_LEVEL: 'error', HYPERSHIFT_DEPLOY_TARGET: 'none', ...env },
    overrides,
  );
  return app.listen();
}

/** User and system time of all threads in s, and the memory that is held in MB. */
function usage() {
  const { user, system } = process.cpuUsage();
  return { cpuSeconds: (user + system) / 1e6, rssMb: process.memoryUsage.rss() / 1e6 };
}

/** Memory once the work is done: after a few seconds without any, and no collection that a server would not do itself. */
async function idle() {
  await sleep(IDLE_MS);
  return usage();
}

async function startProfile() {
  session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.setSamplingInterval', { interval: 200 });
  await session.post('Profiler.start');
}

async function stopProfile({ path }) {
  const { profile } = await session.post('Profiler.stop');
  await writeFile(path, JSON.stringify(profile));
  session.disconnect();
}

if (isEntry(import.meta.url)) {
  answerParent({ start, usage, idle, startProfile, stopProfile, stop: () => app?.close() });
}
