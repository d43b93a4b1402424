import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type {
  EventStoreDbEventLog,
  EventStoreDbOptions,
} from '../../src/adapters/eventstoredb/eventstoredb-event-log.js';
import { Unavailable } from '../../src/kernel/errors.js';
import { START, type EventLog, type SealedEvent } from '../../src/kernel/ports/event-log.js';
import { connectLog, DoubleFolder } from '../support/eventstoredb/double-folder.js';
import type { EventStoreDbDouble } from '../support/eventstoredb/eventstoredb-double.js';
import { sealedEvents } from '../support/sealed-event.js';
import { until } from '../support/until.js';
import { Collected } from './collected.js';

describe('the EventStoreDB adapter in an outage', () => {
  let folder: DoubleFolder;
  let server: EventStoreDbDouble;
  const logs: EventStoreDbEventLog[] = [];

  beforeEach(async () => {
    folder = await DoubleFolder.open({ copiesInFlightTimeOut: true });
    server = folder.server;
  });
  afterEach(async () => {
    server.thaw();
    for (const log of logs.splice(0)) await log.close();
    await folder.close();
  });

  function connect(options: Partial<EventStoreDbOptions> = {}, query = ''): EventStoreDbEventLog {
    const log = connectLog(`${server.url}${query}`, options);
    logs.push(log);
    return log;
  }

  const idsOf = (events: readonly SealedEvent[]): string[] => events.map(({ id }) => id);

  it('stores once what was stored when the connection broke before the answer', async () => {
    const log = connect();
    server.faults.loseAnswers = 3;
    const events = sealedEvents(3);
    const answer = await log.append('orders-1', 'none', events);
    expect(server.faults.loseAnswers).toBe(0);
    expect(idsOf(await log.readStream('orders-1'))).toEqual(idsOf(events));
    expect(answer).toEqual({ revision: 2, position: await log.head() });
  });

  it('stores once what was stored and never answered', async () => {
    const log = connect({ attemptMs: 200 });
    server.faults.swallowAnswers = 2;
    const events = sealedEvents(2);
    expect(await log.append('orders-1', 'none', events)).toMatchObject({ revision: 1 });
    expect(idsOf(await log.readStream('orders-1'))).toEqual(idsOf(events));
    expect(server.calls.append).toBe(3);
  });

  it('tries again while the server stops', async () => {
    const log = connect();
    server.faults.notReady = 4;
    expect(await log.append('orders-1', 'none', sealedEvents(1))).toMatchObject({ revision: 0 });
    expect(server.calls.append).toBe(5);
  });

  it('finishes an append, a read and a look at the head that began while the server was away', async () => {
    const log = connect({ patienceMs: 20_000 });
    const { position } = await log.append('orders-1', 'none', sealedEvents(1));
    await server.stop();
    const working = [log.append('orders-1', 0, sealedEvents(1)), log.readStream('orders-1'), log.head()] as const;
    await server.start();
    const [appended, read, head] = await Promise.all(working);
    expect(appended.revision).toBe(1);
    expect(read[0]?.position).toBe(position);
    expect(head).toBeGreaterThanOrEqual(position);
  });

  it('says Unavailable and stores nothing when an append is taken up too late', async () => {
    const log = connect({ patienceMs: 150, attemptMs: 50 });
    server.faults.appendDelayMs = 500;
    await expect(log.append('orders-1', 'none', sealedEvents(1))).rejects.toThrow(Unavailable);
    server.faults.appendDelayMs = 0;
    const events = sealedEvents(1);
    await log.append('orders-2', 'none', events);
    expect(idsOf(await log.readAll(START))).toEqual(idsOf(events));
  });

  it('gives reads from a frozen server up, and reads on after the thaw', async () => {
    const log = connect({ patienceMs: 300, attemptMs: 100 });
    const events = sealedEvents(5);
    await log.append('orders-1', 'none', events);
    server.freeze();
    for (const read of [log.readStream('orders-1'), log.readAll(START), log.head()]) {
      await expect(read).rejects.toThrow(Unavailable);
    }
    server.thaw();
    expect(idsOf(await log.readStream('orders-1'))).toEqual(idsOf(events));
  });

  it('notices by itself that a subscription hangs on a frozen server', async () => {
    // The client warns of intervals as short as a test needs them.
    const warn = jest.spyOn(console, 'warn').mockImplementation(() => undefined);
    const log = connect({ attemptMs: 200 }, '&keepAliveInterval=200&keepAliveTimeout=200');
    warn.mockRestore();
    const seen = new Collected(log, START);
    const events = sealedEvents(2);
    await log.append('orders-1', 'none', events.slice(0, 1));
    await seen.count(1);
    const before = server.calls.read;
    server.freeze();
    await until('the connection was given up', () => server.connections > 1);
    server.thaw();
    await log.append('orders-1', 0, events.slice(1));
    await seen.count(2);
    await seen.end();
    expect(seen.ids).toEqual(idsOf(events));
    expect(server.calls.read).toBeGreaterThan(before);
  });

  it('loses and repeats nothing under stops, cuts, drops and lost answers with writers under way', async () => {
    const log = connect({ patienceMs: 30_000, attemptMs: 500 });
    const seen = [new Collected(log, START), new Collected(log, START, 3)];
    const streams = Array.from({ length: 8 }, (_, index) => `orders-${index}`);
    const writing = Promise.all(streams.map((stream) => write(log, stream, 30)));
    const faults: (() => Promise<void> | void)[] = [
      () => server.cut(),
      () => server.dropSubscriptions(),
      () => void (server.faults.loseAnswers += 2),
      () => void (server.faults.swallowAnswers += 1),
      async () => {
        await server.stop();
        await server.start();
      },
      () => {
        // Shorter than any patience: nothing but time can tell when it is over.
        server.freeze();
        setTimeout(() => server.thaw(), 100);
      },
    ];
    let done = false;
    void writing.finally(() => (done = true)).catch(() => undefined);
    for (let round = 0; !done; round++) {
      await faults[round % faults.length]?.();
      const before = server.calls.append;
      await until('writers have got on', () => done || server.calls.append > before + 5);
    }
    await writing;
    server.thaw();
    server.faults.loseAnswers = 0;
    const all: SealedEvent[] = [];
    for (const stream of streams) {
      const stored = await log.readStream(stream);
      expect(stored).toHaveLength(60);
      all.push(...stored);
    }
    const order = idsOf(await log.readAll(START));
    expect(new Set(order)).toEqual(new Set(idsOf(all)));
    for (const subscription of seen) {
      await subscription.count(480);
      await subscription.end();
      expect(subscription.ids).toEqual(order);
    }
  });

  it('goes on in the middle of a long catch-up', async () => {
    const log = connect();
    const events = sealedEvents(2_000);
    await log.append('orders-1', 'none', events);
    const stop = new AbortController();
    const ids: string[] = [];
    for await (const batch of log.subscribe(START, { signal: stop.signal, batchSize: 100 })) {
      ids.push(...idsOf(batch));
      if (ids.length % 3 === 0) server.cut();
      if (ids.length >= 2_000) stop.abort();
    }
    expect(ids).toEqual(idsOf(events));
  });

  it('stores once what two processes append at the same time', async () => {
    const [one, other] = [connect(), connect()];
    for (let round = 0; round < 10; round++) {
      const events = sealedEvents(2);
      const stream = `orders-${round}`;
      const answers = await Promise.all([one, other].map((log) => log.append(stream, 'none', events)));
      expect(answers[0]).toEqual(answers[1]);
      expect(idsOf(await one.readStream(stream))).toEqual(idsOf(events));
    }
  });

  it('sends copies of an append one after the other, so that each is answered', async () => {
    const log = connect();
    const events = sealedEvents(2);
    const answers = await Promise.all(Array.from({ length: 20 }, () => log.append('orders-1', 'none', events)));
    expect(new Set(answers.map(({ position }) => position)).size).toBe(1);
    expect(server.calls.append).toBe(20);
  });

  it('ends a subscription at once when its signal fires while the server is away', async () => {
    const log = connect();
    await log.append('orders-1', 'none', sealedEvents(1));
    await server.stop();
    const stop = new AbortController();
    const batches = log.subscribe(START, { signal: stop.signal })[Symbol.asyncIterator]();
    const next = batches.next();
    stop.abort();
    expect(await next).toMatchObject({ done: true });
  });

  it('ends its subscriptions and takes nothing more when it is closed', async () => {
    const log = connect();
    await log.append('orders-1', 'none', sealedEvents(1));
    const seen = new Collected(log, START);
    await seen.count(1);
    await log.close();
    await seen.end();
    await expect(log.append('orders-1', 0, sealedEvents(1))).rejects.toThrow(Unavailable);
    await expect(log.readStream('orders-1')).rejects.toThrow(Unavailable);
    expect(seen.events).toHaveLength(1);
  });
});

/** Two events at a time, so that every append has to find the one before it. */
async function write(log: EventLog, stream: string, appends: number): Promise<void> {
  for (let done = 0; done < appends; done++) {
    await log.append(stream, done === 0 ? 'none' : done * 2 - 1, sealedEvents(2));
  }
}
