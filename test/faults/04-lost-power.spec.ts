import { afterEach, describe, expect, it } from '@jest/globals';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startApp, type TestApp } from '../support/app.js';
import { report, scaled } from '../support/fault-scale.js';
import { Hypershift, instantAgents } from '../support/hypershift.js';
import { runsOf } from '../support/hypershift-ledger.js';
import { allEvents, compareWithRebuild } from '../support/rebuild.js';
import { until } from '../support/until.js';
import { hypershift } from '../../src/systems/hypershift/hypershift.definition.js';

const RUNS = scaled(10, 300);
const DISPATCHING = { HYPERSHIFT_DEPLOY_TARGET: 'none', RUNLEDGER_ROLES: 'api,projector,dispatcher' };
const WORKING = { HYPERSHIFT_DEPLOY_TARGET: 'none' };

/**
 * Events are on the disk before they count. The file of what is derived from them is not waited for: after a power loss
 * it may be any of those that it has been.
 */
describe('fault 4: a power loss takes the newest of views, cursors and jobs', () => {
  let service: TestApp;
  afterEach(() => service.close());

  const derived = (): string => join(service.dataDir, 'views.db');
  const kept = (): string => join(service.dataDir, 'kept.db');

  async function launch(): Promise<void> {
    const client = await Hypershift.of(service).workspace();
    await client.patch(`/workspaces/${client.id}/tier`, { tier: 'pro' });
    await Promise.all(Array.from({ length: RUNS }, () => client.launch()));
  }

  /** The service, started anew on the state of its derived file that `change` leaves, while nothing has it open. */
  async function after(change: () => Promise<void>, env: NodeJS.ProcessEnv): Promise<TestApp> {
    const { app, restart } = service;
    await app.close();
    await change();
    return restart(env);
  }

  async function runs(): Promise<(readonly string[])[]> {
    const events = await allEvents(service.app.kernel.ports.log);
    return [...runsOf(events).values()].map((run) => run.map(({ type }) => type));
  }

  async function expectAllEnd(count: number): Promise<number> {
    const ended = async (): Promise<boolean> =>
      (await runs()).filter((run) => run.includes('run.completed')).length === count;
    await until('every run ends', ended, 60_000);
    const all = await runs();
    const times = (run: readonly string[], wanted: string): number => run.filter((type) => type === wanted).length;
    expect(all.map((run) => [times(run, 'run.completed'), times(run, 'step.completed')])).toEqual(
      all.map(() => [1, 5]),
    );
    const { projector, ports } = service.app.kernel;
    await until('the views are there', async () =>
      (await projector.status()).every(({ position, head }) => position === head),
    );
    expect((await compareWithRebuild(ports, [hypershift])).differences).toEqual([]);
    return all.reduce((sum, run) => sum + times(run, 'step.started') - 5, 0);
  }

  it('jobs that were put and never came to the disk are put again at the start', async () => {
    service = await startApp(DISPATCHING, { hypershiftAgents: instantAgents() });
    await launch();
    service = await after(() => cp(derived(), kept()), DISPATCHING);
    await launch();
    service = await after(() => cp(kept(), derived()), WORKING);
    const extra = await expectAllEnd(2 * RUNS);
    expect(extra).toBe(0);
    report(4, { 'runs before': RUNS, 'runs whose jobs and views were lost': RUNS, 'extra attempts': extra });
  }, 120_000);

  it('jobs that were done and are there again change nothing', async () => {
    service = await startApp(DISPATCHING, { hypershiftAgents: instantAgents() });
    await launch();
    service = await after(() => cp(derived(), kept()), WORKING);
    await expectAllEnd(RUNS);
    const before = await runs();
    service = await after(() => cp(kept(), derived()), WORKING);
    const { queue } = service.app.kernel.ports;
    await until('the queue is empty', async () => (await queue.stats()).length === 0);
    expect(await runs()).toEqual(before);
    await expectAllEnd(RUNS);
  }, 120_000);

  it('a file that is gone altogether is made again', async () => {
    service = await startApp(DISPATCHING, { hypershiftAgents: instantAgents() });
    await launch();
    service = await after(() => rm(derived()), WORKING);
    expect(await expectAllEnd(RUNS)).toBe(0);
  }, 120_000);
});
