import { getEventListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { START, type Position, type StoredEvent } from '../../src/kernel/ports/event-log.js';
import { sealedEvent, sealedEvents } from '../support/sealed-event.js';
import { unique } from '../support/unique.js';
import {
  after,
  failureOf,
  ids,
  nextOf,
  ofStreams,
  subscribed,
  subscribedUntil,
  untilDone,
  type Context,
} from './event-log.support.js';

/** A subscription from its first batch to its end. */
export function describeSubscribe(context: Context): void {
  it('gives everything from START, in log order, without a gap or a repeat', async () => {
    const { log } = context;
    const { position } = await log.append(unique('from-start'), 'none', sealedEvents(3));
    const seen = await subscribed(log, START, position);
    expect(seen.filter((event) => event.position <= position)).toEqual(
      (await after(log, START)).filter((event) => event.position <= position),
    );
  });

  it('gives what lies after a position, also after one in the middle of an append', async () => {
    const { log } = context;
    const stream = unique('from-middle');
    await log.append(stream, 'none', sealedEvents(3));
    const { position } = await log.append(stream, 2, sealedEvents(3));
    const stored = await log.readStream(stream);
    for (const { position: from, revision } of stored.slice(0, -1)) {
      const seen = ofStreams(await subscribed(log, from, position), [stream]);
      expect(seen).toEqual(stored.slice(revision + 1));
    }
  });

  it('gives what comes after the head as it comes', async () => {
    const { log } = context;
    const stream = unique('live');
    const head = await log.head();
    const stop = new AbortController();
    const batches = log.subscribe(head, { signal: stop.signal })[Symbol.asyncIterator]();
    const seen: StoredEvent[] = [];
    for (let revision = 0; revision < 20; revision++) {
      const next = nextOf(batches, stream);
      await nextTurn();
      await log.append(stream, revision === 0 ? 'none' : revision - 1, sealedEvents(1));
      seen.push(...(await next));
    }
    stop.abort();
    expect(seen).toEqual(await log.readStream(stream));
    expect(await batches.next()).toMatchObject({ done: true });
  });

  it('goes live without a gap or a repeat while twenty writers append', async () => {
    const { log } = context;
    const head = await log.head();
    const last = sealedEvent({ type: 'writers.finished' });
    const streams = Array.from({ length: 20 }, () => unique('writer'));
    const early = subscribedUntil(log, head, last.id, { batchSize: 7 });
    const late: Promise<StoredEvent[]>[] = [];
    await Promise.all(
      streams.map(async (stream, writer) => {
        for (let done = 0; done < 15; done++) {
          await log.append(stream, done === 0 ? 'none' : done * 2 - 1, sealedEvents(2));
          if (writer === 0 && done % 5 === 2) late.push(subscribedUntil(log, head, last.id, { batchSize: 50 }));
        }
      }),
    );
    await log.append(unique('last'), 'none', [last]);
    const all = await after(log, head);
    const end = all.findIndex(({ id }) => id === last.id) + 1;
    expect(ofStreams(all, streams)).toHaveLength(600);
    for (const seen of await Promise.all([early, ...late])) expect(seen.slice(0, end)).toEqual(all.slice(0, end));
  });

  it('gives batches of at least one event and at most the size asked for', async () => {
    const { log } = context;
    const head = await log.head();
    const { position } = await log.append(unique('batches'), 'none', sealedEvents(25));
    for (const batchSize of [1, 4, 25, 100]) {
      const sizes: number[] = [];
      await subscribed(log, head, position, { batchSize, onBatch: (batch) => sizes.push(batch.length) });
      expect(Math.min(...sizes)).toBeGreaterThan(0);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(batchSize);
    }
  });

  it('gives batches of at most 1,000 events when no size is given', async () => {
    const { log } = context;
    const head = await log.head();
    const stream = unique('default-batch');
    const { position } = await log.append(stream, 'none', sealedEvents(1_500));
    let largest = 0;
    const seen = await subscribed(log, head, position, {
      onBatch: (batch) => (largest = Math.max(largest, batch.length)),
    });
    expect(largest).toBeLessThanOrEqual(1_000);
    expect(ofStreams(seen, [stream])).toHaveLength(1_500);
  });

  it('ends at once when the signal has fired before', async () => {
    const { log } = context;
    await log.append(unique('before'), 'none', sealedEvents(1));
    const batches = log.subscribe(START, { signal: AbortSignal.abort() })[Symbol.asyncIterator]();
    expect(await batches.next()).toMatchObject({ done: true });
  });

  it('ends when the signal fires while it waits', async () => {
    const { log } = context;
    const stop = new AbortController();
    const stream = unique('waiting');
    const batches = log.subscribe(await log.head(), { signal: stop.signal })[Symbol.asyncIterator]();
    const first = nextOf(batches, stream);
    await log.append(stream, 'none', sealedEvents(1));
    await first;
    const waiting = untilDone(batches);
    await nextTurn();
    stop.abort();
    await waiting;
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  });

  it('ends when the signal fires while the consumer works on a batch', async () => {
    const { log } = context;
    const head = await log.head();
    const stop = new AbortController();
    await log.append(unique('working'), 'none', sealedEvents(10));
    const sizes: number[] = [];
    for await (const batch of log.subscribe(head, { signal: stop.signal, batchSize: 2 })) {
      sizes.push(batch.length);
      stop.abort();
    }
    expect(sizes).toHaveLength(1);
  });

  it('leaves nothing behind when the consumer breaks out', async () => {
    const { log } = context;
    const head = await log.head();
    const stream = unique('break');
    const stop = new AbortController();
    await log.append(stream, 'none', sealedEvents(10));
    for (let count = 0; count < 20; count++) {
      for await (const batch of log.subscribe(head, { signal: stop.signal, batchSize: 1 })) {
        expect(batch).toHaveLength(1);
        break;
      }
    }
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
    expect(await log.append(stream, 9, sealedEvents(1))).toMatchObject({ revision: 10 });
  });

  it('does not gather listeners on the signal while it lives', async () => {
    const { log } = context;
    const stream = unique('listeners');
    const stop = new AbortController();
    const batches = log.subscribe(await log.head(), { signal: stop.signal })[Symbol.asyncIterator]();
    for (let revision = 0; revision < 50; revision++) {
      const next = nextOf(batches, stream);
      await log.append(stream, revision === 0 ? 'none' : revision - 1, sealedEvents(1));
      await next;
    }
    expect(getEventListeners(stop.signal, 'abort').length).toBeLessThanOrEqual(2);
    stop.abort();
    await untilDone(batches);
  });

  it('lets a slow consumer hold up only itself', async () => {
    const { log } = context;
    const head = await log.head();
    const stream = unique('slow');
    const gate = Promise.withResolvers<void>();
    const last = sealedEvent();
    await log.append(stream, 'none', sealedEvents(1));
    const slow = subscribedUntil(log, head, last.id, { batchSize: 10, onBatch: () => gate.promise });
    const quick = subscribedUntil(log, head, last.id, { batchSize: 10 });
    for (let revision = 0; revision < 100; revision++) await log.append(stream, revision, sealedEvents(1));
    await log.append(stream, 100, [last]);
    const stored = await log.readStream(stream);
    expect(ofStreams(await quick, [stream])).toEqual(stored);
    gate.resolve();
    expect(ofStreams(await slow, [stream])).toEqual(stored);
  });

  it('serves subscriptions that begin and end at different places independently', async () => {
    const { log } = context;
    const stream = unique('independent');
    const head = await log.head();
    await log.append(stream, 'none', sealedEvents(5));
    const stored = await log.readStream(stream);
    const third = stored[2]?.position as Position;
    const fifth = stored[4]?.position as Position;
    const [one, two, three] = await Promise.all([
      subscribed(log, head, third, { batchSize: 1 }),
      subscribed(log, third, fifth),
      subscribed(log, head, fifth, { batchSize: 2 }),
    ]);
    expect(ofStreams(one, [stream])).toEqual(stored.slice(0, 3));
    expect(ofStreams(two, [stream])).toEqual(stored.slice(3));
    expect(ofStreams(three, [stream])).toEqual(stored);
  });
}

/** What a log knows after it was closed and opened again. */
export function describeRestart(context: Context): void {
  it('keeps everything that was acknowledged, with its positions and head', async () => {
    const head = await context.log.head();
    const streams = Array.from({ length: 10 }, () => unique('kept'));
    await Promise.all(streams.map((stream) => context.log.append(stream, 'none', sealedEvents(3))));
    const before = ofStreams(await after(context.log, head), streams);
    const headBefore = await context.log.head();
    context.log = await context.harness.reopen();
    expect(ofStreams(await after(context.log, head), streams)).toEqual(before);
    expect(await context.log.head()).toBeGreaterThanOrEqual(headBefore);
    const { position } = await context.log.append(streams[0] as string, 2, sealedEvents(1));
    expect(position).toBeGreaterThan(headBefore);
  });

  it('leaves every place to read on from as it was', async () => {
    const stream = unique('places');
    const head = await context.log.head();
    const { position } = await context.log.append(stream, 'none', sealedEvents(7));
    const stored = await after(context.log, head);
    context.log = await context.harness.reopen();
    const { log } = context;
    for (const size of [1, 3, 7]) {
      expect(await after(log, head, size)).toEqual(stored);
      expect(await subscribed(log, head, position, { batchSize: size })).toEqual(stored);
    }
    for (const [index, event] of stored.slice(1).entries()) {
      expect(await log.readAll(event.position, { limit: 2 })).toEqual(stored.slice(index + 2, index + 4));
      expect(await log.readAll(event.position, { limit: index + 1, backwards: true })).toEqual(
        stored.slice(0, index + 1).toReversed(),
      );
    }
  });

  it('lets running appends finish', async () => {
    const streams = Array.from({ length: 20 }, () => unique('running'));
    const running = Promise.all(streams.map((stream) => context.log.append(stream, 'none', sealedEvents(2))));
    const [answers, log] = await Promise.all([running, context.harness.reopen()]);
    context.log = log;
    for (const [index, stream] of streams.entries()) {
      expect((await log.readStream(stream)).at(-1)).toMatchObject(answers[index] ?? {});
    }
  });

  it('does not forget which appends it has seen, and where streams are', async () => {
    const stream = unique('remembered');
    const [first, second] = [sealedEvents(2), sealedEvents(1)];
    const answer = await context.log.append(stream, 'none', first);
    await context.log.append(stream, 1, second);
    context.log = await context.harness.reopen();
    const { log } = context;
    expect(await log.append(stream, 'none', first)).toEqual(answer);
    expect(await failureOf(log.append(stream, 'none', sealedEvents(1)))).toMatchObject({ name: 'Conflict', actual: 2 });
    expect(ids(await log.readStream(stream))).toEqual(ids([...first, ...second]));
  });

  it('lets a subscription go on where the one before it ended', async () => {
    const stream = unique('resumed');
    const head = await context.log.head();
    const { position } = await context.log.append(stream, 'none', sealedEvents(5));
    const seen = await subscribed(context.log, head, position, { batchSize: 2 });
    context.log = await context.harness.reopen();
    const last = sealedEvent();
    const resumed = subscribedUntil(context.log, seen.at(-1)?.position as Position, last.id);
    await context.log.append(stream, 4, [last]);
    expect(ids(ofStreams(await resumed, [stream]))).toEqual([last.id]);
  });
}
