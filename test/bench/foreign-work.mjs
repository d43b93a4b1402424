/** P7: jobs to workers in processes of their own, by HTTP: claim, and complete. */
import { Agent, request } from 'undici';
import { setTimeout as sleep } from 'node:timers/promises';
import { Durations } from './figures.mjs';
import { answerParent, inFolder, isEntry, withProcess } from './processes.mjs';

const SELF = import.meta.url;
const KIND = 'bench.task';
const CLAIM = 64;
const CLAIMERS = 4;
const REPORTERS = 32;
const CALM_PER_SECOND = 200;
const LIMIT_MS = 120_000;
/** The first jobs of a service that has just started are not measured. */
const WARM_UP = 200;

/** In the parent. */
export async function run({ dist, quick }, report) {
  const count = quick ? 3_000 : 30_000;
  const perSecond = await inService(dist, async (service, worker, origin) => {
    await service.call('put', { count });
    const { seconds } = await worker.call('work', { origin, count });
    return count / seconds;
  });
  report.add('P7', 'jobs claimed and completed by HTTP', { figure: perSecond, unit: 'jobs/s', atLeast: 3_000 });
  const calm = await inService(dist, async (service, worker, origin) => {
    const jobs = WARM_UP + (quick ? 200 : 2_000);
    const working = worker.call('work', { origin, count: jobs, limit: 1 });
    await service.call('paced', { count: jobs, perSecond: CALM_PER_SECOND });
    return (await working).latencies;
  });
  const what = `put to arrival at a waiting worker, ${CALM_PER_SECOND}/s`;
  report.add('P7', `${what}, p50`, { figure: calm.p50, unit: 'ms', atMost: 5 });
  report.add('P7', `${what}, p99`, { figure: calm.p99, unit: 'ms', atMost: 25 });
}

async function inService(dist, work) {
  return inFolder((folder) =>
    withProcess(SELF, {}, async (service) => {
      const origin = await service.call('start', { dist, folder });
      return withProcess(SELF, {}, (worker) => work(service, worker, origin));
    }),
  );
}

/** On the clock that all processes of this machine share, in ms. */
const now = () => Number(process.hrtime.bigint()) / 1e6;

let app;
let puts = 0;

/** The service, with a kind of job of which the log knows nothing. */
async function start({ dist, folder }) {
  const { createApp } = await import(`${dist}/src/app.js`);
  app = await createApp({
    PORT: '0',
    RUNLEDGER_LOG_LEVEL: 'error',
    RUNLEDGER_DATA_DIR: folder,
    RUNLEDGER_ROLES: 'api,projector,dispatcher',
  });
  app.kernel.foreign.register({
    kind: KIND,
    begin: async ({ payload }) => ({ input: payload, attempt: 1 }),
    complete: async () => 'queued',
    fail: async () => 'queued',
    exhausted: async () => undefined,
  });
  return app.listen();
}

const job = () => ({ id: `job-${(puts += 1)}`, kind: KIND, group: `run-${puts}`, payload: { at: now() } });

async function put({ count }) {
  for (let left = count; left > 0; left -= 500) {
    await app.kernel.ports.queue.put(Array.from({ length: Math.min(500, left) }, job));
  }
}

async function paced({ count, perSecond }) {
  const started = performance.now();
  for (let index = 0; index < count; index++) {
    const due = started + (index / perSecond) * 1_000;
    if (due > performance.now()) await sleep(due - performance.now());
    await app.kernel.ports.queue.put([job()]);
  }
}

/** In the worker's process: takes jobs and completes them until `count` are done. */
async function work({ origin, count, limit = CLAIM }) {
  const dispatcher = new Agent({ connections: CLAIMERS + REPORTERS });
  const post = async (path, body) => {
    const { statusCode, body: answer } = await request(`${origin}/ledger/work/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      dispatcher,
    });
    const json = await answer.json();
    if (statusCode !== 200) throw new Error(`${path}: ${statusCode} ${json.error}`);
    return json;
  };
  const latencies = new Durations();
  const held = [];
  const idle = [];
  let done = 0;
  let seen = 0;
  const deadline = now() + LIMIT_MS;
  const open = () => {
    if (now() > deadline) throw new Error(`${done} of ${count} jobs were done`);
    return done < count;
  };
  const take = (jobs) => {
    held.push(...jobs);
    for (const wake of idle.splice(0)) wake();
  };
  const claim = async () => {
    while (open()) {
      const { jobs } = await post('claim', { kinds: [KIND], worker: 'bench', limit, waitMs: 500 });
      const arrived = now();
      for (const each of jobs) if ((seen += 1) > WARM_UP) latencies.add(arrived - each.input.at);
      take(jobs);
    }
    take([]);
  };
  const complete = async () => {
    while (open()) {
      const next = held.shift();
      if (!next) {
        await new Promise((resolve) => idle.push(resolve));
        continue;
      }
      await post('complete', { claim: next.claim, output: { ok: true } });
      done += 1;
    }
  };
  const started = now();
  await Promise.all([...Array.from({ length: CLAIMERS }, claim), ...Array.from({ length: REPORTERS }, complete)]);
  const seconds = (now() - started) / 1_000;
  await dispatcher.close();
  return { seconds, latencies: latencies.summary() };
}

if (isEntry(import.meta.url)) answerParent({ start, put, paced, work, stop: () => app?.close() });
