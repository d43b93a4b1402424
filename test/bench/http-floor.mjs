/** HTTP: `POST /runs`, durable, chained and idempotent, beside the same framework answering a constant. */
import { join } from 'node:path';
import { medianRound } from './figures.mjs';
import { AS_STARTED, inFolder, withProcess } from './processes.mjs';

const SERVER = new URL('server.mjs', import.meta.url).href;
const CONSTANT = new URL('constant.mjs', import.meta.url).href;
const LOAD = new URL('load.mjs', import.meta.url).href;
const CLIENTS = 64;
const RUNS_A_WORKSPACE = 900;

export async function run({ dist, quick }, report) {
  const count = quick ? 500 : 8_000;
  const rounds = quick ? 1 : 3;
  const body = { user_intent: { description: 'Benchmark' }, tags: ['bench'] };
  const job = { clients: CLIENTS, count, method: 'POST', paths: ['/hypershift/runs'], body };
  const floor = await withProcess(CONSTANT, {}, (constant) =>
    withProcess(LOAD, {}, async (load) => {
      const origin = await constant.call('start');
      return measure(rounds, () => load.call('requests', { ...job, origin }));
    }),
  );
  const [plain, idempotent] = await inFolder((folder) =>
    withProcess(SERVER, AS_STARTED, (server) =>
      withProcess(LOAD, {}, async (load) => {
        const env = { RUNLEDGER_DATA_DIR: join(folder, 'data') };
        const origin = await server.call('start', { dist, env, agents: 'memory' });
        const once = async (keys) => {
          const workspaces = Math.max(16, Math.ceil(count / RUNS_A_WORKSPACE));
          const tenants = await load.call('workspaces', { origin, count: workspaces });
          const headers = tenants.map((tenant) => ({ 'x-workspace-id': tenant }));
          return load.call('requests', { ...job, origin, headers, keys });
        };
        return [await measure(rounds, () => once(false)), await measure(rounds, () => once(true))];
      }),
    ),
  );
  const against = ['constant', floor.perSecond];
  const figures = ({ perSecond: figure, p99 }) => ({
    figure,
    unit: 'requests/s',
    against,
    note: `p99 ${p99.toFixed(1)} ms`,
  });
  const goal = 'a quarter of the constant';
  report.add('HTTP', 'POST /runs, 64 clients', { ...figures(plain), atLeast: floor.perSecond / 4, goal });
  report.add('HTTP', 'the same with Idempotency-Key', { ...figures(idempotent), atLeast: floor.perSecond / 4, goal });
}

/** The first round warms up. */
async function measure(rounds, once) {
  await once();
  const measured = [];
  for (let round = 0; round < rounds; round++) measured.push(await once());
  return medianRound(measured, 'perSecond');
}
