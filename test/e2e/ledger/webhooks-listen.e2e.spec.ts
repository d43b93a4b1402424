import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { runCommand } from '../../support/cli.js';
import { Listener } from '../../support/listener.js';
import { RecordingServer } from '../../support/recording-server.js';
import { TENANT, WebhookApi, type EndpointBody } from '../../support/webhook-api.js';
import { until } from '../../support/until.js';

interface Taken {
  readonly id: string;
  readonly type: string;
  readonly body: { readonly data: { readonly runId: string } };
}

const ROLES = { RUNLEDGER_ROLES: 'api,projector,dispatcher' };

describe('runledger webhooks listen --endpoint', () => {
  let service: TestApp;
  let api: WebhookApi;
  beforeAll(async () => {
    service = await startApp({ ...ROLES, WEBHOOK_ALLOW_CIDRS: '127.0.0.1' });
    api = new WebhookApi(service.origin);
  });
  afterAll(() => service.close());

  const endpoints = async (): Promise<EndpointBody[]> =>
    (await api.get<{ webhooks: EndpointBody[] }>('/ledger/webhooks')).body.webhooks;
  const listen = async (...args: string[]): Promise<Listener> => {
    const listener = await Listener.start(['--endpoint', '--tenant', TENANT, '--url', service.origin, ...args]);
    await until('it is told', () => listener.notes.some((note) => note.endsWith(' is told here until this ends')));
    return listener;
  };

  it('is told what happens as long as it listens, and leaves no endpoint behind', async () => {
    const listener = await listen('--json', '--type', 'run.created');
    const [endpoint] = await endpoints();
    expect(endpoint).toMatchObject({ tenant: TENANT, url: listener.url, types: ['run.created'], status: 'enabled' });
    const runs = [await api.createRun(), await api.createRun()];
    await until('both have come', () => listener.lines.length === 2);
    const { code } = await listener.stop();
    const taken = listener.printed<Taken>();
    expect(taken.map(({ type }) => type)).toEqual(['run.created', 'run.created']);
    expect(taken.map(({ body }) => body.data.runId).sort()).toEqual(runs.sort());
    expect([code, await endpoints()]).toEqual([0, []]);
  });

  it('passes on what happens, and not the test that it begins with', async () => {
    const program = await RecordingServer.start();
    const listener = await listen('--type', 'run.created', '--forward', program.url, '--limit', '1');
    await api.createRun();
    expect((await listener.outcome).code).toBe(0);
    expect(listener.lines).toEqual([expect.stringMatching(/ run\.created .* forwarded: 200$/)]);
    expect(program.requests).toMatchObject([{ json: { type: 'run.created' } }]);
    expect(await endpoints()).toEqual([]);
    await program.close();
  });

  it('ends after as many as it was asked for, however many come at the same time', async () => {
    const listener = await listen('--type', 'run.*', '--limit', '3');
    await Promise.all(Array.from({ length: 4 }, () => api.createRun()));
    expect((await listener.outcome).code).toBe(0);
    expect(listener.lines).toHaveLength(3);
  });

  it('says what a server needs that does not reach it, and leaves no endpoint behind', async () => {
    const closed = await startApp(ROLES);
    const args = ['webhooks', 'listen', '--endpoint', '--tenant', TENANT, '--url', closed.origin];
    const { code, stdout, stderr } = await runCommand(args);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(
      /does not reach http:\S+: Blocked address: 127\.0\.0\.1 .* WEBHOOK_ALLOW_CIDRS=127\.0\.0\.1/,
    );
    const left = await new WebhookApi(closed.origin).get<{ webhooks: unknown[] }>('/ledger/webhooks');
    expect(left.body.webhooks).toEqual([]);
    await closed.close();
  });

  it('does not begin where it is not said whose events they are', async () => {
    const args = ['webhooks', 'listen', '--endpoint', '--url', service.origin];
    const { code, stderr } = await runCommand(args);
    expect([code, stderr]).toEqual([1, expect.stringContaining('answers 400 to /ledger/webhooks')]);
  });
});
