import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { EventLog } from '../../../src/kernel/ports/event-log.js';
import { EventFeed } from '../../../src/ledger/events/event-feed.js';
import { startApp, type TestApp } from '../../support/app.js';
import { Client, said } from '../../support/http.js';
import { record } from '../../support/recorded-log.js';
import { SseListener } from '../../support/sse.js';
import { TestClock } from '../../support/test-clock.js';
import { until } from '../../support/until.js';

const tokens = JSON.stringify([
  { name: 'all', token: 'all', scopes: ['read'] },
  { name: 'acme', token: 'acme', scopes: ['read'], tenants: ['acme'] },
]);
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

describe('GET /ledger/events/stream', () => {
  let service: TestApp;
  let clock: TestClock;
  let log: EventLog;
  let feed: EventFeed;
  let listeners: SseListener[];
  beforeEach(async () => {
    clock = new TestClock();
    // Nothing but the API: what is in the log was put there by the test.
    service = await startApp({ RUNLEDGER_ROLES: 'api', RUNLEDGER_TOKENS: tokens }, { clock });
    log = service.app.kernel.ports.log;
    feed = service.app.nest.get(EventFeed);
    listeners = [];
  });
  afterEach(async () => {
    for (const listener of listeners) listener.close();
    await service.close();
  });

  const listen = async (query = '', headers: Readonly<Record<string, string>> = {}): Promise<SseListener> => {
    const url = `${service.origin}/ledger/events/stream${query}`;
    const listener = await SseListener.open(url, { ...bearer('all'), ...headers });
    listeners.push(listener);
    return listener;
  };
  const positions = (listener: SseListener): number[] => listener.events.map(({ position }) => position);

  it('gives what is recorded from now on, as it is recorded', async () => {
    await record(log, [{ data: { before: true } }]);
    const head = await log.head();
    const listener = await listen();
    expect(listener.response.statusCode).toBe(200);
    expect(listener.response.headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-correlation-id': expect.stringMatching(/./),
    });
    const [first] = await record(log, [{ type: 'thing.done', actor: 'ann', data: { text: 'a\nb\r\u2028c' } }]);
    await listener.whenReceived(1);
    const { body } = await new Client(`${service.origin}/ledger`, bearer('all')).get<{ events: object[] }>(
      `/events?after=${head}`,
    );
    expect(listener.messages.map(({ id, data }) => [id, JSON.parse(data)])).toEqual([[String(first), body.events[0]]]);
    const more = await record(log, [{}, {}, {}]);
    await listener.whenReceived(4);
    expect(positions(listener)).toEqual([first, ...more]);
  });

  it('says where one stands before anything has come', async () => {
    await record(log, [{}]);
    const head = await log.head();
    const listener = await listen();
    await until('the first line', () => listener.bytes > 0);
    expect([listener.lastEventId, listener.messages]).toEqual([String(head), []]);
  });

  it.each<[string, (positions: number[]) => [string, Record<string, string>]]>([
    ['Last-Event-ID', ([, second]) => ['', { 'last-event-id': String(second) }]],
    ['after', ([, second]) => [`?after=${second}`, {}]],
    ['Last-Event-ID rather than after', ([, second]) => ['?after=0', { 'last-event-id': String(second) }]],
  ])('goes on after %s, with what was recorded meanwhile and then what follows', async (_, from) => {
    const recorded = await record(log, [{}, {}, {}, {}]);
    const listener = await listen(...from(recorded));
    await listener.whenReceived(2);
    const later = await record(log, [{}]);
    await listener.whenReceived(3);
    expect(positions(listener)).toEqual([...recorded.slice(2), ...later]);
  });

  it('begins with a time', async () => {
    await record(log, [{ at: '2026-01-01T00:00:00Z' }]);
    const later = await record(log, [{ at: '2026-02-01T00:00:00Z' }, { at: '2026-02-02T00:00:00Z' }]);
    const listener = await listen('?from=2026-02-01');
    await listener.whenReceived(2);
    expect(positions(listener)).toEqual(later);
  });

  it('lets through what a filter asks for, live as well as what was recorded before', async () => {
    const wanted = {
      stream: 'beta.run-1',
      type: 'run.created',
      actor: 'ann',
      correlationId: 'c',
      data: { runId: 'r' },
    };
    const others = [
      { ...wanted, stream: 'alpha.run-1' },
      { ...wanted, type: 'step.created' },
      { ...wanted, actor: 'bob' },
      { ...wanted, correlationId: 'd' },
      { ...wanted, data: { runId: 's' } },
      { ...wanted, tenant: 'initech' },
    ];
    const before = (await record(log, [...others, wanted])).at(-1);
    const listener = await listen(
      '?after=0&system=beta&type=run.*&actor=ann&correlation=c&run=r&tenant=acme&from=2020-01-01',
    );
    await listener.whenReceived(1);
    const after = (await record(log, [...others, wanted])).at(-1);
    await listener.whenReceived(2);
    expect(positions(listener)).toEqual([before, after]);
  });

  it('shows a token its own tenants alone', async () => {
    const acme = await listen('?after=0', bearer('acme'));
    const foreign = await listen('?after=0&tenant=initech', bearer('acme'));
    const all = await listen('?after=0');
    const recorded = await record(log, [{ tenant: 'initech' }, {}, { tenant: null }, { tenant: 'initech' }, {}]);
    const last = String(recorded[4]);
    await until('all of them to be as far as the log', async () => {
      await clock.advance(15_000);
      return [acme, foreign, all].every(({ lastEventId }) => lastEventId === last);
    });
    expect(positions(all).slice(-5)).toEqual(recorded);
    expect(positions(acme)).toEqual([recorded[1], recorded[4]]);
    expect(foreign.messages).toEqual([]);
  });

  it('gives a sign of life every 15 s, and with it how far one has come', async () => {
    const listener = await listen('?type=other.thing');
    const [position] = await record(log, [{}]);
    await until('the feed to have passed it', async () => {
      await clock.advance(15_000);
      return listener.lastEventId === String(position);
    });
    expect(listener.comments).toContain('heartbeat');
    expect(listener.messages).toEqual([]);
  });

  it('feeds two hundred from one subscription to the log, and none when they have gone', async () => {
    let subscriptions = 0;
    const { subscribe } = log;
    log.subscribe = (after, options) => {
      subscriptions += 1;
      return subscribe.call(log, after, options);
    };
    const many = await Promise.all(Array.from({ length: 200 }, (_, index) => listen(index % 2 ? '' : '?type=thing.*')));
    const recorded = await record(log, [{}, {}, {}]);
    await Promise.all(many.map((listener) => listener.whenReceived(3)));
    for (const listener of many) expect(positions(listener)).toEqual(recorded);
    expect([subscriptions, feed.size]).toEqual([1, 200]);
    for (const listener of many) listener.close();
    await until('nobody to be listening', () => feed.size === 0);
    const again = await listen();
    await record(log, [{}]);
    await again.whenReceived(1);
    expect(subscriptions).toBe(2);
  });

  it('drops who takes nothing for 30 s, holds nobody up with it, and lets them go on where they were', async () => {
    const large = { data: { text: 'x'.repeat(500_000) } };
    const slow = await listen('?after=0&system=alpha');
    const quick = await listen('?after=0&system=alpha');
    slow.pause();
    // More than the kernel takes for a reader that does not read.
    const recorded = await record(
      log,
      Array.from({ length: 40 }, () => large),
    );
    await quick.whenReceived(40);
    expect(feed.size).toBe(2);
    await clock.whenSleeping(2);
    await until('the slow one to be dropped', async () => {
      await clock.advance(30_000);
      return feed.size === 1;
    });
    slow.resume();
    await slow.whenEnded();
    expect(slow.messages.length).toBeLessThan(40);
    const resumed = await listen('', { 'last-event-id': slow.lastEventId });
    await resumed.whenReceived(40 - slow.messages.length);
    expect([...positions(slow), ...positions(resumed)]).toEqual(recorded);
    expect(positions(quick)).toEqual(recorded);
  });

  it('keeps who is slow but takes what comes', async () => {
    const large = { data: { text: 'x'.repeat(500_000) } };
    const slow = await listen('?after=0&system=alpha');
    slow.pause();
    const recorded = await record(
      log,
      Array.from({ length: 40 }, () => large),
    );
    await clock.whenSleeping(2);
    await clock.advance(29_000);
    slow.resume();
    await slow.whenReceived(40);
    const later = await record(log, [{}]);
    await slow.whenReceived(41);
    await clock.advance(60_000);
    later.push(...(await record(log, [{}])));
    await slow.whenReceived(42);
    expect(positions(slow)).toEqual([...recorded, ...later]);
  });

  it('goes on after the log could not be followed for a while', async () => {
    const { subscribe } = log;
    let failures = 3;
    log.subscribe = (after, options) => {
      if (failures-- > 0) throw new Error('away');
      return subscribe.call(log, after, options);
    };
    const listener = await listen();
    const recorded = await record(log, [{}, {}]);
    await until('both events', async () => {
      await clock.advance(500);
      return listener.messages.length === 2;
    });
    expect(positions(listener)).toEqual(recorded);
  });

  it('ends at once when the service stops, so that the stop does not wait', async () => {
    const [reading, paused] = [await listen(), await listen()];
    paused.pause();
    await record(
      log,
      Array.from({ length: 40 }, () => ({ data: { text: 'x'.repeat(500_000) } })),
    );
    await reading.whenReceived(40);
    await service.app.nest.close();
    paused.resume();
    await Promise.all([reading.whenEnded(), paused.whenEnded()]);
    expect(reading.messages.length).toBe(40);
  });

  it('answers a HEAD without beginning', async () => {
    const client = new Client(`${service.origin}/ledger`, bearer('all'));
    const answer = await client.send('HEAD', '/events/stream');
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
    expect(feed.size).toBe(0);
  });

  it.each<[string, Record<string, string>, unknown]>([
    ['?limit=5', {}, 'property limit should not exist'],
    ['?after=x', {}, 'after: a position is a whole number'],
    ['', { 'last-event-id': 'x' }, 'Last-Event-ID: a position is a whole number'],
    [
      '',
      { 'last-event-id': '123456' },
      expect.stringMatching(/^The log ends at \d+, before the position to go on from$/),
    ],
  ])('refuses %s %j', async (query, headers, error) => {
    const client = new Client(`${service.origin}/ledger`, bearer('all'));
    expect(said(await client.get(`/events/stream${query}`, headers))).toEqual([400, { error }]);
  });
});
