import { afterEach, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { startApp, type TestApp } from '../support/app.js';
import { report, scaled } from '../support/fault-scale.js';
import { Hypershift, instantAgents } from '../support/hypershift.js';
import { runsOf } from '../support/hypershift-ledger.js';
import { allEvents } from '../support/rebuild.js';
import { TestClock } from '../support/test-clock.js';
import { until } from '../support/until.js';

const STEPS = scaled(100, 1_000);
const BUSY = 8;
const ENV = { HYPERSHIFT_DEPLOY_TARGET: 'none', RUNLEDGER_WORKER_CONCURRENCY: String(BUSY) };

describe('fault 8: the queue is lost while steps wait on it', () => {
  let service: TestApp;
  afterEach(() => service.close());

  /** Removes every job, behind the back of the service. @returns how many those were. */
  function wipe(): number {
    const database = new DatabaseSync(join(service.dataDir, 'views.db'), { timeout: 5_000 });
    const { changes } = database.prepare('DELETE FROM jobs').run();
    database.close();
    return Number(changes);
  }

  async function launch(): Promise<Hypershift> {
    const client = await Hypershift.of(service).workspace();
    await client.patch(`/workspaces/${client.id}/tier`, { tier: 'pro' });
    await Promise.all(Array.from({ length: STEPS }, () => client.launch()));
    return client;
  }

  async function jobs(): Promise<number> {
    const stats = await service.app.kernel.ports.queue.stats();
    return stats.reduce((sum, { waiting, delayed, leased }) => sum + waiting + delayed + leased, 0);
  }

  /** Of every run: how it ended, and how many attempts there were beyond its five steps. */
  async function ends(): Promise<{ completed: number; extra: number[] }> {
    const runs = [...runsOf(await allEvents(service.app.kernel.ports.log)).values()];
    const count = (run: (typeof runs)[number], type: string): number =>
      run.filter((event) => event.type === type).length;
    const completed = runs.filter((run) => count(run, 'run.completed') === 1 && count(run, 'step.completed') === 5);
    return { completed: completed.length, extra: runs.map((run) => count(run, 'step.started') - 5) };
  }

  it('while the service runs: the reconciler puts all of it back, and each run ends', async () => {
    const gate = Promise.withResolvers<void>();
    let executing = 0;
    const clock = new TestClock();
    const architect = async (): Promise<object> => {
      executing += 1;
      await gate.promise;
      return {};
    };
    service = await startApp(ENV, { clock, hypershiftAgents: instantAgents({ architect }) });
    await launch();
    await until('the workers are busy', async () => executing === BUSY && (await jobs()) === STEPS);
    expect(wipe()).toBe(STEPS);
    await until('the reconciler has put everything back', async () => {
      await clock.advance(1_000);
      return (await jobs()) === STEPS;
    });
    gate.resolve();
    await until('every run ends', async () => (await ends()).completed === STEPS, 60_000);
    const { completed, extra } = await ends();
    expect(completed).toBe(STEPS);
    expect(Math.max(...extra)).toBeLessThanOrEqual(1);
    expect(Math.min(...extra)).toBe(0);
    report(8, { 'steps waiting': STEPS, completed, 'extra attempts': extra.reduce((sum, one) => sum + one, 0) });
  }, 120_000);

  it('while the service is down: the next start puts all of it back', async () => {
    const env = { ...ENV, RUNLEDGER_ROLES: 'api,projector,dispatcher' };
    service = await startApp(env, { hypershiftAgents: instantAgents() });
    await launch();
    await until('all jobs wait', async () => (await jobs()) === STEPS);
    expect(wipe()).toBe(STEPS);
    service = await service.restart(ENV);
    await until('every run ends', async () => (await ends()).completed === STEPS, 60_000);
    const { completed, extra } = await ends();
    expect(extra.every((attempts) => attempts === 0)).toBe(true);
    report(8, { 'steps waiting at the start': STEPS, completed, 'extra attempts': 0 });
  }, 120_000);
});
