import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { END, EventStoreDBClient, jsonEvent, UnavailableError } from '@eventstore/db-client';
import { isTransient } from '../../src/adapters/eventstoredb/client-errors.js';
import type {
  EventStoreDbEventLog,
  EventStoreDbOptions,
} from '../../src/adapters/eventstoredb/eventstoredb-event-log.js';
import { Inbox } from '../../src/adapters/eventstoredb/inbox.js';
import {
  Conflict,
  InvalidEvent,
  InvalidSettings,
  TooLarge,
  Unavailable,
  UnreadableEvent,
} from '../../src/kernel/errors.js';
import { MAX_APPEND_BYTES, START, type SealedEvent } from '../../src/kernel/ports/event-log.js';
import { connectLog, DoubleFolder } from '../support/eventstoredb/double-folder.js';
import type { DoubleOptions, EventStoreDbDouble } from '../support/eventstoredb/eventstoredb-double.js';
import { sealedEvent, sealedEvents } from '../support/sealed-event.js';
import { until } from '../support/until.js';
import { Collected } from './collected.js';

/** What real servers and their client were seen to do to those who did not expect it, numbered as it was noted down. */
describe('EventStoreDB bites, and the adapter', () => {
  const closing: (() => Promise<unknown>)[] = [];

  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  async function serve(options: Omit<DoubleOptions, 'file'> = {}): Promise<EventStoreDbDouble> {
    const folder = await DoubleFolder.open(options);
    closing.push(() => folder.close());
    return folder.server;
  }

  function connect(server: EventStoreDbDouble, options: Partial<EventStoreDbOptions> = {}): EventStoreDbEventLog {
    const log = connectLog(server.url, options);
    closing.push(() => log.close());
    return log;
  }

  /** Somebody else's client on the same server. */
  function stranger(server: EventStoreDbDouble): EventStoreDBClient {
    const client = EventStoreDBClient.connectionString(server.url);
    closing.push(() => client.dispose());
    return client;
  }

  it('1: refuses a bad event before the client sees it', async () => {
    const server = await serve();
    const log = connect(server);
    for (const bad of [{ id: 'no-uuid' }, { type: '' }, { type: '\ud800' }]) {
      await expect(log.append('orders-1', 'none', [sealedEvent(bad)])).rejects.toThrow(InvalidEvent);
    }
    await expect(log.append('\udfff', 'none', sealedEvents(1))).rejects.toThrow(InvalidEvent);
    expect([server.calls.append, server.calls.batchAppend]).toEqual([0, 0]);
  });

  it('2: refuses what JSON cannot hold instead of waiting for ever', async () => {
    const server = await serve();
    const log = connect(server);
    for (const data of [undefined, 1n, Symbol('x'), () => 1]) {
      const event = { ...sealedEvent(), data } as unknown as SealedEvent;
      await expect(log.append('orders-1', 'none', [event])).rejects.toThrow(Error);
    }
    expect(server.calls.append).toBe(0);
    expect(await log.append('orders-1', 'none', sealedEvents(1))).toMatchObject({ revision: 0 });
  });

  it('3: gives an append to a frozen server up by itself, and is recognised when it tries again', async () => {
    const server = await serve();
    const log = connect(server, { patienceMs: 400, attemptMs: 150 });
    await log.append('orders-1', 'none', sealedEvents(1));
    const events = sealedEvents(2);
    server.freeze();
    await expect(log.append('orders-1', 0, events)).rejects.toThrow(Unavailable);
    server.thaw();
    expect(await log.append('orders-1', 0, events)).toMatchObject({ revision: 2 });
    expect(await log.readStream('orders-1')).toHaveLength(3);
  });

  it('4: leaves the appends to one server alone when the connection to another breaks', async () => {
    const [one, other] = [await serve(), await serve()];
    const [first, second] = [connect(one), connect(other)];
    one.faults.appendDelayMs = 50;
    other.faults.appendDelayMs = 200;
    const appends = [
      first.append('orders-1', 'none', sealedEvents(1)),
      second.append('orders-1', 'none', sealedEvents(1)),
    ];
    await until('both are on their way', () => one.calls.append === 1 && other.calls.append === 1);
    one.cut();
    expect((await Promise.all(appends)).map(({ revision }) => revision)).toEqual([0, 0]);
    expect(other.calls.append).toBe(1);
  });

  it('5: makes every append a call of its own, and keeps the order of those to one stream', async () => {
    const server = await serve();
    const log = connect(server);
    const events = sealedEvents(20);
    await Promise.all(events.map((event, index) => log.append('orders-1', index === 0 ? 'none' : index - 1, [event])));
    expect((await log.readStream('orders-1')).map(({ id }) => id)).toEqual(events.map(({ id }) => id));
    expect([server.calls.append, server.calls.batchAppend]).toEqual([20, 0]);
  });

  it('6: subscribes again after a connection was lost', async () => {
    const server = await serve();
    const log = connect(server);
    const seen = new Collected(log, START);
    const events = sealedEvents(6);
    for (const [index, event] of events.entries()) {
      await log.append('orders-1', index === 0 ? 'none' : index - 1, [event]);
      await seen.count(index + 1);
      server.cut();
    }
    await seen.end();
    expect(seen.ids).toEqual(events.map(({ id }) => id));
  });

  it('7: subscribes again when it was dropped for being too slow, without loss or repeat', async () => {
    const server = await serve({ version: '23.10' });
    const log = connect(server);
    const seen = new Collected(log, START);
    const events = sealedEvents(1_502);
    await log.append('orders-1', 'none', events.slice(0, 2));
    await seen.count(2);
    const reads = server.calls.read;
    for (let from = 2; from < events.length; from += 500)
      await log.append('orders-1', from - 1, events.slice(from, from + 500));
    await seen.count(events.length);
    await seen.end();
    expect(seen.ids).toEqual(events.map(({ id }) => id));
    expect(server.calls.read).toBeGreaterThan(reads);
  });

  it('8: refuses too much data before the call, and counts no metadata', async () => {
    const server = await serve();
    const log = connect(server);
    const half = { data: `{"fill":"${'x'.repeat(MAX_APPEND_BYTES / 2)}"}` };
    await expect(log.append('orders-1', 'none', [sealedEvent(half), sealedEvent(half)])).rejects.toThrow(TooLarge);
    expect(server.calls.append).toBe(0);
    const metadata = `{"fill":"${'x'.repeat(2_000_000)}"}`;
    await log.append('orders-1', 'none', [sealedEvent({ metadata })]);
    expect((await log.readStream('orders-1'))[0]?.metadata).toBe(metadata);
  });

  it.each<[string, Error, boolean]>([
    ['a plain error with code 14', Object.assign(new Error('14 UNAVAILABLE'), { code: 14 }), true],
    ['the class for an unavailable server', new UnavailableError(), true],
    ['a deadline', Object.assign(new Error(), { type: 'deadline-exceeded' }), true],
    ['a timeout', Object.assign(new Error(), { type: 'timeout', code: 10 }), true],
    ['a server that stops', new Error('Could not recognize Server Is Not Ready'), true],
    [
      'a broken stream',
      Object.assign(new Error('Received RST_STREAM with code 0'), { type: 'unknown', code: 13 }),
      true,
    ],
    ['another leader', Object.assign(new Error(), { type: 'not-leader' }), true],
    ['a cluster that nobody answers for', new Error('Failed to discover after 10 attempts.'), true],
    ['a bad request', Object.assign(new Error('Could not recognize BadRequest'), { type: 'unknown' }), false],
    ['a message that is too large', Object.assign(new Error(), { type: 'unknown', code: 8 }), false],
    ['a refused user', Object.assign(new Error(), { type: 'access-denied', code: 7 }), false],
    ['a bug', new TypeError('x is not a function'), false],
  ])('9: knows by type, code and text whether %s passes', (_, error, passes) => {
    expect(isTransient(error)).toBe(passes);
  });

  it('9: answers Unavailable whatever the client throws while the server is down', async () => {
    const server = await serve();
    const log = connect(server, { patienceMs: 150 });
    await log.append('orders-1', 'none', sealedEvents(1));
    await server.stop();
    await expect(log.append('orders-1', 0, sealedEvents(1))).rejects.toThrow(Unavailable);
    await expect(log.readStream('orders-1')).rejects.toThrow(Unavailable);
    await expect(log.readAll(START)).rejects.toThrow(Unavailable);
    await expect(log.head()).rejects.toThrow(Unavailable);
  });

  it('10: does not take for stored what lies in the deleted part of a stream, nor what goes on behind it', async () => {
    const server = await serve();
    const log = connect(server);
    const events = sealedEvents(2);
    await log.append('orders-1', 'none', events);
    await stranger(server).deleteStream('orders-1');
    expect(await log.readStream('orders-1')).toEqual([]);
    await expect(log.append('orders-1', 'none', events)).rejects.toThrow(UnreadableEvent);
    await expect(log.append('orders-1', 'none', sealedEvents(1))).rejects.toThrow(UnreadableEvent);
  });

  it('10: says so when a stream was deleted for good', async () => {
    const server = await serve();
    const log = connect(server);
    await log.append('orders-1', 'none', sealedEvents(1));
    await stranger(server).tombstoneStream('orders-1');
    await expect(log.append('orders-1', 0, sealedEvents(1))).rejects.toThrow(UnreadableEvent);
    await expect(log.readStream('orders-1')).rejects.toThrow(UnreadableEvent);
  });

  it('11: does not connect with throwOnAppendFailure=false, and gives the real revision in a Conflict', async () => {
    const server = await serve();
    for (const option of ['throwOnAppendFailure=false', 'throw_on_append_failure=FALSE']) {
      expect(() => connectLog(`${server.url}&${option}`)).toThrow(InvalidSettings);
    }
    const log = connect(server);
    await log.append('orders-1', 'none', sealedEvents(4));
    const failure: unknown = await log.append('orders-1', 1, sealedEvents(1)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Conflict);
    expect(failure).toMatchObject({ actual: 3, expected: 1 });
  });

  it('12: awaits no sign of having caught up on an empty log', async () => {
    const server = await serve({ version: '23.10' });
    const log = connect(server);
    const seen = new Collected(log, await log.head());
    await until('the subscription is there', () => server.calls.read > 1);
    await log.append('orders-1', 'none', sealedEvents(1));
    await seen.count(1);
    await seen.end();
    expect(seen.events).toEqual(await log.readStream('orders-1'));
  });

  it('13: loses nothing when it resumes at an event that was scavenged meanwhile', async () => {
    const server = await serve({ version: '23.10' });
    const log = connect(server);
    const client = stranger(server);
    await log.append('orders-1', 'none', sealedEvents(3));
    const [first, , last] = await log.readStream('orders-1');
    const next = await log.append('orders-2', 'none', sealedEvents(1));
    await client.deleteStream('orders-1');
    await server.scavenge();
    const commit = BigInt(first?.position ?? 0);
    const seen = new Collected(log, first?.position ?? 0);
    await seen.count(2);
    await seen.end();
    expect(seen.events.map(({ position }) => position)).toEqual([last?.position, next.position]);

    // A subscription that begins there itself does lose the first of the two.
    const naive = client.subscribeToAll({ fromPosition: { commit, prepare: commit } });
    for await (const { event } of naive) {
      expect(Number(event?.position.commit)).toBeGreaterThan(last?.position ?? 0);
      break;
    }
    await naive.unsubscribe();
  });

  it('14: drops an event that a server gives again after a checkpoint', async () => {
    const server = await serve({ version: '24.2' });
    const log = connect(server);
    await log.append('orders-1', 'none', sealedEvents(2));
    const [first, second] = await log.readStream('orders-1');
    const fromPosition = { commit: BigInt(first?.position ?? 0), prepare: 0n };
    const client = stranger(server);
    const given = client.subscribeToAll({ fromPosition });
    for await (const { event } of given) {
      expect(Number(event?.position.commit)).toBe(first?.position);
      break;
    }
    await given.unsubscribe();
    const inbox = new Inbox(client.subscribeToAll({ fromPosition }), first?.position ?? 0, 10);
    expect(await inbox.take(10, new AbortController().signal)).toEqual([second]);
    inbox.close();
  });

  it('15: passes over links, dangling ones too, and over what others have appended', async () => {
    const server = await serve();
    const log = connect(server);
    const client = stranger(server);
    const seen = new Collected(log, START);
    const foreign = jsonEvent({ type: 'note', data: { text: 'not ours' }, metadata: { hash: 1 } });
    await client.appendToStream('notes', foreign);
    await client.appendToStream('links', {
      id: randomUUID(),
      type: '$>',
      contentType: 'application/octet-stream',
      data: Uint8Array.from(Buffer.from('7@gone')),
      metadata: undefined,
    });
    const answer = await log.append('orders-1', 'none', sealedEvents(1));
    await client.setStreamMetadata('orders-1', { owner: 'somebody' });
    await client.appendToStream('notes', { ...foreign, id: randomUUID() });
    await seen.count(1);
    await seen.end();
    const stored = await log.readStream('orders-1');
    expect(seen.events).toEqual(stored);
    expect(await log.readAll(START)).toEqual(stored);
    expect(await log.readAll(Infinity, { backwards: true, limit: 1 })).toEqual(stored);
    expect(await log.head()).toBe(answer.position);
    await expect(log.readStream('notes')).rejects.toThrow(UnreadableEvent);
  });

  it('15: finds the few events of its own among many of others, in pages of any size', async () => {
    const server = await serve();
    const log = connect(server);
    const client = stranger(server);
    const foreign = (count: number): ReturnType<typeof jsonEvent>[] =>
      Array.from({ length: count }, () => jsonEvent({ type: 'note', data: {} }));
    for (const [revision, others] of [0, 1, 2, 250, 3, 0, 500, 1].entries()) {
      await log.append('orders-1', revision === 0 ? 'none' : revision - 1, sealedEvents(1));
      if (others > 0) await client.appendToStream('notes', foreign(others));
    }
    const stored = await log.readStream('orders-1');
    for (const limit of [1, 2, 3, 7, 8, 1_000]) {
      const [up, down] = [[] as unknown[], [] as unknown[]];
      for (let at = START; ;) {
        const page = await log.readAll(at, { limit });
        if (page.length === 0) break;
        up.push(...page);
        at = page.at(-1)?.position ?? at;
      }
      for (let at = Infinity; ;) {
        const page = await log.readAll(at, { limit, backwards: true });
        if (page.length === 0) break;
        down.push(...page);
        at = page.at(-1)?.position ?? at;
      }
      expect(up).toEqual(stored);
      expect(down).toEqual(stored.toReversed());
    }
    expect(await connect(server).head()).toBe(stored.at(-1)?.position);
  });

  it('says nothing of a password in a connection string that it does not understand', () => {
    let message = '';
    try {
      connectLog('esdb://admin:s3cret@host:port?tls=maybe');
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain('EVENTSTORE_URL');
    expect(message).not.toContain('s3cret');
  });

  it('keeps events readable for others as JSON, and to the byte what is not canonical', async () => {
    const server = await serve();
    const log = connect(server);
    const events = [
      sealedEvent({ data: '{"10":1,"9":2,"a":{"b":[1,"x"]}}' }),
      sealedEvent({ data: '{ "b": 1.0, "a": -0, "a": 2 }', metadata: '{"z":1, "a":1e2}' }),
    ];
    await log.append('orders-1', 'none', events);
    const stored = await log.readStream('orders-1');
    expect(stored.map(({ data, metadata, hash }) => [data, metadata, hash])).toEqual(
      events.map(({ data, metadata, hash }) => [data, metadata, hash]),
    );
    const seen: unknown[] = [];
    for await (const { event } of stranger(server).readStream('orders-1')) seen.push([event?.isJson, event?.data]);
    expect(seen[0]).toEqual([true, { 9: 2, 10: 1, a: { b: [1, 'x'] } }]);
  });

  it('refuses a position at which no event lies, and gives nothing from behind the end', async () => {
    const server = await serve();
    const log = connect(server);
    const { position } = await log.append('orders-1', 'none', sealedEvents(2));
    await expect(log.readAll(position - 1)).rejects.toMatchObject({ name: 'Refused', kind: 'invalid' });
    expect(await log.readAll(position + 1_000_000)).toEqual([]);
    const client = stranger(server);
    const last = client.readAll({ direction: 'backwards', fromPosition: END, maxCount: 1 });
    for await (const { event } of last) expect(Number(event?.position.commit)).toBe(position);
  });

  it.each<DoubleOptions['version']>(['23.10', '24.2'])('of %s waits behind the end for what comes', async (version) => {
    const server = await serve(version ? { version } : {});
    const log = connect(server);
    const { position } = await log.append('orders-1', 'none', sealedEvents(1));
    // As after a restore from a backup: this position is not there yet.
    const seen = new Collected(log, position + 5_000);
    await until('the subscription is there', () => server.calls.read >= 3);
    let revision = 0;
    for (let at = position; at <= position + 5_000; revision++) {
      at = (await log.append('orders-1', revision, sealedEvents(1))).position;
    }
    await seen.count(1);
    await seen.end();
    expect(seen.events[0]).toEqual((await log.readStream('orders-1', { from: revision }))[0]);
  });
});
