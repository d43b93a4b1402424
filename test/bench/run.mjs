/**
 * Measures the service against its goals, and against what one would use instead, on this machine and in this run.
 *
 *     node test/bench/run.mjs [--only P1,P3] [--quick] [--dist <folder>] [--profile <folder>]
 *
 * `--quick` takes small counts: to see that everything runs, not to quote. `--profile` keeps CPU profiles of the server.
 */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Report } from './report.mjs';

const GROUPS = [
  { ids: ['P1', 'P2'], file: 'runs.mjs' },
];

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

const context = {
  quick: options.quick,
  dist: pathToFileURL(resolve(options.dist)).href,
  profile: options.profile === undefined ? undefined : resolve(options.profile),
};
const report = new Report();
const started = new Date();
for (const { ids, file } of GROUPS) {
  if (!ids.some((id) => wanted.has(id))) continue;
  process.stderr.write(`${ids.join(', ')}\n`);
  const { run } = await import(`./${file}`);
  await run(context, report, wanted);
}
process.stdout.write(`\n${report.table()}\n`);
const path = fileURLToPath(new URL('results.json', import.meta.url));
await report.write(path, { startedAt: started.toISOString(), quick: options.quick });
