/** P4: views built again from the whole log, beside a bare scan, and what that does to writers meanwhile. */
import { randomUUID } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Durations } from './figures.mjs';
import { EVENTS_A_RUN } from './history.mjs';
import { answerParent, inFolder, isEntry, withProcess } from './processes.mjs';

const HISTORY = new URL('history.mjs', import.meta.url).href;
const ONE_VIEW = 'hypershift.run-summary';
const WRITERS = 64;
const PAGE = 500;
const WRITING_MS = 4_000;
const PACE_MS = 4;

/** In the parent. */
export async function run(context, report) {
  const { quick } = context;
  const sizes = quick ? [10_000, 30_000] : [10_000, 100_000];
  const results = [];
  for (const size of sizes) {
    results.push(
      await inFolder(async (folder) => {
        const runs = Math.ceil(size / EVENTS_A_RUN);
        await withProcess(HISTORY, {}, (child) => child.call('fill', { dist: context.dist, folder, runs }));
        return measure(context, folder, size === sizes.at(-1));
      }),
    );
  }
  if (!quick) results.push(await measure(context, (await context.history()).folder, false));
  for (const { events, floor, one, all, views } of results) {
    const size = `${events.toLocaleString('en-US')} events`;
    const against = ['scan + parse', floor];
    report.add('P4', `one view, ${size}`, {
      figure: one,
      unit: 'events/s',
      against,
      atLeast: Math.max(100_000, floor / 4),
      goal: '100,000, a quarter of the scan',
    });
    report.add('P4', `all ${views} views, ${size}`, { figure: all, unit: 'events/s', against });
  }
  const rates = results.map(({ one }) => one);
  report.add('P4', 'slowest size beside the fastest', {
    figure: Math.min(...rates) / Math.max(...rates),
    unit: '×',
    atLeast: 0.7,
    goal: 'flat',
  });
  const { writers } = results.find((result) => result.writers);
  report.add('P4', 'slow-down of 64 writers meanwhile', {
    figure: writers.slowDown * 100,
    unit: '%',
    atMost: 20,
    against: ['appends/s alone', writers.alone],
  });
  report.add('P4', `p99 of a paced writer meanwhile`, {
    figure: writers.pacedP99,
    unit: 'ms',
    against: ['p99 alone', writers.pacedAloneP99],
  });
}

async function measure({ dist }, folder, withWriters) {
  return withProcess(import.meta.url, {}, async (child) => {
    const floor = await child.call('scan', { folder });
    const { events, views } = await child.call('open', { dist, folder });
    const one = await child.call('rebuild', { names: [ONE_VIEW], events });
    const all = await child.call('rebuild', { events });
    const writers = withWriters ? await child.call('writersMeanwhile', {}) : undefined;
    return { floor, events, views, one, all, writers };
  });
}

let app;

/** What a loop without anything of ours takes to read and parse the log. */
async function scan({ folder }) {
  const database = new DatabaseSync(join(folder, 'runledger.db'), { readOnly: true });
  database.exec('PRAGMA cache_size = -65536; PRAGMA mmap_size = 268435456;');
  const page = database.prepare('SELECT * FROM events WHERE position > ? ORDER BY position LIMIT ?');
  const once = () => {
    let [position, events] = [0, 0];
    const started = performance.now();
    for (;;) {
      const rows = page.all(position, PAGE);
      if (rows.length === 0) break;
      for (const { data, metadata } of rows) {
        JSON.parse(data);
        JSON.parse(metadata);
      }
      events += rows.length;
      position = rows.at(-1).position;
    }
    return (events / (performance.now() - started)) * 1_000;
  };
  once();
  const rate = once();
  database.close();
  return rate;
}

/** Opens the service on the folder, and waits until its views are there. */
async function open({ dist, folder }) {
  const { createApp } = await import(`${dist}/src/app.js`);
  app = await createApp({
    PORT: '0',
    RUNLEDGER_LOG_LEVEL: 'warn',
    RUNLEDGER_DATA_DIR: folder,
    RUNLEDGER_ROLES: 'api,projector',
  });
  await app.listen();
  while (!app.kernel.runtime.ready()) await sleep(20);
  return { events: await app.kernel.ports.log.head(), views: app.kernel.projector.views.length };
}

/** Events of the log per second, until the new collections answer. @param names Views; all when left out. */
async function rebuild({ names = app.kernel.projector.views.map(({ name }) => name), events }) {
  const { projector } = app.kernel;
  const started = performance.now();
  for (const name of names) await projector.rebuild(name);
  while ((await projector.status()).some((view) => view.rebuild)) await sleep(5);
  return (events / (performance.now() - started)) * 1_000;
}

/** Writers of streams that no view looks at: what they lose is what the rebuild takes. */
async function writersMeanwhile() {
  const { projector, ports } = app.kernel;
  const rebuilding = async (work) => {
    const over = new AbortController();
    // One after the other until the writers are done: a small log is soon rebuilt.
    const again = (async () => {
      while (!over.signal.aborted) {
        await projector.rebuild(ONE_VIEW);
        while ((await projector.status()).some((view) => view.rebuild)) await sleep(5);
      }
    })();
    const result = await work();
    over.abort();
    await again;
    return result;
  };
  await writing(ports, WRITERS, 0);
  const alone = await writing(ports, WRITERS, 0);
  const meanwhile = await rebuilding(() => writing(ports, WRITERS, 0));
  const pacedAlone = await writing(ports, 1, PACE_MS);
  const paced = await rebuilding(() => writing(ports, 1, PACE_MS));
  return {
    alone: alone.perSecond,
    slowDown: Math.max(0, 1 - meanwhile.perSecond / alone.perSecond),
    pacedP99: paced.p99,
    pacedAloneP99: pacedAlone.p99,
  };
}

async function writing({ log, ids }, writers, paceMs) {
  const durations = new Durations();
  const started = performance.now();
  const write = async () => {
    const stream = `bench.writer-${randomUUID()}`;
    let expected = 'none';
    while (performance.now() - started < WRITING_MS) {
      const data = JSON.stringify({ system: 'bench', tenant: 'bench', text: 'x'.repeat(220) });
      const event = {
        id: ids.uuid(),
        type: 'thing.happened',
        data,
        metadata: '{"tenant":"bench"}',
        hash: '0'.repeat(64),
      };
      const begun = performance.now();
      ({ revision: expected } = await log.append(stream, expected, [event]));
      durations.add(performance.now() - begun);
      if (paceMs > 0) await sleep(paceMs);
    }
  };
  await Promise.all(Array.from({ length: writers }, write));
  return { perSecond: (durations.count / (performance.now() - started)) * 1_000, ...durations.summary() };
}

if (isEntry(import.meta.url)) answerParent({ scan, open, rebuild, writersMeanwhile, stop: () => app?.close() });
