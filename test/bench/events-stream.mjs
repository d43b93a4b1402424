/**
 * P8: from the append of an event to its arrival at each of 200 clients that listen by Server-Sent Events. Beside it
 * what the same takes without a ledger: an HTTP server that writes a text of that size to as many answers.
 */
import { createServer, get } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Durations } from './figures.mjs';
import { answerParent, inFolder, isEntry, withProcess } from './processes.mjs';
import { now } from './receiver.mjs';

const CLIENTS = 200;
const TRIGGER = 'rollback.executed';
const LIMIT_MS = 60_000;
const PACES = [
  { perSecond: 20, count: 400, quick: 60, atMost: 50 },
  { perSecond: 100, count: 1_000, quick: 100 },
];

/** In the parent: the service and its clients are processes of their own. */
export async function run({ dist, quick }, report) {
  for (const pace of PACES) {
    const count = quick ? pace.quick : pace.count;
    const floor = await arrivals({ floor: true }, { perSecond: pace.perSecond, count });
    const { p50, p95, p99, append } = await arrivals({ dist }, { perSecond: pace.perSecond, count });
    report.add('P8', `event to SSE client, ${CLIENTS} clients, ${pace.perSecond} events/s, p99`, {
      figure: p99,
      unit: 'ms',
      against: ['bare HTTP', floor.p99],
      ...(pace.atMost === undefined ? {} : { atMost: pace.atMost }),
      note: `p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms, of which the append ${append.p50.toFixed(1)} and ${append.p95.toFixed(1)}; bare HTTP ${floor.p50.toFixed(1)} and ${floor.p95.toFixed(1)}`,
    });
  }
}

async function arrivals({ dist, floor }, paced) {
  return inFolder((folder) =>
    withProcess(import.meta.url, {}, (service) =>
      withProcess(import.meta.url, {}, async (clients) => {
        const origin = floor
          ? await service.call('startFloor')
          : await service.call('start', { dist, folder: join(folder, 'data') });
        await clients.call('listen', { origin });
        const { sent, append } = await service.call('paced', paced);
        const expected = sent.length * CLIENTS;
        const deadline = now() + LIMIT_MS;
        while ((await clients.call('count')) < expected) {
          if (now() > deadline) throw new Error(`Fewer than ${expected} events arrived`);
          await sleep(100);
        }
        return { ...(await clients.call('spread', { sent })), append };
      }),
    ),
  );
}

let app;
let bare;
const listeners = [];

async function startFloor() {
  bare = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('retry: 1000\n\n');
    listeners.push(response);
  });
  await new Promise((resolve) => bare.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${bare.address().port}`;
}

/** As large as the service makes it. */
function writeToAll(data) {
  const text = `id: 1\ndata: ${JSON.stringify({ ...data, padding: 'x'.repeat(500) })}\n\n`;
  const bytes = Buffer.from(text);
  for (const response of listeners) response.write(bytes);
}

async function start({ dist, folder }) {
  const { createApp } = await import(`${dist}/src/app.js`);
  app = await createApp({
    PORT: '0',
    RUNLEDGER_LOG_LEVEL: 'error',
    RUNLEDGER_DATA_DIR: folder,
    RUNLEDGER_ROLES: 'api,projector,dispatcher',
  });
  const origin = await app.listen();
  while (!app.kernel.runtime.ready()) await sleep(20);
  return origin;
}

const decider = {
  initial: 0,
  decide: (data) => [{ type: TRIGGER, data }],
  evolve: (state) => state + 1,
};

/** One event at a time. @returns `[runId, time of the append]` of each, and how long appends took. */
async function paced({ perSecond, count }) {
  const started = performance.now();
  const sent = [];
  const appends = [];
  const taken = new Durations();
  for (let index = 0; index < count; index++) {
    const waitMs = started + (index * 1_000) / perSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const runId = `req-${index}-bench`;
    const data = { system: 'hypershift', tenant: 'ws-bench', runId, by: null };
    sent.push([runId, now()]);
    if (bare) writeToAll(data);
    else {
      const at = now();
      const append = app.kernel.streams.transact(decider, `hypershift.run-${runId}`, data);
      appends.push(append.then(() => taken.add(now() - at)));
    }
  }
  await Promise.all(appends);
  return { sent, append: taken.summary() };
}

/** What has arrived at the clients, and when. */
const arrived = [];
const answers = [];

async function listen({ origin }) {
  const opened = Array.from({ length: CLIENTS }, async () => {
    const response = await new Promise((resolve, reject) => {
      const url = `${origin}/ledger/events/stream?type=${TRIGGER}`;
      get(url, { agent: false }, resolve).on('error', reject);
    });
    if (response.statusCode !== 200) throw new Error(`The stream answered ${response.statusCode}`);
    answers.push(response);
    let rest = '';
    response.setEncoding('utf8').on('data', (text) => {
      const at = now();
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop();
      for (const block of blocks) {
        const [, runId] = /"runId":"([^"]+)"/.exec(block) ?? [];
        if (runId) arrived.push([runId, at]);
      }
    });
    response.on('error', () => undefined);
  });
  await Promise.all(opened);
}

function spread({ sent }) {
  const begun = new Map(sent);
  const durations = new Durations();
  for (const [runId, at] of arrived) durations.add(at - begun.get(runId));
  return durations.summary();
}

async function stop() {
  for (const answer of answers) answer.destroy();
  for (const response of listeners) response.destroy();
  bare?.close();
  await app?.close();
}

if (isEntry(import.meta.url))
  answerParent({ start, startFloor, paced, listen, count: () => arrived.length, spread, stop });
