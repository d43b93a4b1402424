import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { fileURLToPath } from 'node:url';
import type { RunEvent } from '../../contracts/hypershift/run.events.js';
import type { StoredEvent } from '../../src/kernel/ports/event-log.js';
import { Luck, report, scaled } from '../support/fault-scale.js';
import { until } from '../support/until.js';
import { Fleet } from './fleet.js';
import { HttpWorker, type Claimed } from './http-worker.js';
import { Load } from './load.js';

const PROGRAM = fileURLToPath(new URL('../../bin/runledger.mjs', import.meta.url));
const KILLS = scaled(2, 20);
const PIPELINE = 'hypershift.pipeline';
const ARCHITECT = 'hypershift.architect';
const CLAIM_MS = 4_000;
/** Much longer than a busy machine keeps a heartbeat waiting. */
const LONG_CLAIM_MS = 12_000;
/** Four of them are as long as the claim. */
const HEARTBEATS = 6;
/** A bound on waiting only. */
const LIMIT_MS = 90_000;
interface Plan {
  readonly appPlan: { readonly by: string; readonly attempt: number };
}

const NOTED = /^step: \S+ \w+ was never executed$/;

describe('processes of `runledger worker`, and workers from outside, under a load of runs', () => {
  const luck = new Luck();
  const workers: HttpWorker[] = [];
  let fleet: Fleet;
  let load: Load | undefined;
  let late = 0;
  beforeAll(async () => {
    fleet = await Fleet.open({
      workerProgram: [PROGRAM, 'worker'],
      env: { ARCHITECT_AGENT_URL: 'work:', PIPELINE_STEP_DELAY_MS: '100', HYPERSHIFT_DEPLOY_TARGET: 'none' },
    });
    load = new Load(fleet.client, luck, 'worked', { descriptions: ['A blog', 'A page of a band', 'A shop'] });
    for (const name of ['first', 'second']) outside(name, 'work');
  }, 120_000);
  afterAll(async () => {
    await load?.stop().catch(() => undefined);
    await Promise.all(workers.map((worker) => worker.kill()));
    await fleet.close();
  }, 180_000);

  function outside(name: string, mode: 'work' | 'hold', leaseMs = CLAIM_MS): HttpWorker {
    const origins = fleet.processes.api.map(({ origin }) => origin);
    const worker = new HttpWorker({ name, mode, kind: ARCHITECT, leaseMs, origins });
    workers.push(worker);
    return worker;
  }

  /** One that has taken something, and keeps it. */
  async function holding(name: string, leaseMs?: number): Promise<{ worker: HttpWorker; claims: readonly Claimed[] }> {
    const worker = outside(name, 'hold', leaseMs);
    await until('it is given something, and keeps it', () => worker.heartbeats > 0, LIMIT_MS);
    return { worker, claims: worker.claimed };
  }

  const eventsOf = async (runId: string): Promise<RunEvent[]> => {
    const { ports } = await fleet.watch();
    const events = await ports.log.readStream(`hypershift.run-${runId}`);
    return events.map(eventOf);
  };

  const planned = async (runId: string): Promise<number> =>
    (await eventsOf(runId)).filter((event) => event.type === 'step.completed' && event.data.step === 'architect')
      .length;

  const done = async (claims: readonly Claimed[]): Promise<void> => {
    for (const { claimed } of claims)
      await until('another worker has done it', async () => (await planned(claimed)) > 0, LIMIT_MS);
  };

  const leased = async (kind: string): Promise<number> => {
    const { ports } = await fleet.watch();
    return (await ports.queue.stats()).find((stats) => stats.kind === kind)?.leased ?? 0;
  };

  it('kill -9 of one or both `runledger worker` with leases: what they held is done by who comes after', async () => {
    for (let round = 0; round < KILLS; round++) {
      const victims = round % 2 === 0 ? [luck.pick(fleet.processes.worker)] : fleet.processes.worker;
      await Promise.all(victims.map((victim) => victim.ready()));
      await load?.goesOn('before the kill', 2);
      await until('something is leased', async () => (await leased(PIPELINE)) > 0, LIMIT_MS);
      await Promise.all(victims.map((victim) => victim.kill()));
      await load?.goesOn('after the kill', 2);
    }
    expect(fleet.processes.worker.reduce((sum, { deaths }) => sum + deaths, 0)).toBeGreaterThanOrEqual(KILLS);
  }, 600_000);

  it('a frozen `runledger worker` that wakes up does no harm', async () => {
    const [victim, other] = fleet.processes.worker;
    if (!victim || !other) throw new Error('There are two');
    await victim.ready();
    await until('something is leased', async () => (await leased(PIPELINE)) > 0, LIMIT_MS);
    fleet.freeze(victim);
    await load?.goesOn('while one is frozen', 8);
    fleet.thaw(victim);
    await load?.goesOn('after it has woken up');
  }, 300_000);

  it('kill -9 of a worker from outside with claims: others do the jobs, and its late reports are refused', async () => {
    for (let round = 0; round < KILLS; round++) {
      const { worker, claims } = await holding(`killed ${round}`);
      await worker.kill();
      await done(claims);
      for (const [turn, { claim }] of claims.entries()) {
        // Whoever finds the claim and reports it, to whichever process.
        const { origin } = fleet.processes.api[turn % 2] ?? fleet;
        const answer = await fetch(`${origin}/ledger/work/complete`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ claim, output: { by: 'a ghost' } }),
        });
        expect([answer.status, await answer.text()]).toEqual([409, expect.stringContaining('another worker')]);
        late += 1;
      }
    }
  }, 600_000);

  it('a frozen worker from outside loses its claims, and reports in vain when it has woken up', async () => {
    const { worker, claims } = await holding('frozen');
    worker.freeze();
    await done(claims);
    worker.thaw();
    worker.report();
    await until('it has reported', () => worker.completed.length === claims.length, LIMIT_MS);
    expect(worker.completed.map(({ status }) => status)).toEqual(claims.map(() => 409));
    late += claims.length;
  }, 300_000);

  it('a worker from outside that keeps its claims by heartbeats is heard, however long it takes', async () => {
    const { worker, claims } = await holding('slow', LONG_CLAIM_MS);
    await until('its first lease would have ended', () => worker.heartbeats >= HEARTBEATS, LIMIT_MS);
    worker.report();
    await until('it has reported', () => worker.completed.length === claims.length, LIMIT_MS);
    expect(worker.completed.map(({ status }) => status)).toEqual(claims.map(() => 200));
  }, 300_000);

  it('at the end every run was planned exactly once, by whoever was told so', async () => {
    await load?.stop();
    const { problems, ...account } = await fleet.settle({ timed: false });
    // The built-in agents leave no note of what they do.
    expect(problems.filter((problem) => !NOTED.test(problem))).toEqual([]);
    const events = (await (await fleet.watch()).events()).filter(({ stream }) => stream.startsWith('hypershift.run-'));
    const steps = events.map(eventOf).filter((event) => 'step' in event.data && event.data.step === 'architect');
    const outputs = steps.flatMap((event) =>
      event.type === 'step.completed' ? [[event.data.runId, (event.data.output as Plan).appPlan] as const] : [],
    );
    const accepted = workers.flatMap(({ name, completed }) =>
      completed
        .filter(({ status }) => status === 200)
        .map((report) => [report.completed, { by: name, attempt: report.attempt }] as const),
    );
    const claimed = workers.flatMap((worker) => worker.claimed);
    report(2, {
      what: 'workers',
      seed: luck.seed,
      deaths: fleet.processes.worker.reduce((sum, { deaths }) => sum + deaths, 0),
      runs: account.runs,
      claims: claimed.length,
      accepted: accepted.length,
      'late reports refused': late,
    });
    // Those that were asked for with a key were asked for again.
    expect(accepted.map(([runId]) => runId).sort()).toEqual([...new Set(fleet.client.created)].sort());
    expect(new Map(outputs)).toEqual(new Map(accepted));
    expect(outputs).toHaveLength(account.runs);
    // Each claim was an attempt on record, and no attempt was anybody's but a claim's.
    const attempts = steps.filter(({ type }) => type === 'step.started').length;
    expect(attempts).toBe(claimed.length);
    expect(claimed.length - accepted.length).toBeGreaterThanOrEqual(late);
    expect(late).toBeGreaterThan(KILLS);
  }, 300_000);
});

const eventOf = ({ type, data }: StoredEvent): RunEvent => ({ type, data: JSON.parse(data) as unknown }) as RunEvent;
