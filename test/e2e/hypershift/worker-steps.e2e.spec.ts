import { afterEach, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { Client, said } from '../../support/http.js';
import { Hypershift, instantAgents } from '../../support/hypershift.js';

interface Job {
  readonly claim: string;
  readonly kind: string;
  readonly group: string;
  readonly attempt: number;
  readonly input: Record<string, unknown>;
}

let service: TestApp;
let runs: Hypershift;
let ledger: Client;
afterEach(() => service.close());

async function start(...steps: string[]): Promise<void> {
  const left = Object.fromEntries(steps.map((step) => [`${step.toUpperCase()}_AGENT_URL`, 'work:']));
  service = await startApp({ HYPERSHIFT_DEPLOY_TARGET: 'none', ...left }, { hypershiftAgents: instantAgents() });
  runs = Hypershift.of(service);
  ledger = new Client(service.origin);
}

async function claim(step: string, fields: object = {}): Promise<Job> {
  const asked = { kinds: [`hypershift.${step}`], worker: 'test', waitMs: 20_000, ...fields };
  const [job] = (await ledger.post<{ jobs: Job[] }>('/ledger/work/claim', asked)).body.jobs;
  if (!job) throw new Error(`Nobody asked for ${step}`);
  return job;
}

const complete = (job: Job, output: unknown) => ledger.post('/ledger/work/complete', { claim: job.claim, output });

const history = async (runId: string): Promise<string[]> => {
  const path = `/ledger/streams/hypershift.run-${runId}`;
  const { events } = (await ledger.get<{ events: { type: string; data: { step?: string; attempt?: number } }[] }>(path))
    .body;
  return events.map(({ type, data }) => [type, data.step, data.attempt].filter((part) => part !== undefined).join(' '));
};

const PLAN = { version: '1.0', appPlan: { by: 'somebody else' } };
const OVERTAKEN = 'The step was given to another worker, or is over';

describe('a step that is left to workers from outside', () => {
  it('is claimed with what its agent would be sent, and the run goes on with what comes back', async () => {
    await start('architect');
    const runId = await runs.launch({ user_intent: { description: 'A blog' } });
    const job = await claim('architect');
    expect(job).toMatchObject({ kind: 'hypershift.architect', group: runId, attempt: 1 });
    expect(job.input).toEqual({ user_intent: { description: 'A blog' }, run_id: runId });
    expect(said(await complete(job, { blueprint_manifest: PLAN }))).toEqual([200, { outcome: 'completed' }]);
    const run = await runs.still(runId);
    expect(run.architect_output).toEqual(PLAN);
    expect((await history(runId)).slice(0, 6)).toEqual([
      'run.created',
      'run.started',
      'step.offered architect',
      'step.started architect 1',
      'step.completed architect',
      'step.returned architect',
    ]);
  });

  it('may be any of them but the one that follows the publication', async () => {
    const offered = ['architect', 'builder', 'sentinel', 'finops'];
    await start(...offered);
    const runId = await runs.launch();
    for (const step of offered) expect((await complete(await claim(step), { by: step })).status).toBe(200);
    const run = await runs.still(runId);
    expect([run.status, run.builder_output, run.finops_output]).toEqual([
      'completed',
      { by: 'builder' },
      { by: 'finops' },
    ]);
    await service.close();
    await expect(startApp({ SRE_AGENT_URL: 'work:' })).rejects.toThrow('Setting SRE_AGENT_URL');
    await start();
  });

  it('stops at the gate, and goes on after it', async () => {
    await start('sentinel');
    const runId = await runs.launch({ require_approval: true });
    expect((await complete(await claim('sentinel'), { veto: false })).status).toBe(200);
    expect((await runs.run(runId)).status).toBe('blocked');
    expect((await runs.post(`/runs/${runId}/approve`)).status).toBeLessThan(300);
    expect((await runs.still(runId)).status).toBe('completed');
  });

  it('refuses an output that will not do, and takes a better one', async () => {
    await start('architect');
    const runId = await runs.launch();
    const job = await claim('architect');
    let deep: object = {};
    for (let level = 0; level < 250; level++) deep = { deep };
    for (const output of [undefined, null, 'text', [1], deep]) expect((await complete(job, output)).status).toBe(400);
    expect((await complete(job, { large: 'x'.repeat(530_000) })).status).toBe(413);
    expect(await history(runId)).not.toContain('step.completed architect');
    expect((await complete(job, PLAN)).status).toBe(200);
    expect((await runs.still(runId)).architect_output).toEqual(PLAN);
  });

  it('is given to another worker when the first falls silent, and hears the first no more', async () => {
    await start('architect');
    const runId = await runs.launch();
    const lost = await claim('architect', { leaseMs: 1_000 });
    const second = await claim('architect', { worker: 'another' });
    expect([second.group, second.attempt]).toEqual([runId, 2]);
    expect(said(await complete(lost, { by: 'the first' }))).toEqual([409, { error: OVERTAKEN }]);
    const failure = { claim: lost.claim, error: 'too late', retry: false };
    expect(said(await ledger.post('/ledger/work/fail', failure))).toEqual([409, { error: OVERTAKEN }]);
    expect((await complete(second, PLAN)).status).toBe(200);
    expect(said(await complete(second, PLAN))).toEqual([409, { error: OVERTAKEN }]);
    expect((await runs.still(runId)).architect_output).toEqual(PLAN);
  });

  it('is tried again after a failure, and fails the run when it is given up', async () => {
    await start('architect');
    const runId = await runs.launch();
    const first = await claim('architect');
    const failed = { claim: first.claim, error: 'busy', delayMs: 0 };
    expect((await ledger.post('/ledger/work/fail', failed)).status).toBe(200);
    const second = await claim('architect');
    expect(second.attempt).toBe(2);
    const givenUp = { claim: second.claim, error: 'No plan for that', retry: false };
    expect(said(await ledger.post('/ledger/work/fail', givenUp))).toEqual([200, { outcome: 'buried' }]);
    const run = await runs.still(runId);
    expect([run.status, run.failed_step, run.error]).toEqual(['failed', 'architect', 'No plan for that']);
  });

  it('waits over a restart of the service', async () => {
    await start('architect');
    const runId = await runs.launch();
    await claim('architect', { leaseMs: 1_000 });
    service = await service.restart();
    runs = Hypershift.of(service);
    ledger = new Client(service.origin);
    const job = await claim('architect');
    expect([job.group, job.attempt]).toEqual([runId, 2]);
    expect((await complete(job, PLAN)).status).toBe(200);
    expect((await runs.still(runId)).architect_output).toEqual(PLAN);
  });
});
