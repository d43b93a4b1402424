/**
 * The service on the whole stack of servers (a double of EventStoreDB, FerretDB, NATS, S3) beside the embedded default, in
 * one run: appends, runs of five instant steps, single requests, rebuilds from EventStoreDB beside the bare read of it,
 * and three processes beside one. All servers share the machine with the service, so the figures say what the stack costs, not how far it goes.
 */
import { generateKeyPairSync } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EVENTS_A_RUN } from './history.mjs';
import { AS_STARTED, answerParent, inFolder, isEntry, startProcess, withProcess } from './processes.mjs';
import { startFerretDb } from '../support/servers/ferretdb.mjs';
import { startNatsServer } from '../support/servers/nats.mjs';
import { ServerProcess } from '../support/servers/server-process.mjs';

const SERVER = new URL('server.mjs', import.meta.url).href;
const LOAD = new URL('load.mjs', import.meta.url).href;
const HISTORY = new URL('history.mjs', import.meta.url).href;
const APPENDS = new URL('appends.mjs', import.meta.url).href;
const DOUBLE = fileURLToPath(new URL('../support/eventstoredb/serve.mjs', import.meta.url));
const POLL_MS = 25;
const RUNS = { clients: 16, warmUp: 100, count: 600, quick: 60 };
const REQUESTS = { clients: 4, count: 1_000, quick: 100 };

/** In the parent. */
export async function run(context, report, wanted) {
  if (wanted.has('STACK')) await compareRuns(context, report);
  if (wanted.has('STACK')) await compareRebuilds(context, report);
  if (wanted.has('P12')) await compareProcesses(context, report);
}

async function withServers(folder, work) {
  const opened = [];
  try {
    const double = await ServerProcess.start('eventstoredb', (port) => ({
      program: process.execPath,
      args: ['--disable-warning=ExperimentalWarning', DOUBLE, join(folder, 'log.jsonl'), `--port=${port}`],
    }));
    opened.push(double);
    const mongo = await startFerretDb();
    opened.push(mongo);
    const nats = await startNatsServer();
    opened.push(nats);
    return await work({
      EVENTSTORE_URL: `esdb://127.0.0.1:${double.port}?tls=false`,
      MONGODB_URL: `${mongo.url}bench`,
      NATS_URL: nats.url,
      RUNLEDGER_SIGNING_KEY: signingKey(),
    });
  } finally {
    for (const each of opened.toReversed()) await each.close();
  }
}

function signingKey() {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
}

async function compareRuns(context, report) {
  const embedded = await inFolder((folder) => measureService(context, folder, {}));
  const stack = await inFolder((folder) => withServers(folder, (servers) => measureService(context, folder, servers)));
  const rows = [
    ['single appends, 64 writers', 'appends', 'perSecond', 'events/s'],
    ['appends in hundreds, 64 writers', 'hundreds', 'perSecond', 'events/s'],
    [`runs of five steps, ${RUNS.clients} clients`, 'runs', 'perSecond', 'runs/s'],
    ['p99', 'runs', 'p99', 'ms'],
    [`creating a run, ${REQUESTS.clients} clients`, 'create', 'perSecond', 'requests/s'],
    [`one run, ${REQUESTS.clients} clients, p99`, 'one', 'p99', 'ms'],
    [`list of a workspace, ${REQUESTS.clients} clients, p99`, 'list', 'p99', 'ms'],
  ];
  for (const [what, group, key, unit] of rows) {
    report.add('STACK', what, { figure: stack[group][key], unit, against: ['embedded', embedded[group][key]] });
  }
}

/** The foundation's figures for one process, on the servers that the environment names. */
async function measureService(context, folder, servers) {
  const { dist, quick } = context;
  const log = { dist, folder: join(folder, 'log'), url: servers.EVENTSTORE_URL, rounds: 1 };
  const append = (events, size) =>
    withProcess(APPENDS, {}, (child) => child.call('port', { ...log, events: quick ? events / 10 : events, size }));
  const [appends, hundreds] = [await append(5_000, 1), await append(20_000, 100)];
  const environment = { RUNLEDGER_DATA_DIR: join(folder, 'service'), ...servers };
  return { appends, hundreds, ...(await measureRuns(context, [environment], measureRequests)) };
}

/** Single requests to a service that has made some runs. */
async function measureRequests({ quick }, load, origin, tenants) {
  const headers = { 'x-workspace-id': tenants[0] };
  const { runs } = await (await fetch(`${origin}/hypershift/runs`, { headers })).json();
  const ask = (request) =>
    load.call('requests', { origin, ...REQUESTS, count: quick ? REQUESTS.quick : REQUESTS.count, ...request });
  const one = await ask({ method: 'GET', paths: [`/hypershift/runs/${runs[0].id}`], headers });
  const list = await ask({ method: 'GET', paths: ['/hypershift/runs'], headers });
  const create = await ask({
    method: 'POST',
    paths: ['/hypershift/runs'],
    headers: tenants.map((id) => ({ 'x-workspace-id': id })),
    body: { user_intent: { description: 'Benchmark' } },
  });
  return { one, list, create };
}

/** Three processes that answer and fold beside one; each time one more dispatches and works. */
async function compareProcesses(context, report) {
  const rest = { RUNLEDGER_ROLES: 'dispatcher,worker' };
  const front = { RUNLEDGER_ROLES: 'api,projector' };
  const rates = [];
  for (const fronts of [1, 3]) {
    const { runs } = await inFolder((folder) =>
      withServers(folder, (servers) => {
        const all = [...Array.from({ length: fronts }, () => front), rest];
        const environments = all.map((env, index) => ({
          RUNLEDGER_DATA_DIR: join(folder, `process-${index}`),
          ...servers,
          ...env,
        }));
        return measureRuns(context, environments);
      }),
    );
    rates.push(runs.perSecond);
  }
  const [one, three] = rates;
  report.add('P12', 'three API and projector processes beside one', {
    figure: three / one,
    unit: '×',
    against: ['runs/s with one', one],
    atLeast: 2.2,
    goal: '2.2 ×',
    note: `on ${availableParallelism()} cores, which the servers share`,
  });
}

/**
 * Starts the processes, and lets the clients of each process that serves the API make runs at the same time.
 *
 * @param further What to measure on the first of them then.
 */
async function measureRuns({ dist, quick }, environments, further = async () => ({})) {
  const servers = [];
  try {
    const api = [];
    for (const env of environments) {
      const server = startProcess(SERVER, AS_STARTED);
      servers.push(server);
      const origin = await server.call('start', { dist, env, agents: 'memory' });
      if ((env.RUNLEDGER_ROLES ?? 'api').includes('api')) api.push(origin);
    }
    await Promise.all(api.map(untilReady));
    return await withProcess(LOAD, {}, async (load) => {
      const tenants = await load.call('workspaces', { origin: api[0], count: RUNS.clients });
      const each = (runs) =>
        Promise.all(
          api.map((origin) => {
            const share = (total) => Math.ceil(total / api.length);
            return load.call('runs', {
              origin,
              clients: share(RUNS.clients),
              count: share(runs),
              tenants,
              pollMs: POLL_MS,
            });
          }),
        );
      await each(quick ? RUNS.quick : RUNS.warmUp);
      const count = quick ? RUNS.quick : RUNS.count;
      const started = performance.now();
      const results = await each(count);
      const seconds = (performance.now() - started) / 1_000;
      const runs = { perSecond: count / seconds, p99: Math.max(...results.map(({ p99 }) => p99)) };
      return { runs, ...(await further({ quick }, load, api[0], tenants)) };
    });
  } finally {
    for (const server of servers) await server.stop();
  }
}

async function untilReady(origin) {
  while ((await fetch(`${origin}/readyz`)).status !== 200) await sleep(20);
}

/** P4 from EventStoreDB: the views built again by the service, beside a client that reads all and does nothing with it. */
async function compareRebuilds({ dist, quick }, report) {
  const runs = Math.ceil((quick ? 3_000 : 50_000) / EVENTS_A_RUN);
  await inFolder(async (folder) => {
    await withServers(folder, async ({ EVENTSTORE_URL: url }) => {
      const data = join(folder, 'history');
      await withProcess(HISTORY, {}, (child) => child.call('fill', { dist, folder: data, runs }));
      const { read, rebuilt, events } = await withProcess(import.meta.url, {}, async (child) => {
        const copied = await child.call('copy', { dist, from: data, to: url });
        const bare = await child.call('bareRead', { url });
        const rates = await child.call('rebuild', { dist, url, folder: join(folder, 'views'), events: copied });
        return { read: bare, rebuilt: rates, events: copied };
      });
      for (const [views, rate] of Object.entries(rebuilt)) {
        report.add('STACK', `${views} from EventStoreDB, ${events.toLocaleString('en-US')} events`, {
          figure: read / rate,
          unit: '× the bare read',
          against: ['events/s, bare', read],
          atMost: 1.3,
          goal: '1.3 × its time',
        });
      }
    });
  });
}

async function copy({ dist, from, to }) {
  const { openLog } = await import(`${dist}/src/adapters/open-log.js`);
  const { copyLog } = await import(`${dist}/src/kernel/copy-log.js`);
  const [source, target] = [await openLog(from), await openLog(to)];
  const { events } = await copyLog(source, target);
  await source.close();
  await target.close();
  return events;
}

async function bareRead({ url }) {
  const { EventStoreDBClient } = await import('@eventstore/db-client');
  const client = EventStoreDBClient.connectionString(url);
  const once = async () => {
    let events = 0;
    const started = performance.now();
    for await (const { event } of client.readAll()) if (event && !event.streamId.startsWith('$')) events += 1;
    return (events / (performance.now() - started)) * 1_000;
  };
  await once();
  const rate = await once();
  await client.dispose();
  return rate;
}

async function rebuild({ dist, url, folder, events }) {
  const { createApp } = await import(`${dist}/src/app.js`);
  const app = await createApp({
    PORT: '0',
    RUNLEDGER_LOG_LEVEL: 'warn',
    RUNLEDGER_DATA_DIR: folder,
    RUNLEDGER_ROLES: 'api,projector',
    EVENTSTORE_URL: url,
  });
  await app.listen();
  while (!app.kernel.runtime.ready()) await sleep(20);
  const { projector } = app.kernel;
  const rebuilding = async (names) => {
    const started = performance.now();
    for (const name of names) await projector.rebuild(name);
    while ((await projector.status()).some((view) => view.rebuild)) await sleep(5);
    return (events / (performance.now() - started)) * 1_000;
  };
  const rates = {
    'one view': await rebuilding(['hypershift.run']),
    [`all ${projector.views.length} views`]: await rebuilding(projector.views.map(({ name }) => name)),
  };
  await app.close();
  return rates;
}

if (isEntry(import.meta.url)) answerParent({ copy, bareRead, rebuild });
