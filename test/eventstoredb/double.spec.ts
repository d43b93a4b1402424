import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  ANY,
  BACKWARDS,
  END,
  EventStoreDBClient,
  jsonEvent,
  NO_STREAM,
  START,
  STREAM_EXISTS,
  streamNameFilter,
  type AllStreamSubscription,
  type AppendExpectedRevision,
  type AppendToStreamOptions,
  type JSONEventData,
} from '@eventstore/db-client';
import { DoubleFolder } from '../support/eventstoredb/double-folder.js';
import type { EventStoreDbDouble } from '../support/eventstoredb/eventstoredb-double.js';
import { unique } from '../support/unique.js';
import { until } from '../support/until.js';

const paths: [string, AppendToStreamOptions][] = [
  ['batched', {}],
  ['single', { credentials: { username: 'any', password: 'any' } }],
];

const made = (count: number): JSONEventData[] =>
  Array.from({ length: count }, (_, index) =>
    jsonEvent({ type: 'thing.happened', data: { index } }),
  ) as JSONEventData[];

async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** The double, seen through the unmodified client: the same answers that real servers were seen to give. */
describe.each(paths)('the double of EventStoreDB, by %s appends', (_, path) => {
  let folder: DoubleFolder;
  let client: EventStoreDBClient;

  beforeAll(async () => {
    folder = await DoubleFolder.open();
    client = EventStoreDBClient.connectionString(folder.server.url);
  });
  afterAll(async () => {
    await client.dispose();
    await folder.close();
  });

  const append = (stream: string, events: JSONEventData[], expectedRevision: AppendExpectedRevision) =>
    client.appendToStream(stream, events, { ...path, expectedRevision });

  it.each<[AppendExpectedRevision, number, 'ok' | bigint | 'no_stream']>([
    [NO_STREAM, 0, 'ok'],
    [ANY, 0, 'ok'],
    [STREAM_EXISTS, 0, 'no_stream'],
    [1n, 0, 'no_stream'],
    [NO_STREAM, 2, 1n],
    [ANY, 2, 'ok'],
    [STREAM_EXISTS, 2, 'ok'],
    [1n, 2, 'ok'],
    [0n, 2, 1n],
    [5n, 2, 1n],
  ])('meets the expectation %s at a stream of %d with %s', async (expected, length, answer) => {
    const stream = unique('expected');
    if (length > 0) await append(stream, made(length), NO_STREAM);
    const result = append(stream, made(1), expected);
    if (answer === 'ok') {
      expect(await result).toMatchObject({ success: true, nextExpectedRevision: BigInt(length) });
      return;
    }
    const failure = await failureOf(result);
    expect(failure).toMatchObject({
      type: 'wrong-expected-version',
      streamName: stream,
      expectedVersion: expected,
      actualVersion: answer,
    });
  });

  it('answers with the revision and the position of the last event, both parts of which are equal', async () => {
    const stream = unique('answer');
    const first = await append(stream, made(3), NO_STREAM);
    const second = await append(stream, made(1), 2n);
    expect(first.nextExpectedRevision).toBe(2n);
    expect(first.position?.commit).toBe(first.position?.prepare);
    expect(second.position?.commit).toBeGreaterThan((first.position?.commit ?? 0n) + 50n);
  });

  it('knows an append again by its ids', async () => {
    const stream = unique('repeat');
    const [a, b, c] = made(3) as [JSONEventData, JSONEventData, JSONEventData];
    const { position } = await append(stream, [a, b], NO_STREAM);
    const { position: third } = await append(stream, [c], 1n);
    for (const expected of [NO_STREAM, ANY, STREAM_EXISTS] as const) {
      expect(await append(stream, [a, b], expected)).toMatchObject({ nextExpectedRevision: 1n, position });
    }
    expect(await append(stream, [{ ...b, type: 'other' }], 0n)).toMatchObject({ nextExpectedRevision: 1n, position });
    expect(await append(stream, [{ ...c, id: c.id.toUpperCase() }], ANY)).toMatchObject({ position: third });
    const types: string[] = [];
    for await (const { event } of client.readStream(stream)) types.push(event?.type ?? '');
    expect(types).toEqual(['thing.happened', 'thing.happened', 'thing.happened']);
  });

  it('refuses what is known only in part, and writes what begins with something new', async () => {
    const stream = unique('mixed');
    const [a, b, c] = made(3) as [JSONEventData, JSONEventData, JSONEventData];
    await append(stream, [a, b], NO_STREAM);
    for (const [events, expected] of [
      [[a, b, c], NO_STREAM],
      [[b, a], NO_STREAM],
      [[a], 1n],
      [[a, c], ANY],
    ] as const) {
      expect(await failureOf(append(stream, [...events], expected))).toMatchObject({ type: 'wrong-expected-version' });
    }
    expect(await append(stream, [c, a], ANY)).toMatchObject({ nextExpectedRevision: 3n });
  });

  it('takes an empty append, and gives it a place but no stream', async () => {
    const stream = unique('empty');
    const result = await append(stream, [], NO_STREAM);
    expect([result.success, result.nextExpectedRevision, typeof result.position?.commit]).toEqual([true, 0n, 'bigint']);
    expect(await failureOf(first(client.readStream(stream)))).toMatchObject({ type: 'stream-not-found' });
    await append(stream, made(1), NO_STREAM);
    expect(await failureOf(append(stream, [], 4n))).toMatchObject({
      type: 'wrong-expected-version',
      actualVersion: 0n,
    });
  });

  it('limits the data of an append to 1 MiB in all', async () => {
    const event = (size: number, metadata = 'y'.repeat(size)): JSONEventData =>
      jsonEvent({ type: 'big', data: 'x'.repeat(size - 2), metadata: { metadata } }) as JSONEventData;
    const stream = unique('size');
    await append(stream, [event(1_048_000), event(576)], NO_STREAM);
    const failure = await failureOf(append(stream, [event(1_048_000), event(577)], 1n));
    expect(failure).toMatchObject({ type: 'maximum-append-size-exceeded', maxAppendSize: 1_048_576 });
    const many = Array.from({ length: 8 }, () => event(1_000_000, ''));
    expect(await failureOf(append(stream, many, 1n))).toMatchObject({ type: 'maximum-append-size-exceeded' });
    await append(stream, made(1), 1n);
  });

  it('hides a soft-deleted stream, goes on with its revisions, and refuses a tombstoned one', async () => {
    const stream = unique('deleted');
    const events = made(2);
    await append(stream, events, NO_STREAM);
    await client.deleteStream(stream);
    expect(await failureOf(first(client.readStream(stream)))).toMatchObject({ type: 'stream-not-found' });
    expect(await append(stream, events, NO_STREAM)).toMatchObject({ success: true, position: undefined });
    expect(await failureOf(append(stream, made(1), STREAM_EXISTS))).toMatchObject({ type: 'stream-deleted' });
    expect(await failureOf(append(stream, made(1), 0n))).toMatchObject({ actualVersion: 1n });
    expect(await append(stream, made(1), NO_STREAM)).toMatchObject({ nextExpectedRevision: 2n });
    expect((await first(client.readStream(stream)))?.event?.revision).toBe(2n);
    await client.tombstoneStream(stream);
    expect(await failureOf(append(stream, made(1), ANY))).toMatchObject({ type: 'stream-deleted' });
    expect(await failureOf(first(client.readStream(stream)))).toMatchObject({ type: 'stream-deleted' });
    expect(await failureOf(client.deleteStream(unique('missing')))).toMatchObject({ type: 'wrong-expected-version' });
  });
});

describe('the double of EventStoreDB', () => {
  let folder: DoubleFolder;
  let server: EventStoreDbDouble;
  let client: EventStoreDBClient;

  beforeEach(() => open('23.10'));
  afterEach(close);

  async function open(version: '23.10' | '24.2'): Promise<void> {
    folder = await DoubleFolder.open({ version });
    server = folder.server;
    client = EventStoreDBClient.connectionString(server.url);
  }
  async function close(): Promise<void> {
    await client.dispose();
    await folder.close();
  }

  const revisions = async (options: Parameters<EventStoreDBClient['readStream']>[1]): Promise<bigint[]> => {
    const found: bigint[] = [];
    for await (const { event } of client.readStream('orders', options)) found.push(event?.revision ?? -1n);
    return found;
  };

  it('reads a stream as the server does, with its traps', async () => {
    await client.appendToStream('orders', made(4));
    expect(await revisions({ fromRevision: 2n })).toEqual([2n, 3n]);
    expect(await revisions({ fromRevision: 9n })).toEqual([]);
    expect(await revisions({ direction: BACKWARDS, fromRevision: END, maxCount: 2 })).toEqual([3n, 2n]);
    expect(await revisions({ direction: BACKWARDS, fromRevision: 9n })).toEqual([3n, 2n, 1n, 0n]);
    expect(await revisions({ direction: BACKWARDS })).toEqual([0n]);
    for (const options of [{ fromRevision: END }, { maxCount: 0 }] as const) {
      expect(await failureOf(revisions(options))).toMatchObject({ type: 'unknown', code: 2 });
    }
    await client.setStreamMetadata('orders', { maxCount: 2 });
    expect(await revisions({})).toEqual([2n, 3n]);
    expect((await client.getStreamMetadata('orders')).metadata).toEqual({ maxCount: 2 });
  });

  it('reads $all forwards with what lies at a position, backwards without, and begins with an event of the system', async () => {
    await client.appendToStream('orders', made(3));
    const all = await toArray(client.readAll());
    expect(all.map(({ event }) => event?.streamId)).toEqual(['$$$scavenges', 'orders', 'orders', 'orders']);
    const fromPosition = all[2]?.event?.position as { commit: bigint; prepare: bigint };
    const at = (found: typeof all): unknown[] => found.map(({ event }) => event?.revision);
    expect(at(await toArray(client.readAll({ fromPosition })))).toEqual([1n, 2n]);
    expect(at(await toArray(client.readAll({ fromPosition, direction: BACKWARDS, maxCount: 1 })))).toEqual([0n]);
    expect(await toArray(client.readAll({ fromPosition: END }))).toEqual([]);
    const inside = { commit: fromPosition.commit + 1n, prepare: fromPosition.commit + 1n };
    expect(await failureOf(toArray(client.readAll({ fromPosition: inside })))).toMatchObject({ code: 2 });
  });

  it('keeps its log over a restart, and nothing of an append that was cut off in the middle', async () => {
    const { position } = await client.appendToStream('orders', made(3));
    await server.stop();
    const half = { s: 'orders', r: 3, i: randomUUID(), t: 'half', c: 'application/json', m: '', d: '', at: 1, more: 1 };
    await appendFile(folder.file, `${JSON.stringify(half)}\n{"s":"orders","r":4,`);
    await server.start();
    expect(await revisions({})).toEqual([0n, 1n, 2n]);
    const next = await client.appendToStream('orders', made(1), { expectedRevision: 2n });
    expect(next.position?.commit).toBeGreaterThan(position?.commit ?? 0n);
    await server.stop();
    await server.start();
    expect(await revisions({})).toEqual([0n, 1n, 2n, 3n]);
  });

  it('gives a subscription what lies behind its position, says that it has caught up, and goes on live', async () => {
    await client.appendToStream('orders', made(3));
    const subscription = client.subscribeToStream('orders', { fromRevision: 0n });
    const seen: unknown[] = [];
    subscription.on('confirmation', () => seen.push('confirmation'));
    subscription.on('caughtUp' as 'confirmation', () => seen.push('caughtUp'));
    subscription.on('data', ({ event }) => seen.push(event?.revision));
    await until('it has caught up', () => seen.includes('caughtUp'));
    await client.appendToStream('orders', made(1));
    await until('the live event has come', () => seen.includes(3n));
    expect(seen).toEqual(['confirmation', 1n, 2n, 'caughtUp', 3n]);
    await subscription.unsubscribe();
  });

  it('filters by the name of streams, and gives checkpoints over what it has scanned', async () => {
    for (let count = 0; count < 10; count++) await client.appendToStream(`${count % 2 ? 'a' : 'b'}-stream`, made(10));
    const checkpoints: bigint[] = [];
    const filter = streamNameFilter({
      prefixes: ['a-'],
      maxSearchWindow: 10,
      checkpointReached: (_, { commit }) => void checkpoints.push(commit),
    });
    const names = new Set<string>();
    let count = 0;
    for await (const { event } of client.subscribeToAll({ filter })) {
      names.add(event?.streamId ?? '');
      if (++count === 50) break;
    }
    expect([...names]).toEqual(['a-stream']);
    expect(checkpoints[0]).toBe(0n);
    expect(checkpoints.length).toBeGreaterThanOrEqual(9);
  });

  it('drops a live subscription of version 23.10 that cannot take what comes at once, and no other version', async () => {
    const ended = await flood();
    expect(ended).toMatchObject({ type: 'timeout', code: 10 });
    await close();
    await open('24.2');
    expect(await flood()).toBe('took all');
  });

  async function flood(): Promise<unknown> {
    const subscription: AllStreamSubscription = client.subscribeToAll({ fromPosition: START });
    let [count, caughtUp] = [0, 0];
    let ended: unknown;
    subscription.on('data', () => (count += 1));
    subscription.on('error', (error) => (ended = error));
    subscription.on('caughtUp' as 'confirmation', () => (caughtUp += 1));
    await until('it is live', () => caughtUp === 1);
    await client.appendToStream('orders', made(500));
    await until('all is there, or no more comes', () => count === 501 || ended !== undefined);
    await subscription.unsubscribe();
    return ended ?? 'took all';
  }

  it('answers a bad event of a batched append twice, which ends the process of who sent it', async () => {
    const script = `
      const { EventStoreDBClient, jsonEvent } = require(process.argv[1]);
      const client = EventStoreDBClient.connectionString(process.argv[2]);
      client.appendToStream('orders', jsonEvent({ id: 'no-uuid', type: 't', data: {} }))
        .catch((error) => console.log(error.message));`;
    const module = createRequire(import.meta.url).resolve('@eventstore/db-client');
    const child = promisify(execFile)(process.execPath, ['-e', script, '--', module, server.url]);
    const failure = (await failureOf(child)) as { stdout: string; stderr: string; code: number };
    expect(failure.stdout).toContain('Could not recognize BadRequest');
    expect(failure.stderr).toContain('TypeError');
    expect(failure.code).toBe(1);
  });

  it('rejects every open batched append of the process when one connection breaks', async () => {
    const other = await DoubleFolder.open();
    const second = EventStoreDBClient.connectionString(other.server.url);
    // The answer of the innocent server would end this process: it never comes.
    other.server.faults.swallowAnswers = 1;
    server.faults.swallowAnswers = 1;
    const appends = [client.appendToStream('orders', made(1)), second.appendToStream('orders', made(1))].map(failureOf);
    await until('both are on their way', () => server.faults.swallowAnswers + other.server.faults.swallowAnswers === 0);
    server.cut();
    for (const failure of await Promise.all(appends)) expect(failure).toMatchObject({ type: 'unavailable' });
    await second.dispose();
    await other.close();
  });

  it('breaks the connection of nobody who sends a message of more than 16 MiB by itself', async () => {
    const event = jsonEvent({ type: 'huge', data: 'x'.repeat(17 * 1_048_576) }) as JSONEventData;
    const [, single] = paths[1] as [string, AppendToStreamOptions];
    expect(await failureOf(client.appendToStream('orders', event, single))).toMatchObject({ type: 'unknown', code: 8 });
    expect(await client.appendToStream('orders', made(1), single)).toMatchObject({ success: true });
  });
});

async function toArray<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

async function first<Item>(items: AsyncIterable<Item>): Promise<Item | undefined> {
  return (await toArray(items))[0];
}
