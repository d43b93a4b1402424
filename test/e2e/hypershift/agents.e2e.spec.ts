import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { Hypershift, type Run } from '../../support/hypershift.js';
import { RecordingServer, type RecordedRequest, type Reply } from '../../support/recording-server.js';
import { until } from '../../support/until.js';

const BLUEPRINT = { version: 'theirs', appPlan: [], infra: [{ id: 'queue', type: 'sqs' }] };
const ANSWERS: Readonly<Record<string, unknown>> = {
  '/architect': { blueprint_manifest: BLUEPRINT, other: 1 },
  '/builder': { buildSteps: ['make'], outputDir: 'dist', deep: { list: [1, null, 'ü'] } },
  '/sentinel': { veto: false, findings: [{ title: 'fine' }] },
  '/sre/check': { rollbackAction: 'required', incidents: [{ title: 'slow' }] },
  '/finops': { estimatedMonthlyCost: 12.5, currency: 'EUR', riskLevel: 'odd' },
};
const paths = Object.keys(ANSWERS);
const intent = { description: 'Deploy', target: 'production' };

describe('HyperShift API, agents over HTTP', () => {
  let server: RecordingServer;
  let service: TestApp;
  let client: Hypershift;
  let reply: (request: RecordedRequest) => Reply;
  const answers = ({ path }: RecordedRequest): Reply => ({ json: ANSWERS[path] });
  const urls = (): NodeJS.ProcessEnv => ({
    ARCHITECT_AGENT_URL: server.url,
    BUILDER_AGENT_URL: `${server.url}/`,
    SENTINEL_AGENT_URL: server.url,
    SRE_AGENT_URL: `${server.url}/`,
    FINOPS_AGENT_URL: server.url,
  });
  beforeAll(async () => {
    server = await RecordingServer.start((request) => reply(request));
    service = await startApp(urls());
    client = Hypershift.of(service);
    await client.patch('/workspaces/ws-default/tier', { tier: 'pro' });
  });
  beforeEach(() => {
    reply = answers;
    server.requests.length = 0;
  });
  afterAll(async () => {
    await server.close();
    await service.close();
  });

  it('get what they need, in order, and their answers are kept as they are', async () => {
    const run = await client.runThrough({ user_intent: intent });
    expect(run).toMatchObject({
      status: 'completed',
      architect_output: BLUEPRINT,
      builder_output: ANSWERS['/builder'],
      sentinel_output: ANSWERS['/sentinel'],
      sre_output: ANSWERS['/sre/check'],
      finops_output: ANSWERS['/finops'],
      deployment_url: null,
    });
    expect(server.requests.map(({ method, path }) => `${method} ${path}`)).toEqual(paths.map((path) => `POST ${path}`));
    for (const { headers } of server.requests) expect(headers['content-type']).toMatch(/^application\/json/);
    const [architect, builder, sentinel, sre, finops] = server.requests.map(({ json }) => json);
    const blueprint_manifest = BLUEPRINT;
    expect(architect).toEqual({ user_intent: intent });
    expect(builder).toEqual({ user_intent: intent, blueprint_manifest, run_id: run.id });
    expect(sentinel).toEqual({ blueprint_manifest, build_plan: ANSWERS['/builder'], run_id: run.id });
    expect(sre).toEqual({ deployment_url: null, run_id: run.id });
    expect(finops).toEqual({ blueprint_manifest, infra: BLUEPRINT.infra });
    const outputs = (await client.logs(run.id)).filter(({ action }) => action === 'step.completed');
    expect(outputs.map(({ details }) => details['output'])).toEqual([
      BLUEPRINT,
      ...paths.slice(1).map((path) => ANSWERS[path]),
    ]);
  });

  it('may answer as an architect with the blueprint itself', async () => {
    reply = (request) => (request.path === '/architect' ? { json: BLUEPRINT } : answers(request));
    expect((await client.runThrough()).architect_output).toEqual(BLUEPRINT);
  });

  it.each([[true], ['yes'], [1]])('may veto, with true and nothing else (%j)', async (veto) => {
    reply = (request) => (request.path === '/sentinel' ? { json: { veto, findings: [] } } : answers(request));
    expect((await client.runThrough()).status).toBe(veto === true ? 'blocked' : 'completed');
  });

  it('are asked by what-if as well', async () => {
    const { body } = await client.post('/what-if', { user_intent: intent, addition: 'more' });
    expect(body).toMatchObject({ estimatedMonthlyCost: 12.5, currency: 'EUR', riskLevel: 'odd' });
    expect(server.requests.map(({ path, json }) => [path, json])).toEqual([
      ['/architect', { user_intent: { description: 'Deploy more', target: 'production' } }],
      ['/finops', { blueprint_manifest: BLUEPRINT, infra: BLUEPRINT.infra }],
    ]);
  });

  const failing: [string, string, Reply, RegExp][] = [
    ['/sre/check', 'sre', { status: 500 }, /^Agent \/sre\/check returned 500$/],
    ['/architect', 'architect', { status: 404, text: '{}' }, /^Agent \/architect returned 404$/],
    ['/builder', 'builder', { status: 301 }, /^Agent \/builder returned 301$/],
    ['/finops', 'finops', { status: 200, text: '<html>fine</html>' }, /\/finops/],
    ['/sentinel', 'sentinel', { status: 200, text: '' }, /\/sentinel/],
    ['/builder', 'builder', { status: 200, text: '{"a":1} trailing' }, /\/builder/],
  ];

  it.each(failing)('fail the run at %s, in step %s, with the answer %j', async (path, step, answer, error) => {
    reply = (request) => (request.path === path ? answer : answers(request));
    const run = await client.runThrough();
    expectFailure(run, step, error);
    expect((await client.logs(run.id)).at(-1)).toMatchObject({
      action: 'run.failed',
      actor: null,
      details: { error: run.error, failed_step: step },
    });
    // What fails is not tried again: a foreign program may not bear that.
    expect(server.requests.filter((request) => request.path === path)).toHaveLength(1);
    reply = answers;
    expect((await client.runThrough()).status).toBe('completed');
  });

  it('that hang hold up nobody else', async () => {
    reply = () => 'hang';
    const hanging = await Promise.all(Array.from({ length: 5 }, () => client.launch()));
    await until('five architects to hang', () => server.requests.length === 5);
    reply = answers;
    expect((await client.runThrough()).status).toBe('completed');
    for (const id of hanging) expect(await client.run(id)).toMatchObject({ status: 'running', current_step: 1 });
  });

  it('fail the run when they take longer than AGENT_TIMEOUT_MS, or cannot be reached', async () => {
    reply = (request) => (request.path === '/sentinel' ? 'hang' : answers(request));
    const gone = await RecordingServer.start();
    await gone.close();
    const hurried = await startApp({ ...urls(), AGENT_TIMEOUT_MS: '200', FINOPS_AGENT_URL: gone.url });
    try {
      const impatient = Hypershift.of(hurried);
      expectFailure(await impatient.runThrough(), 'sentinel', /\/sentinel/);
      reply = answers;
      expectFailure(await impatient.runThrough(), 'finops', /\/finops/);
    } finally {
      await hurried.close();
    }
  });

  it('are told as SRE where the deployment is, and find it there; their advice stops nothing', async () => {
    const local = await startApp({ SRE_AGENT_URL: server.url });
    try {
      const run = await Hypershift.of(local).runThrough();
      const url = `${local.origin}/hypershift/deployments/${run.id}/`;
      expect(run).toMatchObject({ status: 'completed', sre_output: ANSWERS['/sre/check'], deployment_url: url });
      expect(server.requests.map(({ json }) => json)).toEqual([{ deployment_url: url, run_id: run.id }]);
      expect((await fetch(url)).status).toBe(200);
    } finally {
      await local.close();
    }
  });

  it('see no deployment with HYPERSHIFT_DEPLOY_TARGET=none', async () => {
    const none = await startApp({ SRE_AGENT_URL: server.url, HYPERSHIFT_DEPLOY_TARGET: 'none' });
    try {
      const other = Hypershift.of(none);
      const run = await other.runThrough();
      expect(run).toMatchObject({ status: 'completed', deployment_url: null });
      expect(server.requests.map(({ json }) => json)).toEqual([{ deployment_url: null, run_id: run.id }]);
      expect((await other.actions(run.id)).at(-1)).toBe('run.completed');
      expect((await other.get(`/deployments/${run.id}/`)).status).toBe(404);
      expect((await other.get('/status')).body).toMatchObject({ last_deploy: null });
    } finally {
      await none.close();
    }
  });
});

function expectFailure(run: Run, step: string, error: RegExp): void {
  expect(run).toMatchObject({
    status: 'failed',
    current_step: ['architect', 'builder', 'sentinel', 'sre', 'finops'].indexOf(step) + 1,
    failed_step: step,
    error: expect.stringMatching(error),
    deployment_url: null,
    [`${step}_output`]: null,
  });
}
