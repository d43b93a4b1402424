import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { StepFailed } from '../../../src/systems/hypershift/agents/step-agent.js';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents, ISO_TIME, type Run } from '../../support/hypershift.js';
import { until } from '../../support/until.js';

const NOT_PENDING = [400, { error: 'Run is not pending' }];

describe('HyperShift API, Start run', () => {
  let service: TestApp;
  let client: Hypershift;
  const gates = new Map<string, PromiseWithResolvers<void>>();
  beforeAll(async () => {
    const agents = instantAgents({
      // Architects whose run is named wait until they are told to go on.
      architect: async (_, { codename }) => {
        await gates.get(codename ?? '')?.promise;
        return { version: '1.0', appPlan: [], infra: [] };
      },
      sentinel: (_, { codename }) => ({ veto: codename === 'vetoed', findings: [] }),
      sre: (_, { codename }) => {
        if (codename === 'failing') throw new StepFailed('Agent /sre/check returned 500');
        if (codename === 'broken') throw new TypeError('secret path /home/server/x.ts');
        return {};
      },
    });
    service = await startApp({}, { hypershiftAgents: agents });
    client = Hypershift.of(service);
    await client.patch('/workspaces/ws-default/tier', { tier: 'pro' });
  });
  afterAll(() => service.close());

  function gate(codename: string): PromiseWithResolvers<void> {
    const gate = Promise.withResolvers<void>();
    gates.set(codename, gate);
    return gate;
  }

  it('answers 202 without waiting, and the run is in its first step at once', async () => {
    const { resolve } = gate('held');
    const id = await client.create({ codename: 'held' });
    expect(said(await client.post(`/runs/${id}/start`))).toEqual([202, { message: 'Run started' }]);
    const run = await client.run(id);
    expect(run).toMatchObject({ status: 'running', current_step: 1, started_at: expect.stringMatching(ISO_TIME) });
    resolve();
    expect(await client.still(id)).toMatchObject({ status: 'completed', current_step: 6, deployment_url: null });
  });

  it('lets exactly one of twenty parallel starts through', async () => {
    const id = await client.create();
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.post(`/runs/${id}/start`)));
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 400).map(said)).toEqual(
      Array.from({ length: 19 }, () => NOT_PENDING),
    );
    await client.still(id);
    expect((await client.actions(id)).filter((action) => action === 'run.started')).toHaveLength(1);
  });

  it.each([
    ['completed', {}],
    ['failed', { codename: 'failing' }],
    ['blocked', { codename: 'vetoed' }],
    ['blocked', { require_approval: true }],
  ])('refuses a run that is %s (%j), and does not touch it', async (status, fields) => {
    const run = await client.runThrough(fields);
    expect(run.status).toBe(status);
    expect(said(await client.post(`/runs/${run.id}/start`))).toEqual(NOT_PENDING);
    expect(await client.run(run.id)).toEqual(run);
  });

  it('keeps the step in which a run fails, and says why', async () => {
    const run = await client.runThrough({ codename: 'failing' });
    expect(run).toMatchObject({
      status: 'failed',
      current_step: 4,
      error: 'Agent /sre/check returned 500',
      failed_step: 'sre',
      sre_output: null,
      finops_output: null,
      deployment_url: null,
      duration_ms: expect.any(Number),
    });
    expect(run.sentinel_output).not.toBeNull();
  });

  it('tells users nothing of the insides of an agent that breaks', async () => {
    const run = await client.runThrough({ codename: 'broken' });
    expect(run).toMatchObject({ status: 'failed', failed_step: 'sre', error: expect.stringMatching(/.+/) });
    expect(run.error).not.toMatch(/secret|home|\.ts/);
  });

  it('lets no run hold up another', async () => {
    const { resolve } = gate('slow');
    const slow = await Promise.all(Array.from({ length: 6 }, () => client.launch({ codename: 'slow' })));
    expect(await client.runThrough({})).toMatchObject({ status: 'completed' });
    for (const id of slow) expect(await client.run(id)).toMatchObject({ status: 'running', current_step: 1 });
    resolve();
    for (const id of slow) expect(await client.still(id)).toMatchObject({ status: 'completed' });
  });
});

describe('HyperShift API, a run in its steps', () => {
  it('goes on after a restart with the step that it was in', async () => {
    const ran: string[] = [];
    let first = true;
    const agents = instantAgents({
      architect: () => void ran.push('architect'),
      builder: (_, { signal }) => {
        ran.push('builder');
        if (!first) return {};
        first = false;
        // As a build that the end of the process cuts off.
        return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
      },
    });
    const before = await startApp({}, { hypershiftAgents: agents });
    const id = await Hypershift.of(before).launch();
    await until('the builder to begin', () => ran.includes('builder'));
    const after = await before.restart();
    try {
      expect(await Hypershift.of(after).still(id)).toMatchObject({ status: 'completed', architect_output: null });
      expect(ran).toEqual(['architect', 'builder', 'builder']);
      expect(await Hypershift.of(after).actions(id)).toEqual([
        'run.created',
        'run.started',
        'step.completed architect',
        'step.completed builder',
        'step.completed sentinel',
        'step.completed sre',
        'step.completed finops',
        'run.completed',
      ]);
    } finally {
      await after.close();
    }
  });

  it('can be followed through every step with PIPELINE_STEP_DELAY_MS', async () => {
    const service = await startApp({ PIPELINE_STEP_DELAY_MS: '250' }, { hypershiftAgents: instantAgents() });
    try {
      const client = Hypershift.of(service);
      const id = await client.launch();
      const seen: Run[] = [];
      await until('the run to end', async () => {
        seen.push(await client.run(id));
        return seen.at(-1)?.status === 'completed';
      });
      const done = (run: Run): number =>
        [run.architect_output, run.builder_output, run.sentinel_output, run.sre_output, run.finops_output].filter(
          (output) => output !== null,
        ).length;
      // The pauses show the step that comes next, or Sentinel until SRE begins; the others may pass unseen.
      const steps = seen.map(({ current_step }) => current_step);
      expect(steps).toEqual(steps.toSorted((a, b) => a - b));
      expect(steps.filter((step) => step !== 1 && step !== 4)).toEqual(expect.arrayContaining([2, 3, 5, 6]));
      for (const run of seen.filter(({ status }) => status === 'running')) {
        expect([run.current_step - 1, run.current_step]).toContain(done(run));
        expect(run.deployment_url).toBeNull();
      }
    } finally {
      await service.close();
    }
  });
});
