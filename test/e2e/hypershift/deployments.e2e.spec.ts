import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { BuildPlan } from '../../../src/systems/hypershift/agents/builder.js';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, SABOTAGE, type Run } from '../../support/hypershift.js';

const NOT_FOUND = [404, { error: 'Not found' }];
const NASTY = 'A <script>alert("x")</script> & $(touch pwned) `id` ../../etc \u0000 for the rest api';

describe('HyperShift API, deployments', () => {
  let service: TestApp;
  let client: Hypershift;
  let run: Run;
  let base: string;
  beforeAll(async () => {
    service = await startApp();
    client = Hypershift.of(service);
    run = await client.runThrough({ user_intent: { description: NASTY }, codename: '<b>kite</b>' });
    base = `/deployments/${run.id}`;
  });
  afterAll(() => service.close());

  const plan = (): BuildPlan => run.builder_output as BuildPlan;

  it('are where the completed run says', async () => {
    expect(run).toMatchObject({ status: 'completed', deployment_url: `${client.base}${base}/` });
    expect(run.sre_output).toMatchObject({ rollbackAction: 'none', incidents: [] });
    expect((await fetch(run.deployment_url ?? '')).status).toBe(200);
  });

  it('serve every built file byte for byte, with its type, and nothing else that was generated', async () => {
    const { files, outputDir, buildSteps } = plan();
    expect([outputDir, buildSteps.every((step) => step !== '')]).toEqual(['out', true]);
    const built = files.filter(({ path }) => path.startsWith('out/'));
    expect(built.map(({ path }) => path)).toEqual(['out/health.json', 'out/index.html', 'out/openapi.json']);
    for (const { path, bytes, sha256 } of built) {
      const response = await fetch(`${client.base}${base}/${path.slice('out/'.length)}`);
      const content = Buffer.from(await response.arrayBuffer());
      expect([response.status, content.length, createHash('sha256').update(content).digest('hex')]).toEqual([
        200,
        bytes,
        sha256,
      ]);
      const type = path.endsWith('.html') ? 'text/html; charset=utf-8' : 'application/json; charset=utf-8';
      expect(response.headers.get('content-type')).toBe(type);
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    }
    for (const { path } of files.filter((file) => !built.includes(file))) {
      expect(said(await client.get(`${base}/${path}`))).toEqual(NOT_FOUND);
    }
    expect(files.every(({ path }) => !path.startsWith('/') && !path.includes('..'))).toBe(true);
    expect(JSON.stringify(run)).not.toContain(service.dataDir);
  });

  it('show the index for the folder, with and without the slash', async () => {
    const index = await client.get(`${base}/index.html`);
    expect((await client.get(`${base}/`)).text).toBe(index.text);
    expect((await client.get(base)).text).toBe(index.text);
    expect(await client.get(`${base}/health.json`)).toMatchObject({ body: { status: 'ok', run_id: run.id } });
    const head = await client.send('HEAD', `${base}/index.html`);
    expect([head.status, head.text, head.headers.get('content-type')]).toEqual([200, '', 'text/html; charset=utf-8']);
  });

  it('repeat what the user wrote as text, never as markup', async () => {
    const { text } = await client.get(`${base}/`);
    expect(text).toContain('<title>&lt;b&gt;kite&lt;/b&gt;</title>');
    expect(text).toContain('&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; $(touch pwned) `id` ../../etc');
    expect(text).not.toContain('<script>');
  });

  it("are called by the run's id where it has no codename", async () => {
    const { id } = await client.runThrough();
    expect((await client.get(`/deployments/${id}/`)).text).toContain(`<title>${id}</title>`);
  });

  it('let nobody out of their folder', async () => {
    const { id: other } = await client.runThrough();
    const ways = [
      '/..%2F..%2F..%2Frunledger.db',
      '/..%2f..%2f..%2f..%2fetc%2fpasswd',
      '/%2e%2e/%2e%2e/signing-key',
      `/..%2F${other}%2Findex.html`,
      '/..%5C..%5Crunledger.db',
      '/%2Fetc%2Fpasswd',
      '/index.html%00.png',
      '/%zz',
      '/missing.txt',
      '/..%2F',
    ];
    for (const path of ways) {
      const answer = await client.get(base + path);
      expect([path, answer.status]).toEqual([path, 404]);
      expect(answer.body).toHaveProperty('error');
    }
    // `fetch` resolves dot segments by itself, so this one is written by hand.
    expect(await rawStatus(service.origin, `/hypershift${base}/../${other}/../../../../etc/passwd`)).toBe(404);
  });

  it.each(['req-unknown-00000000', '..%2F..', '%2E%2E%2F', 'x%2Fy', '%24x', '%zz'])(
    'of the unknown run %s do not exist',
    async (id) => {
      expect((await client.get(`/deployments/${id}/`)).status).toBe(404);
      expect((await client.get(`/deployments/${id}/index.html`)).status).toBe(404);
    },
  );

  it('do not exist of runs that were vetoed, rejected, or wait', async () => {
    const vetoed = await client.runThrough(SABOTAGE);
    const waiting = await client.runThrough({ require_approval: true });
    const rejected = await client.runThrough({ require_approval: true });
    await client.post(`/runs/${rejected.id}/reject`);
    const pending = await client.create();
    for (const id of [vetoed.id, waiting.id, rejected.id, pending]) {
      expect(said(await client.get(`/deployments/${id}/`))).toEqual(NOT_FOUND);
      expect(said(await client.get(`/deployments/${id}/index.html`))).toEqual(NOT_FOUND);
    }
    expect((vetoed.builder_output as BuildPlan).files.map(({ path }) => path)).toContain('config.secret.ts');
    await client.post(`/runs/${waiting.id}/approve`);
    await client.still(waiting.id);
    expect((await client.get(`/deployments/${waiting.id}/`)).status).toBe(200);
  });

  it('are refused when the build is no longer what Sentinel has seen', async () => {
    const changed = await client.runThrough({ require_approval: true });
    const folder = join(service.dataDir, 'hypershift', 'builds', changed.id, 'out');
    await writeFile(join(folder, 'index.html'), 'something else');
    await client.post(`/runs/${changed.id}/approve`);
    expect(await client.still(changed.id)).toMatchObject({
      status: 'failed',
      current_step: 4,
      failed_step: 'deploy',
      error: expect.stringMatching(/changed since it was scanned/),
      deployment_url: null,
    });
    const linked = await client.runThrough({ require_approval: true });
    await symlink('/etc/passwd', join(service.dataDir, 'hypershift', 'builds', linked.id, 'out', 'passwd.txt'));
    await client.post(`/runs/${linked.id}/approve`);
    expect(await client.still(linked.id)).toMatchObject({ status: 'completed' });
    expect((await client.get(`/deployments/${linked.id}/passwd.txt`)).status).toBe(404);
  });

  it('survive a rollback, and a replay has its own', async () => {
    await client.post(`/runs/${run.id}/rollback`);
    expect((await client.get(`${base}/`)).status).toBe(200);
    const { body } = await client.post<{ run_id: string }>(`/runs/${run.id}/replay`);
    const replayed = await client.still(body.run_id);
    expect(replayed.deployment_url).toBe(`${client.base}/deployments/${body.run_id}/`);
    const paths = (of: Run): string[] => (of.builder_output as BuildPlan).files.map(({ path }) => path);
    expect(paths(replayed)).toEqual(paths(run));
  });

  it('are named after the loopback where the service listens everywhere', async () => {
    const everywhere = await startApp({ RUNLEDGER_HOST: '0.0.0.0' });
    try {
      const done = await Hypershift.of(everywhere).runThrough();
      expect(done.deployment_url).toMatch(
        new RegExp(`^http://127\\.0\\.0\\.1:\\d+/hypershift/deployments/${done.id}/$`),
      );
      expect(done.sre_output).toMatchObject({ rollbackAction: 'none' });
    } finally {
      await everywhere.close();
    }
  });

  it('are named after HYPERSHIFT_PUBLIC_URL, built in DEPLOY_BUILD_BASE_DIR, and outlive a restart', async () => {
    const builds = join(service.dataDir, 'elsewhere');
    const before = await startApp({ HYPERSHIFT_PUBLIC_URL: `${service.origin}/x/`, DEPLOY_BUILD_BASE_DIR: builds });
    const done = await Hypershift.of(before).runThrough();
    expect(done.deployment_url).toBe(`${service.origin}/x/deployments/${done.id}/`);
    expect(done.sre_output).toMatchObject({ rollbackAction: 'required' });
    expect(await readFile(join(builds, done.id, 'out', 'health.json'), 'utf8')).toContain(done.id);
    const after = await before.restart();
    try {
      expect((await Hypershift.of(after).get(`/deployments/${done.id}/health.json`)).status).toBe(200);
    } finally {
      await after.close();
    }
  });
});

async function rawStatus(origin: string, path: string): Promise<number> {
  const { port, hostname } = new URL(origin);
  const answer = await new Promise<string>((resolve, reject) => {
    let text = '';
    const request = `GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`;
    const socket = connect(Number(port), hostname, () => socket.write(request));
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    socket.on('close', () => resolve(text)).on('error', reject);
  });
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);
}
