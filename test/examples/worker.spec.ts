import { afterEach, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { startApp, type TestApp } from '../support/app.js';
import { Hypershift, instantAgents } from '../support/hypershift.js';

const WORKER = fileURLToPath(new URL('../../examples/worker.py', import.meta.url));

describe('examples/worker.py', () => {
  let service: TestApp | undefined;
  let worker: ChildProcess | undefined;
  afterEach(async () => {
    worker?.kill('SIGKILL');
    await service?.close();
  });

  it('does steps of runs in another language', async () => {
    const token = 'secret-of-python';
    service = await startApp(
      {
        ARCHITECT_AGENT_URL: 'work:',
        HYPERSHIFT_DEPLOY_TARGET: 'none',
        RUNLEDGER_TOKENS: JSON.stringify([{ name: 'python', token, scopes: ['work'] }]),
      },
      { hypershiftAgents: instantAgents() },
    );
    worker = spawn('python3', [WORKER, '--url', service.origin, '--jobs', '2'], {
      env: { PATH: process.env['PATH'], RUNLEDGER_TOKEN: token },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said = Promise.all([text(worker.stdout ?? fail()), text(worker.stderr ?? fail()), once(worker, 'exit')]);
    const client = Hypershift.of(service);
    const runs = [];
    for (const description of ['A small blog', 'A landing page for a band'])
      runs.push(await client.runThrough({ user_intent: { description } }));
    expect(runs.map(({ status, architect_output: plan }) => [status, plan])).toEqual([
      ['completed', { version: '1.0', appPlan: { name: 'a-small-blog', words: 3 }, infra: {} }],
      ['completed', { version: '1.0', appPlan: { name: 'a-landing-page', words: 6 }, infra: {} }],
    ]);
    const [lines, problems, [code]] = await said;
    expect([code, problems]).toEqual([0, '']);
    expect(lines.trim().split('\n')).toEqual(runs.map(({ id }) => `${id}: done, attempt 1`));
  });
});

function fail(): never {
  throw new Error('The worker has no output');
}
