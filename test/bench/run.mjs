/**
 * Measures the service against its goals, and against what one would use instead, on this machine and in this run.
 *
 *     node test/bench/run.mjs [--only P1,P3] [--quick] [--dist <folder>] [--profile <folder>]
 *
 * `--quick` takes small counts: to see that everything runs, not to quote. `--dist` measures another build, and
 * `--profile` keeps CPU profiles of the server under P1 and P2.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { withProcess } from './processes.mjs';
import { Report } from './report.mjs';

const GROUPS = [
  { ids: ['P1', 'P2'], file: 'runs.mjs' },
  { ids: ['HTTP'], file: 'http-floor.mjs' },
  { ids: ['P3', 'P5'], file: 'appends.mjs' },
  { ids: ['P4'], file: 'rebuilds.mjs' },
  { ids: ['P6'], file: 'webhooks.mjs' },
  { ids: ['P7'], file: 'foreign-work.mjs' },
  { ids: ['P8'], file: 'events-stream.mjs' },
  { ids: ['P10', 'P11'], file: 'large-log.mjs' },
  { ids: ['STACK', 'P12'], file: 'stack.mjs' },
];
const HISTORY = new URL('history.mjs', import.meta.url).href;
const RUNS = 100_000;
const QUICK_RUNS = 5_000;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string' },
    quick: { type: 'boolean', default: false },
    dist: { type: 'string', default: fileURLToPath(new URL('../../dist', import.meta.url)) },
    profile: { type: 'string' },
  },
});

const known = GROUPS.flatMap(({ ids }) => ids);
const wanted = new Set(options.only?.split(',') ?? known);
const unknown = [...wanted].filter((id) => !known.includes(id));
if (unknown.length > 0) {
  process.stderr.write(`No such group: ${unknown.join(', ')}. There are ${known.join(', ')}\n`);
  process.exit(2);
}
if (options.profile !== undefined) await mkdir(options.profile, { recursive: true });

const dist = pathToFileURL(resolve(options.dist)).href;
const { quick } = options;
let history;

/** A folder with a hundred thousand runs, made when a group first asks for it. */
async function largeLog() {
  if (history) return history;
  const runs = quick ? QUICK_RUNS : RUNS;
  const folder = await mkdtemp(join(tmpdir(), 'runledger-bench-history-'));
  history = { folder, runs };
  const { events, seconds } = await withProcess(HISTORY, {}, (child) => child.call('fill', { dist, folder, runs }));
  process.stderr.write(`  ${runs} runs in ${events} events, appended in ${seconds.toFixed(1)} s\n`);
  return Object.assign(history, { events });
}

const context = {
  quick,
  dist,
  profile: options.profile === undefined ? undefined : resolve(options.profile),
  history: largeLog,
};
const report = new Report();
const started = new Date();
const [load] = loadavg();
const busy = load > availableParallelism() / 2;
try {
  for (const { ids, file } of GROUPS) {
    if (!ids.some((id) => wanted.has(id))) continue;
    process.stderr.write(`${ids.join(', ')}\n`);
    const { run } = await import(`./${file}`);
    await run(context, report, wanted);
  }
} finally {
  if (history) await rm(history.folder, { recursive: true, force: true });
}
process.stdout.write(`\n${report.table()}\n`);
if (busy)
  process.stdout.write(`\nThe machine was busy (load ${load.toFixed(1)}): compare with the peers, not the goals.\n`);
const path = fileURLToPath(new URL('results.json', import.meta.url));
await report.write(path, { startedAt: started.toISOString(), quick, load });
