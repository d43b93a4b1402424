import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { Webhook } from 'standardwebhooks';
import type { WebhookEvent } from '../../../contracts/webhook.events.js';
import { counterDecider, counterStream } from '../../../test/support/counter.js';
import { eventually } from '../../../test/support/eventually.js';
import { FaultyLog } from '../../../test/support/faulty-log.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { Cursors } from '../cursors.js';
import { OutboundClient } from '../outbound/outbound-client.js';
import { ReadableEvents } from '../readable-events.js';
import type { WebhookEndpoint } from './endpoint.js';
import { deliveryId, WebhookSender } from './sender.js';

interface Post {
  readonly delivery: string;
  readonly counter: string;
  readonly position: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let ledger: TestLedger;
let client: OutboundClient;
let receiver: Server;
let url: string;
let posts: Post[];
/** What the receiver says to a post. */
let answer: (post: Post) => number | Promise<number>;
let running: WebhookSender[];

beforeEach(async () => {
  ledger = await TestLedger.open();
  client = new OutboundClient({ clock: ledger.clock });
  posts = [];
  answer = () => 200;
  running = [];
  receiver = createServer((request, response) => {
    void text(request).then(async (body) => {
      const { counter, position } = JSON.parse(body) as { counter: string; position: number };
      const post = {
        delivery: String(request.headers['x-delivery']),
        counter,
        position,
        headers: request.headers,
        body,
      };
      posts.push(post);
      response.writeHead(await answer(post)).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
});
afterEach(async () => {
  await Promise.all(running.map((sender) => sender.close()));
  await client.close();
  receiver.closeAllConnections();
  await new Promise((resolve) => receiver.close(resolve));
  await ledger.close();
});

const endpoint = (fields: Partial<WebhookEndpoint> = {}): WebhookEndpoint => ({
  id: 'hook',
  system: 'sample',
  url,
  guarded: false,
  secrets: [],
  schedule: { timeoutMs: 5_000, pausesMs: [1_000, 60_000] },
  types: ['counter.added', 'counter.closed'],
  message({ event, position }, id) {
    const { counter } = event.data as { counter: string };
    if (event.type === 'counter.closed') return undefined;
    const headers = { 'content-type': 'application/json', 'x-delivery': id };
    return { event: event.type, tenant: 'acme', runId: counter, headers, body: JSON.stringify({ counter, position }) };
  },
  ...fields,
});

async function start(to = endpoint(), log = ledger.log, maxPending?: number): Promise<WebhookSender> {
  const { catalog, metrics, logger, clock } = ledger;
  const events = new ReadableEvents(catalog, metrics, logger);
  const cursors = new Cursors(ledger.store.views);
  const sender = new WebhookSender(
    log,
    cursors,
    ledger.streams(log),
    events,
    client,
    clock,
    metrics,
    logger,
    to,
    () => true,
    maxPending,
  );
  await sender.start();
  running.push(sender);
  return sender;
}

async function stop(sender: WebhookSender): Promise<void> {
  running = running.filter((each) => each !== sender);
  await sender.close();
}

/** What the log says of attempts, oldest first. */
async function recorded(): Promise<WebhookEvent[]> {
  const events = (await ledger.events()).filter(({ type }) => type.startsWith('webhook.'));
  return events.map(({ type, data }) => ({ type, data: JSON.parse(data) as object }) as WebhookEvent);
}

const outcomes = async (): Promise<string[]> =>
  (await recorded()).map(({ type, data }) => `${data.runId} ${type} ${data.attempts}`);
const until = (look: () => boolean | Promise<boolean>): Promise<true> => eventually(look);
const untilRecorded = (count: number): Promise<true> => until(async () => (await recorded()).length >= count);
const cursor = (): Promise<number | undefined> => new Cursors(ledger.store.views).load('webhook hook');

describe('deliveries', () => {
  it('go out in the log’s order in each lane, once, and every one is recorded', async () => {
    await start();
    for (let round = 0; round < 10; round++) for (const counter of ['a', 'b', 'c']) await ledger.count(counter);
    await untilRecorded(30);
    for (const counter of ['a', 'b', 'c']) {
      const positions = posts.filter((post) => post.counter === counter).map(({ position }) => position);
      expect(positions).toEqual([...positions].sort((x, y) => x - y));
      expect(positions).toHaveLength(10);
    }
    expect(new Set(posts.map(({ delivery }) => delivery)).size).toBe(30);
    expect((await recorded()).every(({ type }) => type === 'webhook.delivered')).toBe(true);
  });

  it('2,000 of them all arrive, each once', async () => {
    await ledger.fill(400, 3);
    await start();
    await ledger.fill(400, 2);
    await untilRecorded(2_000);
    expect(posts).toHaveLength(2_000);
    expect(new Set(posts.map(({ position }) => position)).size).toBe(2_000);
  });

  it('are named by endpoint and event alone', async () => {
    await start();
    await ledger.count('a');
    await untilRecorded(1);
    const [event] = await ledger.events();
    expect(posts[0]?.delivery).toBe(deliveryId('hook', event?.id ?? ''));
    expect(posts[0]?.delivery).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(deliveryId('hook', 'x')).not.toBe(deliveryId('other', 'x'));
  });

  it('leave out what is nothing for the receiver', async () => {
    await start();
    await ledger.streams().transact(counterDecider, counterStream('a'), { type: 'close', counter: 'a' });
    await ledger.count('b');
    await untilRecorded(1);
    expect(posts.map(({ counter }) => counter)).toEqual(['b']);
  });

  it('are signed so that the receiver can verify them', async () => {
    const secret = `whsec_${Buffer.alloc(24, 7).toString('base64')}`;
    await start(endpoint({ secrets: [secret] }));
    ledger.clock.set(Date.now());
    await ledger.count('a');
    await untilRecorded(1);
    const { headers, body } = posts[0] as Post;
    expect(new Webhook(secret).verify(body, headers as Record<string, string>)).toMatchObject({ counter: 'a' });
  });

  it('are never more than 64 at the same time', async () => {
    let now = 0;
    let most = 0;
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    answer = async () => {
      now += 1;
      most = Math.max(most, now);
      await opened;
      now -= 1;
      return 200;
    };
    await ledger.fill(150, 1);
    await start();
    await until(() => now === 64);
    open();
    await untilRecorded(150);
    expect(most).toBe(64);
  });
});

describe('a receiver that fails', () => {
  it('is tried again after each pause with the same delivery, and given up after the last', async () => {
    answer = () => 503;
    await start();
    await ledger.count('a');
    await untilRecorded(1);
    await ledger.clock.advance(999);
    expect(posts).toHaveLength(1);
    await ledger.clock.advance(1);
    await untilRecorded(2);
    await ledger.clock.advance(60_000);
    await untilRecorded(3);
    expect(await outcomes()).toEqual([
      'a webhook.attempt_failed 1',
      'a webhook.attempt_failed 2',
      'a webhook.abandoned 3',
    ]);
    expect(new Set(posts.map(({ delivery }) => delivery)).size).toBe(1);
    const [first, , last] = await recorded();
    expect(first?.data).toMatchObject({
      system: 'sample',
      tenant: 'acme',
      endpoint: 'hook',
      event: 'counter.added',
      status: 503,
      error: 'the receiver answered 503',
      retryAt: '2026-01-01T00:00:01.000Z',
    });
    expect(last?.data).not.toHaveProperty('retryAt');
  });

  it('is tried again after its pause, however far ahead the clock was of the process that has recorded it', async () => {
    answer = () => 500;
    const now = ledger.clock.now();
    ledger.clock.set(now + 3_600_000);
    const sender = await start();
    await ledger.count('a');
    await untilRecorded(1);
    await stop(sender);
    ledger.clock.set(now);
    answer = () => 200;
    await start();
    await eventually(
      async () => (await recorded()).length >= 2,
      () => ledger.clock.advance(100),
    );
    expect(await outcomes()).toEqual(['a webhook.attempt_failed 1', 'a webhook.delivered 2']);
  });

  it('for one run holds up only that run', async () => {
    answer = ({ counter }) => (counter === 'a' ? 500 : 200);
    await start();
    await ledger.count('a', 3);
    await ledger.count('b', 3);
    await untilRecorded(4);
    expect(posts.filter(({ counter }) => counter === 'a')).toHaveLength(1);
    expect(posts.filter(({ counter }) => counter === 'b')).toHaveLength(3);
  });

  it('and recovers gets what waited, in order', async () => {
    let broken = true;
    answer = () => (broken ? 500 : 200);
    await start();
    await ledger.count('a', 3);
    await untilRecorded(1);
    broken = false;
    await ledger.clock.advance(1_000);
    await untilRecorded(4);
    expect(await outcomes()).toEqual([
      'a webhook.attempt_failed 1',
      'a webhook.delivered 2',
      'a webhook.delivered 1',
      'a webhook.delivered 1',
    ]);
    const accepted = posts.slice(1).map(({ position }) => position);
    expect(accepted).toEqual([...accepted].sort((x, y) => x - y));
  });

  it('for good holds up nothing but what was given up', async () => {
    answer = ({ position }) => (position === 1 ? 500 : 200);
    await start(endpoint({ schedule: { timeoutMs: 5_000, pausesMs: [] } }));
    await ledger.count('a', 2);
    await untilRecorded(2);
    expect(await outcomes()).toEqual(['a webhook.abandoned 1', 'a webhook.delivered 1']);
  });

  it('because nobody listens is recorded without a status', async () => {
    await start(endpoint({ url: 'http://127.0.0.1:1/' }));
    await ledger.count('a');
    await untilRecorded(1);
    expect((await recorded())[0]).toMatchObject({ type: 'webhook.attempt_failed', data: { status: null } });
  });
});

describe('a restart', () => {
  it('keeps attempts and due time', async () => {
    answer = () => 500;
    const first = await start();
    await ledger.count('a');
    await untilRecorded(1);
    await ledger.clock.advance(1_000);
    await untilRecorded(2);
    await stop(first);
    await ledger.clock.advance(20_000);
    await ledger.reopen();
    await start();
    await ledger.clock.whenSleeping();
    await ledger.clock.advance(39_999);
    expect(posts).toHaveLength(2);
    await ledger.clock.advance(1);
    await untilRecorded(3);
    expect((await outcomes()).at(-1)).toBe('a webhook.abandoned 3');
  });

  it('sends nothing again that was delivered or given up', async () => {
    answer = ({ counter }) => (counter === 'b' ? 500 : 200);
    const once = endpoint({ schedule: { timeoutMs: 5_000, pausesMs: [] } });
    const first = await start(once);
    await ledger.count('a', 2);
    await ledger.count('b', 2);
    await untilRecorded(4);
    await stop(first);
    await start(once);
    await ledger.count('c');
    await untilRecorded(5);
    expect(posts).toHaveLength(5);
  });

  it('sends nothing again when the cursor was lost', async () => {
    const first = await start();
    await ledger.fill(20, 5);
    await untilRecorded(100);
    await stop(first);
    await new Cursors(ledger.store.views).forget();
    await start();
    await ledger.count('z');
    await untilRecorded(101);
    expect(posts).toHaveLength(101);
  });

  it('begins no later than at the oldest delivery that is not settled', async () => {
    answer = ({ counter }) => (counter === 'a' ? 500 : 200);
    await ledger.count('x', 2);
    const first = await start();
    await ledger.count('a');
    await ledger.count('b', 5);
    await untilRecorded(8);
    const [, , stuck] = await ledger.events();
    await stop(first);
    expect(await cursor()).toBeLessThan(stuck?.position ?? 0);
    answer = () => 200;
    await start();
    await ledger.clock.whenSleeping();
    await ledger.clock.advance(1_000);
    await untilRecorded(9);
    expect((await outcomes()).at(-1)).toBe('a webhook.delivered 2');
    expect(posts.filter(({ counter }) => counter === 'b')).toHaveLength(5);
  });

  it('sends what was written while nobody sent, however much that is', async () => {
    await ledger.fill(60, 10);
    await start(endpoint(), ledger.log, 10);
    await ledger.fill(60, 1);
    await untilRecorded(660);
    expect(posts).toHaveLength(660);
  });
});

describe('a log that does not take the outcome', () => {
  it('is asked until it does, and the receiver is not', async () => {
    const log = new FaultyLog(ledger.log);
    await start(endpoint(), log);
    log.refuseAppends = 7;
    await ledger.count('a', 2);
    await eventually(
      async () => (await recorded()).length === 2,
      () => ledger.pass(1_000),
    );
    expect(posts).toHaveLength(2);
  });

  it('before the stop leaves the delivery open: the next start sends it again, under the same name', async () => {
    const log = new FaultyLog(ledger.log);
    const first = await start(endpoint(), log);
    log.refuseAppends = 1_000;
    await ledger.count('a');
    await until(() => log.sent.length > 0);
    await ledger.whileTimePasses(stop(first));
    expect(await recorded()).toEqual([]);
    await start();
    await untilRecorded(1);
    expect(posts).toHaveLength(2);
    expect(posts[1]?.delivery).toBe(posts[0]?.delivery);
  });
});
