/**
 * A worker from outside, in a process of its own: `http-worker-process.mjs <name> work|hold <lease in ms> <kind> <origin…>`.
 *
 * It asks one API process after the other, and tells what it does as JSON lines. `work` does what it is given at once;
 * `hold` takes jobs once, keeps them by heartbeats, and reports them when it is sent a line.
 */
import { setTimeout as pause } from 'node:timers/promises';

const [name, mode, lease, kind, ...origins] = process.argv.slice(2);
const leaseMs = Number(lease);
const LIMIT = 3;
const WAIT_MS = 1_000;
const AGAIN_MS = 50;
let turn = 0;

const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

/** @returns the answer; undefined where there is none, or the service asks to come again. */
async function post(path, body) {
  turn += 1;
  try {
    const answer = await fetch(`${origins[turn % origins.length]}/ledger/work/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    return answer.status < 500 ? { status: answer.status, body: JSON.parse(text) } : undefined;
  } catch {
    // The process that was asked is gone: the next one is asked.
    return undefined;
  }
}

const plan = (attempt) => ({ version: '1.0', appPlan: { by: name, attempt }, infra: {} });

async function claim() {
  for (;;) {
    const answer = await post('claim', { kinds: [kind], worker: name, limit: LIMIT, leaseMs, waitMs: WAIT_MS });
    const jobs = answer?.body.jobs ?? [];
    for (const { claim: proof, group, attempt } of jobs) tell({ claimed: group, attempt, claim: proof });
    if (jobs.length > 0) return jobs;
    if (!answer) await pause(AGAIN_MS);
  }
}

async function complete({ claim: proof, group, attempt }) {
  for (;;) {
    const answer = await post('complete', { claim: proof, output: plan(attempt) });
    if (answer) return tell({ completed: group, attempt, status: answer.status });
    await pause(AGAIN_MS);
  }
}

if (mode === 'work') for (;;) await Promise.all((await claim()).map(complete));

const held = await claim();
process.stdin.once('data', () => void Promise.all(held.map(complete)));
for (;;) {
  const answers = await Promise.all(held.map(({ claim: proof }) => post('heartbeat', { claim: proof, leaseMs })));
  if (answers.every((answer) => answer?.status === 200)) tell({ kept: answers.length });
  await pause(leaseMs / 4);
}
