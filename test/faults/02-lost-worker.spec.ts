import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WorkerPool, type WorkerOptions } from '../../src/kernel/work/worker-pool.js';
import { StepFailed, type StepAgents } from '../../src/systems/hypershift/agents/step-agent.js';
import { Deployments } from '../../src/systems/hypershift/deployments/deployments.js';
import { PipelineExecutor } from '../../src/systems/hypershift/runs/pipeline.executor.js';
import { startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { report, scaled } from '../support/fault-scale.js';
import { Hypershift, instantAgents } from '../support/hypershift.js';
import { allEvents } from '../support/rebuild.js';
import { TestClock } from '../support/test-clock.js';

const KIND = 'hypershift.pipeline';
const RUNS = scaled(8, 200);
const LEASE_MS = 30_000;

describe('fault 2: a worker is lost while it holds leases', () => {
  let clock: TestClock;
  let service: TestApp;
  let client: Hypershift;
  let pools: WorkerPool[];
  let thaw: PromiseWithResolvers<void>;

  beforeEach(async () => {
    clock = new TestClock();
    const env = { RUNLEDGER_ROLES: 'api,projector,dispatcher', HYPERSHIFT_DEPLOY_TARGET: 'none' };
    service = await startApp(env, { clock });
    const workspace = await Hypershift.of(service).workspace();
    await workspace.patch(`/workspaces/${workspace.id}/tier`, { tier: 'pro' });
    client = workspace;
    pools = [];
    thaw = Promise.withResolvers();
  });

  afterEach(async () => {
    thaw.resolve();
    await Promise.all(pools.map((pool) => pool.close(0)));
    await service.close();
  });

  const queue = () => service.app.kernel.ports.queue;
  const events = () => allEvents(service.app.kernel.ports.log);

  function executor(agents: StepAgents): PipelineExecutor {
    const { kernel } = service.app;
    const options = {
      target: 'none',
      buildsHere: true,
      buildDir: service.dataDir,
      publicUrl: () => service.origin,
    } as const;
    return new PipelineExecutor(kernel, agents, new Deployments(kernel.ports.blobs, options), { stepDelayMs: 0 });
  }

  /** Another worker process. Its clock is its own: one that stands still is a process that is frozen. */
  async function startPool(
    name: string,
    agents: StepAgents,
    own = clock,
    limits: Partial<WorkerOptions> = {},
  ): Promise<void> {
    const { ports, metrics, logger } = service.app.kernel;
    const pool = new WorkerPool(ports.queue, own, ports.ids, metrics, logger, { name, leaseMs: LEASE_MS, ...limits });
    pool.register(executor(agents));
    pools.push(pool);
    await pool.start();
  }

  async function launch(count: number): Promise<string[]> {
    const runIds: string[] = [];
    for (let run = 0; run < count; run++) runIds.push(await client.launch());
    await eventually(async () => {
      const [stats] = await queue().stats();
      return (stats?.waiting ?? 0) + (stats?.leased ?? 0) === count;
    });
    return runIds;
  }

  const countOf = async (type: string, runId?: string): Promise<number> =>
    (await events()).filter((event) => event.type === type && (!runId || event.data.includes(runId))).length;

  it('redoes what a dead one held once the leases have ended, and not before', async () => {
    const runIds = await launch(RUNS);
    const request = { kinds: [KIND], worker: 'dead', leaseMs: LEASE_MS, limit: RUNS };
    expect(await queue().lease(request)).toHaveLength(RUNS);
    await startPool('survivor', instantAgents());
    await clock.advance(LEASE_MS - 1);
    expect(await countOf('step.started')).toBe(0);
    await clock.advance(1_000);
    for (const runId of runIds) expect((await client.still(runId)).status).toBe('completed');
    expect(await countOf('step.started')).toBe(RUNS * 5);
    report(2, { 'leases of a dead worker': RUNS, 'runs completed': await countOf('run.completed') });
  });

  it('refuses what a frozen one reports after its thaw, and each run ends once', async () => {
    const runIds = await launch(RUNS);
    let frozen = 0;
    const agents = instantAgents({
      builder: async () => {
        frozen += 1;
        await thaw.promise;
        return { buildSteps: ['late'] };
      },
    });
    // As many jobs as it can hold, so that it does not ask for more: whoever is frozen asks for nothing.
    await startPool('frozen', agents, new TestClock(), { concurrency: RUNS });
    await eventually(() => frozen === RUNS);
    await startPool('survivor', instantAgents());
    await clock.advance(LEASE_MS + 1_000);
    for (const runId of runIds) expect((await client.still(runId)).status).toBe('completed');
    const before = (await events()).length;
    thaw.resolve();
    await Promise.all(pools.splice(0, 1).map((pool) => pool.close(1_000_000)));
    expect((await events()).length).toBe(before);
    for (const runId of runIds) {
      expect((await client.run(runId)).builder_output).toEqual({ buildSteps: ['nothing to do'], outputDir: 'out' });
      // One more than five: the builder of the frozen worker, and the one whose report was taken.
      expect([await countOf('step.started', runId), await countOf('step.completed', runId)]).toEqual([6, 5]);
    }
    report(2, { 'leases of a frozen worker': RUNS, 'late reports refused': frozen });
  });

  it('hears nothing of what breaks in a frozen one after its thaw, and gives it nothing more to do', async () => {
    const [runId = ''] = await launch(1);
    const gate = Promise.withResolvers<void>();
    let frozen = 0;
    const judged: string[] = [];
    const broken = instantAgents({
      builder: async () => {
        frozen += 1;
        await thaw.promise;
        throw new StepFailed('Broken late');
      },
      sentinel: () => judged.push('frozen'),
    });
    await startPool('frozen', broken, new TestClock(), { concurrency: 1 });
    await eventually(() => frozen === 1);
    const survivor = instantAgents({
      sentinel: async () => {
        judged.push('survivor');
        await gate.promise;
        return { veto: false, findings: [] };
      },
    });
    await startPool('survivor', survivor);
    await clock.advance(LEASE_MS + 1_000);
    await eventually(() => judged.length === 1);
    const before = (await events()).length;
    thaw.resolve();
    // The step that the survivor has in hand has an attempt of the same number.
    await Promise.all(pools.splice(0, 1).map((pool) => pool.close(1_000_000)));
    expect((await events()).length).toBe(before);
    gate.resolve();
    expect((await client.still(runId)).status).toBe('completed');
    expect(judged).toEqual(['survivor']);
  });

  it('gives a run up after so many lost workers, and lets it fail', async () => {
    const [runId = ''] = await launch(1);
    for (let death = 1; death <= 3; death++) {
      const [lease] = await queue().lease({ kinds: [KIND], worker: `dead ${death}`, leaseMs: LEASE_MS });
      expect(lease?.attempt).toBe(death);
      await clock.advance(LEASE_MS);
    }
    await startPool('survivor', instantAgents(), clock, { maxAttempts: 3 });
    const run = await client.still(runId);
    expect([run.status, run.failed_step]).toEqual(['failed', 'architect']);
    await eventually(async () => (await queue().deadJobs(KIND)).length === 1);
    expect(await countOf('step.completed')).toBe(0);
    report(2, { 'lost workers until a run was given up': 3 });
  });
});
