import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { startApp, type TestApp } from '../../support/app.js';
import { eventually } from '../../support/eventually.js';
import { HookReceiver } from '../../support/hook-receiver.js';
import { said } from '../../support/http.js';
import { LeapingClock } from '../../support/leaping-clock.js';
import { WebhookApi, type DeliveryBody } from '../../support/webhook-api.js';

const DAY = 24 * 3_600_000;
const env = { WEBHOOK_ALLOW_CIDRS: '127.0.0.1', RUNLEDGER_ROLES: 'api,projector,dispatcher' };

let clock: LeapingClock;
let service: TestApp;
let api: WebhookApi;
let receiver: HookReceiver;

beforeAll(async () => {
  clock = new LeapingClock();
  service = await startApp(env, { clock });
  api = new WebhookApi(service.origin);
  await api.begin();
});
afterAll(() => service.close());
beforeEach(async () => {
  receiver = await HookReceiver.start();
});
afterEach(async () => {
  await api.clear();
  await receiver.close();
});

const is =
  (status: string) =>
  (delivery: DeliveryBody): boolean =>
    delivery.status === status;

/** Lets time pass, from attempt to attempt, until the delivery is as it is said. */
async function leapUntil(id: string, done: (delivery: DeliveryBody) => boolean): Promise<DeliveryBody> {
  for (let attempts = 0; ;) {
    const delivery = await api.only(id, (each) => done(each) || each.attempts.length > attempts);
    if (done(delivery)) return delivery;
    attempts = delivery.attempts.length;
    clock.leap(Math.max(0, Date.parse(delivery.retryAt ?? '') - clock.now()) + 1);
  }
}

describe('a delivery', () => {
  it('shows each attempt: what was sent but the signature, and the start of what was answered', async () => {
    receiver.answer = () => ({ status: 500, body: 'x'.repeat(5_000) });
    const { id } = await api.create({ url: receiver.url });
    await api.createRun();
    const { id: delivery, event } = await api.only(id, is('retrying'));
    const [hook] = receiver.hooks;
    const shown = await api.get<DeliveryBody>(`/ledger/webhooks/${id}/deliveries/${delivery}`);
    expect(said(shown)).toMatchObject([
      200,
      {
        id: hook?.id,
        webhook: id,
        status: 'retrying',
        event: { type: 'run.created', system: 'hypershift', position: event?.position },
        body: hook?.body,
        retryAt: expect.any(String),
        attempts: [
          {
            round: 0,
            attempt: 1,
            status: 500,
            error: 'the receiver answered 500',
            response: 'x'.repeat(1_024),
            request: {
              url: receiver.url,
              headers: {
                'content-type': 'application/json',
                'user-agent': 'Runledger',
                'webhook-id': hook?.id,
                'webhook-timestamp': hook?.headers['webhook-timestamp'],
              },
            },
          },
        ],
      },
    ]);
    expect(shown.text).not.toContain('v1,');
  });

  it('is tried ten times within about three days, and is then a dead letter until it is asked for again', async () => {
    receiver.answer = () => ({ status: 500 });
    const { id } = await api.create({ url: receiver.url });
    await api.createRun();
    const pauses: number[] = [];
    const dead = await leapUntil(id, (each) => {
      const last = each.attempts.at(-1);
      if (last && each.retryAt !== null && pauses.length < each.attempts.length)
        pauses.push((Date.parse(each.retryAt) - Date.parse(last.sentAt)) / 1_000);
      return each.status === 'dead';
    });
    expect(dead.attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(new Set(receiver.hooks.map((hook) => hook.id))).toEqual(new Set([dead.id]));
    const standard = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
    for (const [index, least] of standard.entries()) expect(pauses[index]).toBeGreaterThanOrEqual(least);
    expect(await api.deliveries(id, '?status=dead')).toHaveLength(1);
    receiver.answer = () => ({ status: 204 });
    expect(said(await api.post(`/ledger/webhooks/${id}/resend`, { failed: true }))).toEqual([
      202,
      { requested: 1, complete: true, next: null },
    ]);
    const again = await api.only(id, is('delivered'));
    expect(again.attempts.at(-1)).toMatchObject({ round: 1, attempt: 1, status: 204, error: null });
    expect(receiver.hooks.at(-1)?.id).toBe(dead.id);
    expect(await api.deliveries(id, '?status=dead')).toEqual([]);
  });

  it('waits as long as Retry-After asks', async () => {
    receiver.answer = () => ({ status: 503, headers: { 'retry-after': '3600' } });
    const { id } = await api.create({ url: receiver.url });
    await api.createRun();
    const { retryAt, attempts } = await api.only(id, is('retrying'));
    expect(Date.parse(retryAt ?? '') - Date.parse(attempts[0]?.sentAt ?? '')).toBeGreaterThanOrEqual(3_600_000);
  });

  it('of one run stands behind the one before; those of other runs do not', async () => {
    let broken = true;
    const first = { id: '' };
    receiver.answer = ({ id, body }) => {
      if (body.includes('webhook.test')) return { status: 200 };
      first.id ||= id;
      return { status: broken && id === first.id ? 500 : 200 };
    };
    const { id } = await api.create({ url: receiver.url, types: ['*'] });
    await api.createRun();
    await eventually(() => receiver.hooks.length > 0);
    await api.createRun();
    await eventually(async () => (await api.deliveries(id, '?status=delivered')).length > 0);
    broken = false;
    clock.leap(DAY);
    await eventually(async () => (await api.deliveries(id)).every(is('delivered')));
    expect(receiver.hooks.filter((hook) => hook.id === first.id)).toHaveLength(2);
  });

  it('goes on after a restart where it was, and nothing is sent twice', async () => {
    const { id } = await api.create({ url: receiver.url });
    await api.createRun();
    await api.only(id, is('delivered'));
    receiver.answer = () => ({ status: 500 });
    await api.createRun();
    await eventually(async () => (await api.deliveries(id, '?status=retrying')).length === 1);
    const sent = receiver.hooks.length;
    service = await service.restart();
    api = Object.assign(new WebhookApi(service.origin), { made: [id] });
    receiver.answer = () => ({ status: 200 });
    clock.leap(DAY);
    await eventually(async () => (await api.deliveries(id)).every(is('delivered')));
    const [latest] = await api.deliveries(id);
    expect(latest?.attempts.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(receiver.hooks.length).toBe(sent + 1);
  });
});

describe('a service with another signing key', () => {
  it('sends nothing with a secret that it cannot open, and says so, until the secret is rotated', async () => {
    const key = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const { id, secret } = await api.create({ url: receiver.url });
    service = await service.restart({ ...env, RUNLEDGER_SIGNING_KEY: key });
    api = new WebhookApi(service.origin);
    await api.post(`/ledger/webhooks/${id}/test`);
    const { attempts } = await api.only(id, is('retrying'));
    expect(attempts).toMatchObject([
      { status: null, error: 'the secret was sealed with another signing key: rotate it' },
    ]);
    expect(receiver.hooks).toEqual([]);
    const rotated = await api.post<{ secret: string }>(`/ledger/webhooks/${id}/rotate`);
    clock.leap(60_000);
    await api.only(id, is('delivered'));
    // Signed with the wall time of the test's clock, which is ahead of the library's: the signature is compared alone.
    const [hook] = receiver.hooks;
    const seconds = String(hook?.headers['webhook-timestamp']);
    const sign = (by: string) =>
      new Webhook(by).sign(hook?.id ?? '', new Date(Number(seconds) * 1_000), hook?.body ?? '');
    expect(hook?.headers['webhook-signature']).toBe(sign(rotated.body.secret));
    expect(hook?.headers['webhook-signature']).not.toBe(sign(secret));
    await api.delete(`/ledger/webhooks/${id}`);
    service = await service.restart(env);
    api = new WebhookApi(service.origin);
  });
});

describe('a receiver', () => {
  it('that answers 410 gets nothing more', async () => {
    receiver.answer = () => ({ status: 410 });
    const { id } = await api.create({ url: receiver.url });
    await api.createRun();
    const endpoint = await eventually(async () => {
      const each = await api.endpoint(id);
      return each.status === 'disabled' && each;
    });
    expect(endpoint.disabled?.reason).toBe('gone');
    expect(await api.only(id, is('dead'))).toMatchObject({ attempts: [{ status: 410 }] });
  });

  it('that has failed for five days gets nothing more, until somebody enables it', async () => {
    receiver.answer = () => ({ status: 500 });
    const { id } = await api.create({ url: receiver.url });
    await api.createRun();
    await api.only(id, is('retrying'));
    clock.leap(5 * DAY + 60_000);
    const endpoint = await eventually(async () => {
      const each = await api.endpoint(id);
      return each.status === 'disabled' && each;
    });
    expect(endpoint).toMatchObject({ disabled: { reason: 'failing' }, health: { failingSince: expect.any(String) } });
    const { body } = await api.get<{ events: { data: object }[] }>(
      '/ledger/events?type=webhook_endpoint.disabled&order=desc&limit=1',
    );
    expect(body.events[0]?.data).toMatchObject({ endpoint: id, reason: 'failing' });
    await api.post(`/ledger/webhooks/${id}/enable`);
    clock.leap(DAY);
    await api.only(id, ({ attempts }) => attempts.length === 3);
    // Five days begin anew.
    expect((await api.endpoint(id)).status).toBe('enabled');
  });

  it('that says it is too much is given time, by all deliveries', async () => {
    let busy = true;
    receiver.answer = () => ({ status: busy ? 429 : 200, headers: busy ? { 'retry-after': '50' } : {} });
    const { id } = await api.create({ url: receiver.url });
    await api.createRun();
    await api.only(id, is('retrying'));
    busy = false;
    const other = await HookReceiver.start();
    await api.create({ url: other.url });
    for (let made = 0; made < 3; made++) await api.createRun();
    await eventually(() => other.hooks.length === 3);
    expect(receiver.hooks).toHaveLength(1);
    clock.leap(50_000);
    await eventually(async () => (await api.deliveries(id, '?status=delivered')).length >= 3);
    await other.close();
  });
});

describe('GET /ledger/webhooks/{id}/deliveries', () => {
  it('is paged, newest first', async () => {
    const { id } = await api.create({ url: receiver.url });
    for (let made = 0; made < 5; made++) await api.createRun();
    await eventually(async () => (await api.deliveries(id, '?status=delivered')).length === 5);
    const all = await api.deliveries(id);
    const path = `/ledger/webhooks/${id}/deliveries`;
    const seen: string[] = [];
    for (let query = '?limit=2'; query !== '';) {
      const { body } = await api.get<{ deliveries: DeliveryBody[]; next: string | null }>(path + query);
      seen.push(...body.deliveries.map((each) => each.id));
      query = body.next === null ? '' : `?limit=2&cursor=${encodeURIComponent(body.next)}`;
    }
    expect(seen).toEqual(all.map((each) => each.id));
    expect(
      all.every(({ body }, index) => body === receiver.hooks.find((hook) => hook.id === all[index]?.id)?.body),
    ).toBe(true);
  });

  it.each([
    ['limit=0', 'limit: 1 at least'],
    ['limit=101', 'limit: 100 at most'],
    ['limit=x', 'limit: 100 at most'],
    ['status=lost', 'status: requested, retrying, delivered or dead'],
    ['cursor=abc', 'cursor: take it from next of another page'],
    ['color=red', 'property color should not exist'],
  ])('refuses ?%s', async (query, error) => {
    const { id } = await api.create({ url: receiver.url });
    const answer = await api.get<{ error: string }>(`/ledger/webhooks/${id}/deliveries?${query}`);
    expect([answer.status, answer.body.error.split(':')[0]]).toEqual([400, error.split(':')[0]]);
  });

  it('knows no delivery of another endpoint', async () => {
    const [one, other] = [await api.create({ url: receiver.url }), await api.create({ url: receiver.url })];
    const { body } = await api.post<{ delivery: string }>(`/ledger/webhooks/${one.id}/test`);
    await api.only(one.id, is('delivered'));
    for (const name of [body.delivery, 'none', '$serving']) {
      const path = `/ledger/webhooks/${other.id}/deliveries/${name}`;
      expect(said(await api.get(path))).toEqual([404, { error: 'Delivery not found' }]);
      expect(said(await api.post(`${path}/resend`))).toEqual([404, { error: 'Delivery not found' }]);
    }
  });
});

describe('sending again', () => {
  it('one delivery keeps its id', async () => {
    const { id } = await api.create({ url: receiver.url });
    await api.createRun();
    const { id: delivery } = await api.only(id, is('delivered'));
    const answer = await api.post(`/ledger/webhooks/${id}/deliveries/${delivery}/resend`);
    expect(said(answer)).toEqual([202, { delivery }]);
    const again = await api.only(id, ({ attempts }) => attempts.length === 2);
    expect(again.attempts.map(({ round, status }) => [round, status])).toEqual([
      [0, 200],
      [1, 200],
    ]);
    expect(receiver.hooks.map((hook) => [hook.id, hook.body])).toEqual([
      [delivery, receiver.hooks[0]?.body],
      [delivery, receiver.hooks[0]?.body],
    ]);
  });

  it('what waits for its next attempt goes out at once', async () => {
    receiver.answer = () => ({ status: 500 });
    const { id } = await api.create({ url: receiver.url });
    await api.createRun();
    const { id: delivery } = await api.only(id, is('retrying'));
    receiver.answer = () => ({ status: 200 });
    await api.post(`/ledger/webhooks/${id}/deliveries/${delivery}/resend`);
    expect((await api.only(id, is('delivered'))).attempts.map(({ round }) => round)).toEqual([0, 1]);
  });

  it('a range of positions or of time sends what the filter lets through, told before or not', async () => {
    const { log } = service.app.kernel.ports;
    const after = await log.head();
    const from = clock.iso();
    const runs = [await api.createRun(), await api.createRun()];
    const before = (await log.head()) + 1;
    const { id } = await api.create({ url: receiver.url, types: ['run.created'] });
    const resend = (range: object) => api.post(`/ledger/webhooks/${id}/resend`, range);
    expect(said(await resend({ after, before }))).toEqual([202, { requested: 2, complete: true, next: null }]);
    await eventually(() => receiver.hooks.length === 2);
    expect(runs.every((run) => receiver.hooks.some(({ body }) => body.includes(run)))).toBe(true);
    await eventually(async () => (await api.deliveries(id, '?status=delivered')).length === 2);
    const to = new Date(clock.now() + 1_000).toISOString();
    expect(said(await resend({ from, to }))).toEqual([202, { requested: 2, complete: true, next: null }]);
    await eventually(() => receiver.hooks.length === 4);
    expect(said(await resend({ from: '2020-01-01', to: '2020-01-02' }))).toEqual([
      202,
      { requested: 0, complete: true, next: null },
    ]);
    expect(new Set(receiver.hooks.map((hook) => hook.id)).size).toBe(2);
  });

  it.each([
    [{}, /^Either failed/],
    [{ failed: false }, /^Either failed/],
    [{ failed: true, after: 1 }, /^Either failed/],
    [{ failed: 'yes' }, /^failed: true or false/],
    [{ after: 'x' }, /^after: a position/],
    [{ from: 'yesterday' }, /^from: a date/],
    [{ from: '2026-02-31T99:00Z' }, /^from: there is no such time/],
    [{ all: true }, /^property all/],
  ])('refuses %j', async (body, error) => {
    const { id } = await api.create({ url: receiver.url });
    expect(said(await api.post(`/ledger/webhooks/${id}/resend`, body))).toEqual([
      400,
      { error: expect.stringMatching(error) },
    ]);
  });

  it('a test says that it is one', async () => {
    const { id } = await api.create({ url: receiver.url, types: ['deploy.*'] });
    const answer = await api.post<{ delivery: string }>(`/ledger/webhooks/${id}/test`);
    expect(answer.status).toBe(202);
    const { id: delivery, event, body } = await api.only(id, is('delivered'));
    expect([delivery, event, body]).toEqual([answer.body.delivery, null, receiver.hooks[0]?.body]);
    expect(JSON.parse(body ?? '')).toMatchObject({ type: 'webhook.test', data: { endpoint: id } });
  });
});
