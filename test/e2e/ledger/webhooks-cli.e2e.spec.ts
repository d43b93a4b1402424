import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { runCommand, type CommandOutcome } from '../../support/cli.js';
import { HookReceiver } from '../../support/hook-receiver.js';
import { verified, WebhookApi, TENANT, type EndpointBody } from '../../support/webhook-api.js';

let service: TestApp;
let api: WebhookApi;
let receiver: HookReceiver;

beforeAll(async () => {
  service = await startApp({ WEBHOOK_ALLOW_CIDRS: '127.0.0.1', RUNLEDGER_ROLES: 'api,projector,dispatcher' });
  api = new WebhookApi(service.origin);
});
afterAll(() => service.close());
beforeEach(async () => {
  receiver = await HookReceiver.start();
});
afterEach(async () => {
  await api.clear();
  await receiver.close();
});

const webhooks = (...args: string[]): Promise<CommandOutcome> =>
  runCommand(['webhooks', ...args, '--url', service.origin]);

describe('runledger webhooks', () => {
  it('sets an endpoint up, tests, lists and rotates it, and stops it', async () => {
    const created = await webhooks('create', receiver.url, '--tenant', TENANT, '--type', 'run.*', 'deploy.*', '--json');
    expect(created.code).toBe(0);
    const { id, secret } = created.json<EndpointBody>();
    const tested = await webhooks('test', id);
    expect([tested.code, tested.stdout]).toEqual([0, 'It arrived: 200']);
    expect(receiver.hooks[0] && verified(receiver.hooks[0], secret)).toMatchObject({ type: 'webhook.test' });
    const listed = await webhooks('list', '--tenant', TENANT);
    expect(listed.stdout.replaceAll(/ +/g, ' ')).toBe(
      `ID TENANT STATUS DELIVERED DEAD TYPES ADDRESS\n${id} ${TENANT} enabled 1 0 run.*,deploy.* ${receiver.url}`,
    );
    const rotated = await webhooks('rotate', id, '--overlap-hours', '0');
    expect(rotated.stdout).toMatch(/^secret: whsec_/);
    const deliveries = await webhooks('deliveries', id, '--status', 'delivered');
    expect(deliveries.stdout).toMatch(/\S+ +webhook\.test +delivered +1 +200$/);
    expect((await webhooks('disable', id)).stdout).toBe(`${id} is disabled`);
    const refused = await webhooks('test', id);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('disabled: enable it first')]);
    expect((await webhooks('enable', id)).stdout).toBe(`${id} is enabled`);
    await api.delete(`/ledger/webhooks/${id}`);
  });

  it('says that a test did not arrive, with exit code 1', async () => {
    receiver.answer = () => ({ status: 401 });
    const { id } = await api.create({ url: receiver.url });
    const tested = await webhooks('test', id);
    expect([tested.code, tested.stdout]).toEqual([1, 'It did not arrive: the receiver answered 401']);
  });

  it('sends again one delivery, what was given up, or a range', async () => {
    const { id } = await api.create({ url: receiver.url, types: ['run.created'] });
    await api.createRun();
    const { id: delivery } = await api.only(id, ({ status }) => status === 'delivered');
    expect((await webhooks('resend', id, delivery)).stdout).toBe(`${delivery} is sent again`);
    await api.only(id, ({ attempts }) => attempts.length === 2);
    expect((await webhooks('resend', id, '--failed', '--json')).json()).toEqual({ requested: 0 });
    expect((await webhooks('resend', id, '--after', '0', '--json')).json()).toEqual({ requested: 1 });
    await api.only(id, ({ attempts }) => attempts.length === 3);
    for (const args of [[id], [id, delivery, '--failed'], [id, '--failed', '--after', '0']]) {
      const wrong = await webhooks('resend', ...args);
      expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/^One of: a delivery/)]);
    }
  });

  it('wants a server, and whole numbers', async () => {
    const nowhere = await runCommand(['webhooks', 'list']);
    expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringContaining('--url or RUNLEDGER_URL')]);
    const wrong = await webhooks('rotate', 'we_x', '--overlap-hours', 'two');
    expect([wrong.code, wrong.stderr]).toEqual([2, '--overlap-hours is a whole number']);
    const unknown = await webhooks('rotate', 'we_x');
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('404')]);
  });
});
