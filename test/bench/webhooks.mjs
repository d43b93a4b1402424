/** P6: signed webhooks to a local receiver, with every attempt recorded in the log. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { closedLoop, Durations } from './figures.mjs';
import { answerParent, inFolder, isEntry, withProcess } from './processes.mjs';
import { now } from './receiver.mjs';

const RECEIVER = new URL('receiver.mjs', import.meta.url).href;
const TRIGGER = 'rollback.executed';
const SECRET = `whsec_${randomBytes(24).toString('base64')}`;
const ENDPOINTS = 10;
const DEAD = '/0';
const CALM_PER_SECOND = 100;
const FAN_OUT_PER_SECOND = 200;
const LIMIT_MS = 120_000;

/** In the parent. */
export async function run({ dist, quick }, report) {
  const bulk = await inService(dist, { endpoints: 1 }, (service) =>
    service.call('bulk', { count: quick ? 1_000 : 10_000 }),
  );
  report.add('P6', 'signed, every attempt recorded', { figure: bulk.perSecond, unit: 'webhooks/s', atLeast: 2_500 });
  const paced = { perSecond: CALM_PER_SECOND, count: quick ? 100 : 1_000 };
  const calm = await latencies(dist, { endpoints: 1 }, paced);
  report.add('P6', `event to arrival, ${CALM_PER_SECOND}/s, p99`, {
    figure: calm.p99,
    unit: 'ms',
    atMost: 25,
    note: `p50 ${calm.p50.toFixed(1)} ms`,
  });
  const fanOut = { perSecond: FAN_OUT_PER_SECOND, count: quick ? 200 : 2_000 };
  const healthy = await latencies(dist, { endpoints: ENDPOINTS }, fanOut);
  const beside = await latencies(dist, { endpoints: ENDPOINTS, dead: DEAD }, fanOut);
  report.add('P6', 'p99 of nine endpoints beside a dead one', {
    figure: beside.p99 / healthy.p99,
    unit: '×',
    against: ['p99 with all ten well, ms', healthy.p99],
    atMost: 2,
    note: `p99 ${beside.p99.toFixed(1)} ms`,
  });
}

/** From the append of the event to the arrival at the receiver; endpoints that are dead do not count. */
async function latencies(dist, options, paced) {
  return inService(dist, options, async (service, receiver) => {
    const sent = await service.call('paced', paced);
    const deadline = now() + LIMIT_MS;
    const expected = sent.filter(({ path }) => path !== options.dead).length;
    let { arrivals, unsigned } = await receiver.call('arrived');
    while (arrivals.length < expected) {
      if (now() > deadline) throw new Error(`${arrivals.length} of ${expected} webhooks arrived`);
      await sleep(100);
      ({ arrivals, unsigned } = await receiver.call('arrived'));
    }
    if (unsigned > 0) throw new Error(`${unsigned} webhooks were not signed`);
    const begun = new Map(sent.map(({ id, at }) => [id, at]));
    const durations = new Durations();
    for (const { id, at } of arrivals) durations.add(at - begun.get(id));
    return durations.summary();
  });
}

async function inService(dist, { endpoints, dead }, work) {
  return inFolder((folder) =>
    withProcess(RECEIVER, {}, async (receiver) => {
      const origin = await receiver.call('start', { dead });
      return withProcess(import.meta.url, {}, async (service) => {
        await service.call('start', { dist, folder: join(folder, 'data'), origin, endpoints });
        return work(service, receiver);
      });
    }),
  );
}

let app;
let deliveryId;
let endpointCount = 1;

/** The service with endpoints at `<origin>/0`, `/1` and so on; each event is for one of them. */
async function start({ dist, folder, origin, endpoints }) {
  const { createApp } = await import(`${dist}/src/app.js`);
  ({ deliveryId } = await import(`${dist}/src/kernel/webhooks/sender.js`));
  app = await createApp({
    PORT: '0',
    RUNLEDGER_LOG_LEVEL: 'error',
    RUNLEDGER_DATA_DIR: folder,
    RUNLEDGER_ROLES: 'api,projector,dispatcher',
  });
  for (let index = 0; index < endpoints; index++) {
    app.kernel.runtime.addEndpoint({
      id: `bench-${index}`,
      system: 'hypershift',
      url: `${origin}/${index}`,
      guarded: false,
      secrets: [SECRET],
      schedule: { timeoutMs: 2_000, pausesMs: [1_000, 2_000, 4_000, 8_000] },
      types: [TRIGGER],
      message({ event: { type: event, data } }, id) {
        if (data.by !== String(index)) return undefined;
        const { tenant, runId } = data;
        const headers = { 'content-type': 'application/json', 'user-agent': 'Runledger' };
        return { event, tenant, runId, headers, body: JSON.stringify({ event, delivery: id, run_id: runId }) };
      },
    });
  }
  await app.listen();
  while (!app.kernel.runtime.ready()) await sleep(20);
  endpointCount = endpoints;
}

/** Each about a run of its own, so that no lane waits for another. */
function trigger(index) {
  const by = String(index % endpointCount);
  const runId = `req-${index}-bench`;
  return { by, stream: `hypershift.run-${runId}`, data: { system: 'hypershift', tenant: 'ws-bench', runId, by } };
}

const decider = {
  initial: 0,
  decide: (data) => [{ type: TRIGGER, data }],
  evolve: (state) => state + 1,
};

/** Everything at once: how many per second until the last outcome is recorded. */
async function bulk({ count }) {
  const { ports, streams } = app.kernel;
  const stop = new AbortController();
  const position = await ports.log.head();
  const started = performance.now();
  const recorded = (async () => {
    let delivered = 0;
    for await (const batch of ports.log.subscribe(position, { signal: stop.signal })) {
      delivered += batch.filter(({ type }) => type === 'webhook.delivered').length;
      if (delivered >= count) stop.abort();
    }
  })();
  await closedLoop(256, count, async (index) => {
    const { stream, data } = trigger(index);
    await streams.transact(decider, stream, data);
  });
  await recorded;
  return { perSecond: (count / (performance.now() - started)) * 1_000 };
}

/** One event at a time. @returns delivery, time of the append, and path of each. */
async function paced({ perSecond, count }) {
  const { ports, streams } = app.kernel;
  const started = performance.now();
  const sent = [];
  const appends = [];
  for (let index = 0; index < count; index++) {
    const waitMs = started + (index * 1_000) / perSecond - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    const { by, stream, data } = trigger(index);
    const at = now();
    appends.push(
      streams.transact(decider, stream, data).then(async () => {
        const [event] = await ports.log.readStream(stream, { limit: 1 });
        sent.push({ id: deliveryId(`bench-${by}`, event.id), at, path: `/${by}` });
      }),
    );
  }
  await Promise.all(appends);
  return sent;
}

if (isEntry(import.meta.url)) answerParent({ start, bulk, paced, stop: () => app?.close() });
