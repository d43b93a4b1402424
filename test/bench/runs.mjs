/** P1 and P2: a run of five instant steps by HTTP, beside Restate with five durable steps that do nothing. */
import { join } from 'node:path';
import { medianRound } from './figures.mjs';
import { AS_STARTED, inFolder, withProcess } from './processes.mjs';
import { installPeers, startRestate } from './restate.mjs';

const SERVER = new URL('server.mjs', import.meta.url).href;
const LOAD = new URL('load.mjs', import.meta.url).href;
const AGENTS = new URL('agents.mjs', import.meta.url).href;

/** The most runs that one workspace is used for; the tier allows a thousand. */
const RUNS_A_WORKSPACE = 900;
/** At 64 clients a run takes much longer than this, and asking more often would only keep the server from its work. */
const POLL_MS = 25;

const GROUPS = {
  P1: { clients: 64, pollMs: POLL_MS, rounds: 3, warmUp: 1_500, count: 4_000, quick: 400 },
  P2: { clients: 1, pollMs: 0, rounds: 3, warmUp: 300, count: 500, quick: 60 },
};

const STEPS = ['ARCHITECT', 'BUILDER', 'SENTINEL', 'SRE', 'FINOPS'];

export async function run(context, report, wanted) {
  const groups = Object.entries(GROUPS).filter(([id]) => wanted.has(id));
  const peer = await measureRestate(groups, context);
  for (const agents of ['memory', 'http']) {
    const measured = await measureService(groups, agents, context);
    for (const [id] of groups) addRows(report, id, agents, measured[id], peer[id]);
    if (measured.idle && agents === 'memory') addMemory(report, measured.idle, peer.rssMb);
  }
}

function addRows(report, id, agents, figures, peer) {
  const what = agents === 'memory' ? 'agents in process' : 'agents by HTTP';
  const restate = (key) => ['Restate', peer[key]];
  const note = `${figures.polls.toFixed(1)} polls a run, ${figures.stale} stale reads`;
  if (id === 'P1') {
    const atLeast = Math.max(700, 1.5 * peer.perSecond);
    const goal = '1.5 × Restate, at least 700';
    report.add(id, `64 clients, ${what}`, {
      figure: figures.perSecond,
      unit: 'runs/s',
      against: restate('perSecond'),
      atLeast,
      goal,
      note,
    });
    report.add(id, `p99, ${what}`, { figure: figures.p99, unit: 'ms', against: restate('p99'), atMost: peer.p99 });
    report.add(id, `p50, ${what}`, { figure: figures.p50, unit: 'ms', against: restate('p50') });
    return;
  }
  report.add(id, `1 client, p50, ${what}`, {
    figure: figures.p50,
    unit: 'ms',
    against: restate('p50'),
    atMost: 5,
    note,
  });
  report.add(id, `p99, ${what}`, { figure: figures.p99, unit: 'ms', against: restate('p99'), atMost: 15 });
}

function addMemory(report, rssMb, restateMb) {
  report.add('P11', 'RSS, idle after P1', { figure: rssMb, unit: 'MB', against: ['Restate', restateMb], atMost: 250 });
}

async function measureService(groups, agents, { dist, quick, profile }) {
  return inFolder((folder) =>
    withProcess(AGENTS, {}, async (agentsProcess) => {
      const url = agents === 'http' ? await agentsProcess.call('start') : undefined;
      const urls = url === undefined ? [] : STEPS.map((step) => [`${step}_AGENT_URL`, url]);
      return withProcess(SERVER, AS_STARTED, (server) =>
        withProcess(LOAD, {}, async (load) => {
          const env = { RUNLEDGER_DATA_DIR: join(folder, 'data'), ...Object.fromEntries(urls) };
          const origin = await server.call('start', { dist, env, agents });
          const results = {};
          for (const [id, group] of groups) {
            results[id] = await rounds(group, quick, (count) => runs(load, origin, group, count), {
              before: () => profile && server.call('startProfile'),
              after: () => profile && server.call('stopProfile', { path: join(profile, `${id}-${agents}.cpuprofile`) }),
            });
            if (id === 'P1') results.idle = (await server.call('idle')).rssMb;
          }
          return results;
        }),
      );
    }),
  );
}

async function measureRestate(groups, { quick }) {
  await installPeers();
  return inFolder(async (folder) => {
    const restate = await startRestate(folder);
    try {
      return await withProcess(LOAD, {}, async (load) => {
        const results = {};
        for (const [id, group] of groups) {
          const job = { origin: restate.origin, method: 'POST', paths: [restate.path], clients: group.clients };
          results[id] = await rounds(group, quick, (count) => load.call('requests', { ...job, count }));
        }
        return { ...results, rssMb: restate.rssMb() };
      });
    } finally {
      await restate.stop();
    }
  });
}

/** Warms up, then measures some rounds. @returns the one whose throughput is the median. */
async function rounds(group, quick, measure, { before, after } = {}) {
  const count = quick ? group.quick : group.count;
  await measure(quick ? count : group.warmUp);
  await before?.();
  const measured = [];
  for (let round = 0; round < (quick ? 1 : group.rounds); round++) measured.push(await measure(count));
  await after?.();
  return medianRound(measured, 'perSecond');
}

/** Each round has workspaces of its own, as many as the tier's limit asks for, and not fewer than a team would have. */
async function runs(load, origin, { clients, pollMs }, count) {
  const workspaces = Math.max(Math.min(clients, 16), Math.ceil(count / RUNS_A_WORKSPACE));
  const tenants = await load.call('workspaces', { origin, count: workspaces });
  return load.call('runs', { origin, clients, count, tenants, pollMs });
}
