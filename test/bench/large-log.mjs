/** P10 and P11: reads and starts on a log of a hundred thousand runs. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Durations } from './figures.mjs';
import { BIG, RARE, runIdOf, workspaceOf } from './history.mjs';
import { AS_STARTED, answerParent, inFolder, isEntry, startProcess, withProcess } from './processes.mjs';

const SERVER = new URL('server.mjs', import.meta.url).href;
const LOAD = new URL('load.mjs', import.meta.url).href;
const CLIENTS = 4;
const VIEW = 'hypershift.run-summary';
const LIMIT_MS = 600_000;
const PAGE = 100;

/** In the parent. */
export async function run(context, report, wanted) {
  const { dist, quick } = context;
  if (wanted.has('P11')) {
    const empty = await inFolder((folder) => timeToReady(dist, join(folder, 'data')));
    report.add('P11', 'ready on an empty folder', {
      figure: empty.seconds,
      unit: 's',
      atMost: 2,
      note: `RSS ${empty.rssMb.toFixed(0)} MB`,
    });
  }
  const { folder, events, runs } = await context.history();
  const size = `${events.toLocaleString('en-US')} events`;
  const first = await timeToReady(dist, folder);
  if (wanted.has('P11')) {
    report.add('P11', `first start, all views built from ${size}`, { figure: first.seconds, unit: 's' });
    const again = await timeToReady(dist, folder);
    report.add('P11', `ready on ${size}`, {
      figure: again.seconds,
      unit: 's',
      atMost: 3,
      note: `RSS ${again.rssMb.toFixed(0)} MB`,
    });
  }
  if (wanted.has('P10')) await reads({ dist, quick, folder, runs }, report);
}

/** From the start of the process until `/readyz` says so. */
async function timeToReady(dist, folder) {
  const started = performance.now();
  const server = startProcess(SERVER, AS_STARTED);
  try {
    const origin = await server.call('start', { dist, env: { RUNLEDGER_DATA_DIR: folder }, agents: 'memory' });
    await ready(origin, 5);
    const seconds = (performance.now() - started) / 1_000;
    return { seconds, ...(await server.call('usage')) };
  } finally {
    await server.stop();
  }
}

async function ready(origin, everyMs) {
  const deadline = performance.now() + LIMIT_MS;
  while (!(await fetch(`${origin}/readyz`)).ok) {
    if (performance.now() > deadline) throw new Error(`${origin} is not ready`);
    await sleep(everyMs);
  }
}

async function reads({ dist, quick, folder, runs }, report) {
  const count = quick ? 200 : 2_000;
  const add = (what, { p99, p50, bytes, perSecond }, atMost) =>
    report.add('P10', what, {
      figure: p99,
      unit: 'ms',
      atMost,
      note: `p50 ${p50.toFixed(1)} ms, ${Math.round(perSecond)}/s, ${bytes} bytes`,
    });
  await withProcess(SERVER, AS_STARTED, (server) =>
    withProcess(LOAD, {}, async (load) => {
      const origin = await server.call('start', { dist, env: { RUNLEDGER_DATA_DIR: folder }, agents: 'memory' });
      await ready(origin, 50);
      const indexes = Array.from({ length: 500 }, (_, index) => Math.floor((index * runs) / 500));
      const job = { origin, clients: CLIENTS, method: 'GET' };
      const get = async (paths, times, headers) => {
        await load.call('requests', { ...job, paths, headers, count: Math.ceil(times / 5) });
        return load.call('requests', { ...job, paths, headers, count: times });
      };
      const workspaces = [...new Set(indexes.map((index) => workspaceOf(index, runs)))].filter((name) => name !== BIG);
      const named = workspaces.map((tenant) => ({ 'x-workspace-id': tenant }));
      const list = '/hypershift/runs';
      add('list of a workspace, 1,000 runs, 4 clients, p99', await get([list], count / 5, named), 50);
      add('list by tag in a workspace, 20 of 1,000 runs, p99', await get([`${list}?tag=${RARE}`], count, named), 50);
      const big = [{ 'x-workspace-id': BIG }];
      const share = `${Math.floor(runs / 250).toLocaleString('en-US')} of ${(runs / 5).toLocaleString('en-US')}`;
      add(
        `list by tag in the big workspace, ${share} runs, p99`,
        await get([`${list}?tag=${RARE}`], count / 5, big),
        50,
      );
      add(
        'one run, 4 clients, p99',
        await get(
          indexes.map((index) => `${list}/${runIdOf(index)}`),
          count * 5,
        ),
        5,
      );
    }),
  );
  const pages = await withProcess(import.meta.url, {}, (child) => child.call('deepPages', { dist, folder }));
  report.add('P10', `deep pages of ${PAGE} at the view store, all runs, p99`, {
    figure: pages.p99,
    unit: 'ms',
    atMost: 50,
    note: `p50 ${pages.p50.toFixed(2)} ms over ${pages.pages} pages; last tenth p99 ${pages.deepP99.toFixed(2)} ms`,
  });
}

/** Every page of the list of all runs, by cursor, newest first. */
async function deepPages({ dist, folder }) {
  const { SqliteStore } = await import(`${dist}/src/adapters/sqlite/sqlite-store.js`);
  const { SystemClock } = await import(`${dist}/src/adapters/system/system-clock.js`);
  const store = await SqliteStore.open({ folder, clock: new SystemClock() });
  const collection = (await store.views.collections()).find((name) => name.startsWith(`${VIEW}.v`));
  const query = { where: { tenant: BIG }, orderBy: ['createdAt', 'number'], descending: true, limit: PAGE };
  const took = [];
  let after;
  do {
    const started = performance.now();
    const page = await store.views.find(collection, after === undefined ? query : { ...query, after });
    took.push(performance.now() - started);
    after = page.next;
  } while (after !== undefined);
  await store.close();
  const [all, deep] = [new Durations(), new Durations()];
  for (const [index, ms] of took.entries()) {
    all.add(ms);
    if (index >= took.length * 0.9) deep.add(ms);
  }
  return { ...all.summary(), deepP99: deep.summary().p99, pages: took.length };
}

if (isEntry(import.meta.url)) answerParent({ deepPages });
