import { afterEach, describe, expect, it } from '@jest/globals';
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
const VARIABLES = {
  '/architect': 'ARCHITECT_AGENT_URL',
  '/builder': 'BUILDER_AGENT_URL',
  '/sentinel': 'SENTINEL_AGENT_URL',
  '/sre/check': 'SRE_AGENT_URL',
  '/finops': 'FINOPS_AGENT_URL',
} as const;
const paths = Object.keys(VARIABLES) as (keyof typeof VARIABLES)[];

describe('HyperShift API, agents over HTTP', () => {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.close();
  });

  async function start(
    only: readonly (keyof typeof VARIABLES)[],
    reply: (request: RecordedRequest, count: number) => Reply = ({ path }) => ({ json: ANSWERS[path] }),
    env: NodeJS.ProcessEnv = {},
  ): Promise<{ server: RecordingServer; service: TestApp; client: Hypershift }> {
    const server = await RecordingServer.start(reply);
    const urls = Object.fromEntries(only.map((path) => [VARIABLES[path], `${server.url}/`]));
    const service = await startApp({ ...urls, ...env });
    open.push(server, service);
    return { server, service, client: Hypershift.of(service) };
  }

  const intent = { description: 'Deploy', target: 'production' };

  it('get what they need, in order, and their answers are kept as they are', async () => {
    const { server, client } = await start(paths);
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
    expect(builder).toMatchObject({ user_intent: intent, blueprint_manifest });
    expect(sentinel).toMatchObject({ blueprint_manifest, build_plan: ANSWERS['/builder'] });
    expect(sre).toEqual({ deployment_url: null, run_id: run.id });
    expect(finops).toMatchObject({ blueprint_manifest, infra: BLUEPRINT.infra });
    const outputs = (await client.logs(run.id)).filter(({ action }) => action === 'step.completed');
    expect(outputs.map(({ details }) => details['output'])).toEqual([
      BLUEPRINT,
      ...paths.slice(1).map((path) => ANSWERS[path]),
    ]);
  });

  it('may answer as an architect with the blueprint itself', async () => {
    const { client } = await start(['/architect'], () => ({ json: BLUEPRINT }));
    expect((await client.runThrough()).architect_output).toEqual(BLUEPRINT);
  });

  it.each([[true], ['yes'], [1]])('may veto, with true and nothing else (%j)', async (veto) => {
    const { client } = await start(['/sentinel'], () => ({ json: { veto, findings: [] } }));
    expect((await client.runThrough()).status).toBe(veto === true ? 'blocked' : 'completed');
  });

  it('are told as SRE where the deployment is, and find it there; their advice stops nothing', async () => {
    const { server, service, client } = await start(['/sre/check']);
    const run = await client.runThrough();
    expect(run).toMatchObject({ status: 'completed', sre_output: ANSWERS['/sre/check'] });
    const url = `${service.origin}/hypershift/deployments/${run.id}/`;
    expect(server.requests.map(({ json }) => json)).toEqual([{ deployment_url: url, run_id: run.id }]);
    expect(run.deployment_url).toBe(url);
    expect((await fetch(url)).status).toBe(200);
  });

  it('do not see a deployment with HYPERSHIFT_DEPLOY_TARGET=none', async () => {
    const { server, service, client } = await start(['/sre/check'], undefined, { HYPERSHIFT_DEPLOY_TARGET: 'none' });
    const run = await client.runThrough();
    expect(run).toMatchObject({ status: 'completed', deployment_url: null });
    expect(server.requests[0]?.json).toEqual({ deployment_url: null, run_id: run.id });
    expect((await client.actions(run.id)).at(-1)).toBe('run.completed');
    expect((await fetch(`${service.origin}/hypershift/deployments/${run.id}/`)).status).toBe(404);
    expect((await client.get('/status')).body).toMatchObject({ last_deploy: null });
  });

  const failing: [string, string, Reply, RegExp][] = [
    ['/sre/check', 'sre', { status: 500 }, /^Agent \/sre\/check returned 500$/],
    ['/architect', 'architect', { status: 404, text: '{}' }, /^Agent \/architect returned 404$/],
    ['/builder', 'builder', { status: 301 }, /^Agent \/builder returned 301$/],
    ['/finops', 'finops', { status: 200, text: '<html>fine</html>' }, /\/finops/],
    ['/sentinel', 'sentinel', { status: 200, text: '' }, /\/sentinel/],
    ['/builder', 'builder', { status: 200, text: '{"a":1} trailing' }, /\/builder/],
    ['/architect', 'architect', 'hang', /\/architect/],
  ];

  it.each(failing)('fail the run at %s, in step %s, with the answer %j', async (path, step, reply, error) => {
    const { server, client } = await start([path as keyof typeof VARIABLES], () => reply, { AGENT_TIMEOUT_MS: '200' });
    const run: Run = await client.runThrough();
    expect(run).toMatchObject({ status: 'failed', failed_step: step, error: expect.stringMatching(error) });
    expect(run.current_step).toBe(['architect', 'builder', 'sentinel', 'sre', 'finops'].indexOf(step) + 1);
    expect([run.deployment_url, (run as unknown as Record<string, unknown>)[`${step}_output`]]).toEqual([null, null]);
    expect((await client.logs(run.id)).at(-1)).toMatchObject({
      action: 'run.failed',
      actor: null,
      details: { error: run.error, failed_step: step },
    });
    // What fails is not tried again: a foreign program may not bear that.
    expect(server.requests).toHaveLength(1);
    expect((await client.runThrough()).status).toBe('failed');
  });

  it('fail the run that cannot reach them', async () => {
    const { server, client } = await start(['/finops']);
    await server.close();
    open.shift();
    const run = await client.runThrough();
    expect(run).toMatchObject({ status: 'failed', failed_step: 'finops', error: expect.stringContaining('/finops') });
  });

  it('that hang hold up nobody else', async () => {
    let hang = true;
    const { server, client } = await start(['/builder'], ({ path }) => (hang ? 'hang' : { json: ANSWERS[path] }));
    const hanging = await Promise.all(Array.from({ length: 5 }, () => client.launch()));
    await until('five builders to hang', () => server.requests.length === 5);
    hang = false;
    expect((await client.runThrough()).status).toBe('completed');
    for (const id of hanging) expect(await client.run(id)).toMatchObject({ status: 'running', current_step: 2 });
  });
});
