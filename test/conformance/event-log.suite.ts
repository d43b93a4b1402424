import { getEventListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../../src/kernel/canonical-json.js';
import { Conflict, InvalidEvent, TooLarge, Unavailable } from '../../src/kernel/errors.js';
import {
  MAX_APPEND_BYTES,
  MAX_STREAM_NAME,
  START,
  type Appended,
  type EventLog,
  type ExpectedRevision,
  type Position,
  type SealedEvent,
  type StoredEvent,
} from '../../src/kernel/ports/event-log.js';
import { sealedEvent, sealedEvents } from '../support/sealed-event.js';
import { unique } from '../support/unique.js';

/** A log that may hold events of others, as long as they write none while the suite runs. */
export interface EventLogHarness {
  readonly log: EventLog;
  /** Closes the log and opens the same store again, as a restart would. */
  reopen(): Promise<EventLog>;
  close(): Promise<void>;
}

interface Context {
  log: EventLog;
  harness: EventLogHarness;
}

/** What every event log promises, under conflict, restart, repetition and load. */
export function describeEventLog(adapter: string, open: () => Promise<EventLogHarness>): void {
  describe(`EventLog: ${adapter}`, () => {
    const context = {} as Context;

    beforeAll(async () => {
      context.harness = await open();
      context.log = context.harness.log;
    });
    afterAll(() => context.harness.close());

    // The first case: a log of its own is still empty here, a shared one need not be.
    it('has its head at START as long as it is empty', async () => {
      const [newest] = await context.log.readAll(Infinity, { backwards: true, limit: 1 });
      expect(await context.log.head()).toBeGreaterThanOrEqual(newest?.position ?? START);
      if (!newest) expect([await context.log.head(), await context.log.readAll(START)]).toEqual([START, []]);
    });

    describe('append', () => {
      describeAppend(context);
    });
    describe('a repeated append', () => {
      describeRepeats(context);
    });
    describe('what no log may hold', () => {
      describeRefusals(context);
    });
    describe('content', () => {
      describeContent(context);
    });
    describe('readStream', () => {
      describeReadStream(context);
    });
    describe('readAll and head', () => {
      describeReadAll(context);
    });
    describe('subscribe', () => {
      describeSubscribe(context);
    });
    describe('a restart', () => {
      describeRestart(context);
    });
    describe('any sequence of appends', () => {
      describeModel(context);
    });
  });
}

function describeAppend(context: Context): void {
  it('numbers the events of a stream from 0 without gaps, and answers with the last of them', async () => {
    const { log } = context;
    const stream = unique('append');
    const [first, second] = [sealedEvents(2), sealedEvents(3)];
    const one = await log.append(stream, 'none', first);
    const two = await log.append(stream, 1, second);
    const stored = await log.readStream(stream);
    expect(stored.map(({ revision }) => revision)).toEqual([0, 1, 2, 3, 4]);
    expect(ids(stored)).toEqual(ids([...first, ...second]));
    expect(one).toEqual({ revision: 1, position: stored[1]?.position });
    expect(two).toEqual({ revision: 4, position: stored[4]?.position });
  });

  it.each<[string, number, ExpectedRevision, ExpectedRevision]>([
    ['a stream that is missing', 0, 0, 'none'],
    ['a stream that is missing, far ahead', 0, 41, 'none'],
    ['a stream that is there already', 1, 'none', 0],
    ['a longer stream that is there already', 3, 'none', 2],
    ['a stream that has gone on', 3, 1, 2],
    ['a stream that has gone on from its first event', 2, 0, 1],
    ['a stream that is not yet so far', 3, 3, 2],
    ['a stream that is not nearly so far', 3, 1_000_000, 2],
  ])('meets %s with a Conflict that says where the stream is', async (_, length, expected, actual) => {
    const { log } = context;
    const stream = unique('conflict');
    if (length > 0) await log.append(stream, 'none', sealedEvents(length));
    const failure = await failureOf(log.append(stream, expected, sealedEvents(2)));
    expect(failure).toBeInstanceOf(Conflict);
    expect(failure).toMatchObject({ stream, expected, actual });
    expect(await log.readStream(stream)).toHaveLength(length);
  });

  it('stores all events of an append or none of them', async () => {
    const { log } = context;
    const stream = unique('atomic');
    await log.append(stream, 'none', sealedEvents(1));
    const head = await log.head();
    await expect(log.append(stream, 'none', sealedEvents(50))).rejects.toThrow(Conflict);
    await expect(log.append(stream, 0, [...sealedEvents(5), sealedEvent({ type: '' })])).rejects.toThrow(InvalidEvent);
    expect(await log.readStream(stream)).toHaveLength(1);
    expect(ofStreams(await after(log, head), [stream])).toEqual([]);
    expect(await log.append(stream, 0, sealedEvents(500))).toMatchObject({ revision: 500 });
  });

  it('lets exactly one of twenty writers at the same revision through', async () => {
    const { log } = context;
    for (const expected of ['none', 0, 1] as const) {
      const stream = unique('race');
      for (let made = 0; expected !== 'none' && made <= expected; made++) {
        await log.append(stream, made === 0 ? 'none' : made - 1, sealedEvents(1));
      }
      const attempts = Array.from({ length: 20 }, () => sealedEvents(2));
      const results = await Promise.allSettled(attempts.map((events) => log.append(stream, expected, events)));
      const won = attempts.filter((_, index) => results[index]?.status === 'fulfilled');
      const first = expected === 'none' ? 0 : expected + 1;
      expect(won).toHaveLength(1);
      expect(ids(await log.readStream(stream, { from: first }))).toEqual(ids(won[0] ?? []));
      for (const result of results) {
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ name: 'Conflict', actual: first + 1 });
      }
    }
  });

  it('loses no event of ten writers that look and try again until they get through', async () => {
    const { log } = context;
    const stream = unique('retries');
    const events = sealedEvents(10);
    await Promise.all(
      events.map(async (event) => {
        for (let expected: ExpectedRevision = 'none'; ;) {
          const failure = await failureOf(log.append(stream, expected, [event]));
          if (failure === undefined) return;
          if (!(failure instanceof Conflict)) throw failure;
          expected = failure.actual;
        }
      }),
    );
    expect(ids(await log.readStream(stream)).sort()).toEqual(ids(events).sort());
  });

  it('lets writers of different streams through side by side', async () => {
    const { log } = context;
    const streams = Array.from({ length: 50 }, () => unique('parallel'));
    const answers = await Promise.all(streams.map((stream) => log.append(stream, 'none', sealedEvents(2))));
    expect(answers.map(({ revision }) => revision)).toEqual(streams.map(() => 1));
    expect(new Set(answers.map(({ position }) => position)).size).toBe(50);
  });

  it.each([
    'with space',
    'a/b:c|d',
    'it\'s "quoted" `so`',
    'dollar$inside',
    'dots.and-dashes_and%percent',
    'ünïcödé 漢字 😀',
    '__proto__',
    'back\\slash',
    '*',
  ])('takes the stream name %j', async (name) => {
    const { log } = context;
    const stream = `${name} ${unique('')}`;
    const head = await log.head();
    await log.append(stream, 'none', sealedEvents(1));
    expect((await log.readStream(stream)).map((event) => event.stream)).toEqual([stream]);
    expect(ofStreams(await after(log, head), [stream])).toHaveLength(1);
  });

  it('keeps streams apart whose names are nearly the same', async () => {
    const { log } = context;
    const name = unique('near');
    const streams = [name, `${name} `, `${name}-1`, `${name}%`, name.toUpperCase(), `x${name}`];
    for (const stream of streams) await log.append(stream, 'none', [sealedEvent({ type: stream })]);
    for (const stream of streams) {
      expect((await log.readStream(stream)).map(({ type }) => type)).toEqual([stream]);
    }
  });

  it(`takes a stream name of ${MAX_STREAM_NAME} characters`, async () => {
    const { log } = context;
    const stream = `${unique('long')}${'漢'.repeat(MAX_STREAM_NAME)}`.slice(0, MAX_STREAM_NAME);
    await log.append(stream, 'none', sealedEvents(1));
    await log.append(stream, 0, sealedEvents(1));
    expect(await log.readStream(stream)).toHaveLength(2);
  });
}

function describeRepeats(context: Context): void {
  it('gives the first answer again and stores nothing', async () => {
    const { log } = context;
    const stream = unique('repeat');
    const [first, second] = [sealedEvents(2), sealedEvents(3)];
    const one = await log.append(stream, 'none', first);
    expect(await log.append(stream, 'none', first)).toEqual(one);
    const two = await log.append(stream, 1, second);
    const head = await log.head();
    expect(await log.append(stream, 1, second)).toEqual(two);
    expect(await log.append(stream, 1, second)).toEqual(two);
    expect(ids(await log.readStream(stream))).toEqual(ids([...first, ...second]));
    expect(ofStreams(await after(log, head), [stream])).toEqual([]);
  });

  it('reaches no subscriber a second time', async () => {
    const { log } = context;
    const stream = unique('repeat-live');
    const head = await log.head();
    const [events, last] = [sealedEvents(2), sealedEvent()];
    const live = subscribedUntil(log, head, last.id);
    await log.append(stream, 'none', events);
    await log.append(stream, 'none', events);
    await log.append(stream, 1, [last]);
    await log.append(stream, 'none', events);
    const stored = await log.readStream(stream);
    expect(ofStreams(await live, [stream])).toEqual(stored);
    expect(ofStreams(await subscribedUntil(log, head, last.id), [stream])).toEqual(stored);
  });

  it('is known again after more events have followed', async () => {
    const { log } = context;
    const stream = unique('repeat-later');
    const appends = [sealedEvents(1), sealedEvents(2), sealedEvents(1), sealedEvents(4)];
    const answers: [ExpectedRevision, Appended][] = [];
    for (const events of appends) {
      const expected = answers.at(-1)?.[1].revision ?? 'none';
      answers.push([expected, await log.append(stream, expected, events)]);
    }
    for (const [index, [expected, answer]] of answers.entries()) {
      expect(await log.append(stream, expected, appends[index] ?? [])).toEqual(answer);
    }
    expect(ids(await log.readStream(stream))).toEqual(ids(appends.flat()));
  });

  it.each<[string, number]>([
    ['a missing stream', 0],
    ['a stream that is there', 3],
  ])('stores what twenty identical copies bring to %s exactly once', async (_, length) => {
    const { log } = context;
    const stream = unique('copies');
    if (length > 0) await log.append(stream, 'none', sealedEvents(length));
    const expected = length > 0 ? length - 1 : 'none';
    const events = sealedEvents(3);
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => log.append(stream, expected, events)));
    const answer = await log.append(stream, expected, events);
    for (const result of results) {
      if (result.status === 'fulfilled') expect(result.value).toEqual(answer);
      else expect(result.reason).toBeInstanceOf(Unavailable);
    }
    expect(ids(await log.readStream(stream, { from: length }))).toEqual(ids(events));
  });

  it('is not recognised by its ids in another stream: there they are new', async () => {
    const { log } = context;
    const [one, two] = [unique('here'), unique('there')];
    const events = sealedEvents(2);
    await log.append(one, 'none', events);
    const answer = await log.append(two, 'none', events);
    expect(answer.revision).toBe(1);
    expect(ids(await log.readStream(two))).toEqual(ids(events));
    expect(await log.append(two, 'none', events)).toEqual(answer);
  });

  it('is a Conflict when it brings more, other or reordered events at the same revision', async () => {
    const { log } = context;
    const stream = unique('not-a-repeat');
    const [a, b, c] = [sealedEvent(), sealedEvent(), sealedEvent()];
    await log.append(stream, 'none', [a, b]);
    for (const events of [[a, b, c], [b, a], [c], [c, b], [a, c]]) {
      expect(await failureOf(log.append(stream, 'none', events))).toMatchObject({ name: 'Conflict', actual: 1 });
    }
    expect(ids(await log.readStream(stream))).toEqual(ids([a, b]));
  });

  it('is carried out when the first attempt met a Conflict and the stream has come to its revision', async () => {
    const { log } = context;
    const stream = unique('second-chance');
    const events = sealedEvents(2);
    await expect(log.append(stream, 0, events)).rejects.toThrow(Conflict);
    await log.append(stream, 'none', sealedEvents(1));
    expect(await log.append(stream, 0, events)).toMatchObject({ revision: 2 });
  });
}

function describeRefusals(context: Context): void {
  const badEvents: [string, Partial<SealedEvent>][] = [
    ['an id that is no UUID', { id: 'not-a-uuid' }],
    ['an empty id', { id: '' }],
    ['an id with more behind it', { id: `${sealedEvent().id}0` }],
    ['an id in upper case', { id: '0190F000-0000-7000-8000-00000000000A' }],
    ['an empty type', { type: '' }],
    ...['[]', '1', 'null', 'true', '"text"', '', '{', '{"a":1', 'undefined', "{'a':1}", '{} {}'].flatMap(
      (text): [string, Partial<SealedEvent>][] => [
        [`data that is ${JSON.stringify(text)}`, { data: text }],
        [`metadata that is ${JSON.stringify(text)}`, { metadata: text }],
      ],
    ),
  ];

  it.each(badEvents)('is an event with %s, and nothing of its append is stored', async (_, fields) => {
    const { log } = context;
    const stream = unique('bad-event');
    await expect(log.append(stream, 'none', [sealedEvent(fields)])).rejects.toThrow(InvalidEvent);
    await expect(log.append(stream, 'none', [sealedEvent(), sealedEvent(fields)])).rejects.toThrow(InvalidEvent);
    expect(await log.readStream(stream)).toEqual([]);
    expect(await log.append(stream, 'none', sealedEvents(1))).toMatchObject({ revision: 0 });
  });

  it.each([
    ['empty', ''],
    ['a lone $', '$'],
    ['of the system', '$all'],
    ['of a stream of the system', '$$orders-1'],
    ['one with a NUL', 'orders\u0000-1'],
    ['one with a line feed', 'orders-1\n'],
    ['one with a tab', '\torders-1'],
    ['one with a DEL', 'orders\u007f1'],
    ['too long', 'x'.repeat(MAX_STREAM_NAME + 1)],
  ])('is a stream name that is %s', async (_, stream) => {
    const { log } = context;
    await expect(log.append(stream, 'none', sealedEvents(1))).rejects.toThrow(InvalidEvent);
  });

  it('is no event at all', async () => {
    const { log } = context;
    const stream = unique('nothing');
    await expect(log.append(stream, 'none', [])).rejects.toThrow(InvalidEvent);
    await log.append(stream, 'none', sealedEvents(1));
    await expect(log.append(stream, 0, [])).rejects.toThrow(InvalidEvent);
    await expect(log.append(stream, 7, [])).rejects.toThrow(InvalidEvent);
  });

  it('disturbs no append beside it or after it', async () => {
    const { log } = context;
    const streams = Array.from({ length: 20 }, () => unique('beside'));
    const bad = badEvents.map(([, fields]) => failureOf(log.append(unique('bad'), 'none', [sealedEvent(fields)])));
    const good = streams.map((stream) => log.append(stream, 'none', sealedEvents(2)));
    expect((await Promise.all(bad)).filter((failure) => !(failure instanceof InvalidEvent))).toEqual([]);
    expect((await Promise.all(good)).map(({ revision }) => revision)).toEqual(streams.map(() => 1));
    for (const stream of streams) expect(await log.append(stream, 1, sealedEvents(1))).toMatchObject({ revision: 2 });
  });

  it.each<[string, readonly number[]]>([
    ['in one event', [MAX_APPEND_BYTES]],
    ['summed over several', [MAX_APPEND_BYTES - 300_000, 200_000, 100_000]],
  ])('begins one byte above MAX_APPEND_BYTES of data, %s', async (_, sizes) => {
    const { log } = context;
    const stream = unique('size');
    const tooMuch = sizes.map((size, index) => sealedEvent({ data: dataOf(index === 0 ? size + 1 : size) }));
    const failure = await failureOf(log.append(stream, 'none', tooMuch));
    expect(failure).toBeInstanceOf(TooLarge);
    expect(failure).toMatchObject({ limitBytes: MAX_APPEND_BYTES });
    expect(await log.readStream(stream)).toEqual([]);

    const enough = sizes.map((size) => sealedEvent({ data: dataOf(size) }));
    await log.append(stream, 'none', enough);
    const stored = await log.readStream(stream);
    expect(stored.map(({ data }) => Buffer.byteLength(data))).toEqual(sizes);
    expect(stored.every(({ data }, index) => data === enough[index]?.data)).toBe(true);
  });

  it('counts bytes, not characters', async () => {
    const { log } = context;
    const stream = unique('bytes');
    const data = canonicalJson({ fill: 'é'.repeat(MAX_APPEND_BYTES / 2) });
    expect(data.length).toBeLessThan(MAX_APPEND_BYTES);
    await expect(log.append(stream, 'none', [sealedEvent({ data })])).rejects.toThrow(TooLarge);
    expect(await log.append(stream, 'none', sealedEvents(1))).toMatchObject({ revision: 0 });
  });
}

function describeContent(context: Context): void {
  const texts: [string, string][] = [
    ['nothing', '{}'],
    ['Unicode', canonicalJson({ 'ключ 漢字': 'ünïcödé 😀 \u2028 \u00a0 \ufeff \uffff', é: 'e\u0301' })],
    ['escaped controls', canonicalJson({ text: '\u0000 \u0001 \u001f \u007f \\ " / \b\f\n\r\t' })],
    ['escaped lone surrogates', canonicalJson({ text: '\ud800 \udfff \udc00\ud83d', '\ud801': 1 })],
    ['names of built-in properties', '{"__proto__":{"a":1},"constructor":2,"hasOwnProperty":3,"toString":null}'],
    ['numbers at their limits', canonicalJson({ n: [1e21, 1e-7, 5e-324, 1.7976931348623157e308, 2 ** 53, -1, 0.1] })],
    ['keys that look like numbers', '{"":0,"1":1,"10":2,"9":3,"a":4}'],
    ['keys with dots, dollars and quotes', canonicalJson({ 'a.b': 1, $set: 2, "'": 3, '"': 4, '{"': 5 })],
    ['empty values of every kind', canonicalJson({ a: [], b: {}, c: '', d: null, e: false, f: 0, g: [[], {}] })],
    ['deep nesting', `${'{"deep":['.repeat(100)}{}${']}'.repeat(100)}`],
    [
      'text that looks like JSON, SQL and a date',
      canonicalJson({ a: '{"b":1}', c: "'; --", d: '2026-01-01T00:00:00Z' }),
    ],
    ['a long text', canonicalJson({ text: 'ab\u0000ö'.repeat(20_000) })],
  ];

  it.each(texts)('of %s survives to the byte, however it is read', async (_, text) => {
    expect(canonicalJson(JSON.parse(text))).toBe(text);
    const { log } = context;
    const stream = unique('content');
    const head = await log.head();
    const event = sealedEvent({ data: text, metadata: text, type: 'thing.häppened 漢 😀 "x"' });
    const { position } = await log.append(stream, 'none', [event]);
    const stored = { ...event, stream, revision: 0, position };
    expect(plain(await log.readStream(stream))).toEqual([stored]);
    expect(plain(ofStreams(await after(log, head), [stream]))).toEqual([stored]);
    expect(plain(ofStreams(await subscribed(log, head, position), [stream]))).toEqual([stored]);
  });
}

function describeReadStream(context: Context): void {
  let stream: string;
  let events: SealedEvent[];

  beforeAll(async () => {
    stream = unique('read');
    events = sealedEvents(10);
    await context.log.append(stream, 'none', events.slice(0, 4));
    await context.log.append(unique('between'), 'none', sealedEvents(3));
    await context.log.append(stream, 3, events.slice(4));
  });

  const rising = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const falling = [...rising].toReversed();

  it.each([
    ['all, from the first', {}, rising],
    ['from a revision on, that one included', { from: 6 }, rising.slice(6)],
    ['from the last', { from: 9 }, [9]],
    ['nothing from beyond the end', { from: 10 }, []],
    ['no more than the limit', { limit: 3 }, [0, 1, 2]],
    ['no more than the limit from a revision', { from: 4, limit: 2 }, [4, 5]],
    ['what there is when the limit is higher', { from: 8, limit: 50 }, [8, 9]],
    ['all backwards, from the last', { backwards: true }, falling],
    ['backwards from a revision, that one included', { backwards: true, from: 3 }, [3, 2, 1, 0]],
    ['backwards from the first', { backwards: true, from: 0 }, [0]],
    ['backwards from beyond the end', { backwards: true, from: 99 }, falling],
    ['backwards no more than the limit', { backwards: true, limit: 2 }, [9, 8]],
    ['backwards no more than the limit from a revision', { backwards: true, from: 7, limit: 3 }, [7, 6, 5]],
  ])('gives %s', async (_, options, revisions) => {
    const stored = await context.log.readStream(stream, options);
    expect(stored.map(({ revision }) => revision)).toEqual(revisions);
    expect(ids(stored)).toEqual(revisions.map((revision) => events[revision]?.id));
    expect(stored.every((event) => event.stream === stream)).toBe(true);
  });

  it('is empty when there is no such stream', async () => {
    const missing = unique('missing');
    for (const options of [{}, { from: 5 }, { backwards: true }, { backwards: true, from: 5 }, { limit: 1 }]) {
      expect(await context.log.readStream(missing, options)).toEqual([]);
    }
  });

  it('gives 1,000 events at most when no limit is given, and the others from there on', async () => {
    const { log } = context;
    const long = unique('long');
    await log.append(long, 'none', sealedEvents(600));
    await log.append(long, 599, sealedEvents(601));
    expect(await log.readStream(long)).toHaveLength(1_000);
    expect((await log.readStream(long, { from: 1_000 })).map(({ revision }) => revision)).toEqual(
      Array.from({ length: 201 }, (_, index) => 1_000 + index),
    );
    expect((await log.readStream(long, { backwards: true })).at(-1)?.revision).toBe(201);
  });

  it('pages through a stream without a gap or a repeat while it grows', async () => {
    const { log } = context;
    const growing = unique('growing');
    await log.append(growing, 'none', sealedEvents(5));
    const seen: number[] = [];
    for (let length = 5; ; length++) {
      const page = await log.readStream(growing, { from: seen.length, limit: 3 });
      if (page.length === 0) break;
      seen.push(...page.map(({ revision }) => revision));
      if (length < 15) await log.append(growing, length - 1, sealedEvents(1));
    }
    expect(seen).toEqual(Array.from({ length: 15 }, (_, index) => index));
  });
}

function describeReadAll(context: Context): void {
  it('orders everything by one position that is a safe integer and strictly increases', async () => {
    const { log } = context;
    const head = await log.head();
    const streams = Array.from({ length: 5 }, () => unique('order'));
    for (let revision = -1; revision < 9; revision++) {
      await Promise.all(streams.map((stream) => log.append(stream, revision < 0 ? 'none' : revision, sealedEvents(1))));
    }
    const all = await after(log, head);
    const mine = ofStreams(all, streams);
    expect(mine).toHaveLength(50);
    expect(all.every(({ position }) => Number.isSafeInteger(position) && position > START)).toBe(true);
    expect(all.every(({ position }, index) => position > (all[index - 1]?.position ?? head))).toBe(true);
    for (const stream of streams) {
      const inOrder = mine.filter((event) => event.stream === stream);
      expect(inOrder.map(({ revision }) => revision)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(inOrder).toEqual(await log.readStream(stream));
    }
  });

  it('orders an append that begins after another was answered behind it', async () => {
    const { log } = context;
    const positions: Position[] = [];
    for (let count = 0; count < 10; count++) {
      positions.push((await log.append(unique('sequence'), 'none', sealedEvents(2))).position);
    }
    expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b));
  });

  it('keeps the events of one append next to each other while others write', async () => {
    const { log } = context;
    const head = await log.head();
    const appends = Array.from({ length: 40 }, () => ({ stream: unique('adjacent'), events: sealedEvents(3) }));
    await Promise.all(appends.map(({ stream, events }) => log.append(stream, 'none', events)));
    const order = ids(await after(log, head));
    for (const { events } of appends) {
      const first = order.indexOf(events[0]?.id as string);
      expect(order.slice(first, first + 3)).toEqual(ids(events));
    }
  });

  it('gives what lies strictly after a position, in rising order, page by page', async () => {
    const { log } = context;
    const head = await log.head();
    const streams = [unique('forwards'), unique('forwards')];
    for (const stream of streams) await log.append(stream, 'none', sealedEvents(4));
    const all = await after(log, head);
    for (const limit of [1, 3, 7]) expect(await after(log, head, limit)).toEqual(all);
    for (const [index, { position }] of all.entries()) {
      expect((await log.readAll(position, { limit: 2 })).slice(0, all.length - index - 1)).toEqual(
        all.slice(index + 1, index + 3),
      );
    }
  });

  it('gives what lies strictly before a position backwards, in falling order, page by page', async () => {
    const { log } = context;
    const head = await log.head();
    const stream = unique('backwards');
    await log.append(stream, 'none', sealedEvents(6));
    const all = await after(log, head);
    for (const limit of [1, 4]) {
      const seen: StoredEvent[] = [];
      for (let from = Infinity; from > (all[0]?.position ?? Infinity); from = seen.at(-1)?.position ?? START) {
        const page = await log.readAll(from, { backwards: true, limit });
        expect(page.length).toBeLessThanOrEqual(limit);
        seen.push(...page);
      }
      const mine = ofStreams(seen, [stream]);
      expect(mine).toEqual(ofStreams(all, [stream]).toReversed());
    }
    const middle = all[3] as StoredEvent;
    expect(await log.readAll(middle.position, { backwards: true, limit: 2 })).toEqual([all[2], all[1]]);
  });

  it('begins with the newest event backwards from Infinity', async () => {
    const { log } = context;
    const stream = unique('newest');
    const { position } = await log.append(stream, 'none', sealedEvents(3));
    const newest = await log.readAll(Infinity, { backwards: true, limit: 1 });
    expect(newest).toHaveLength(1);
    expect(newest[0]?.position).toBeGreaterThanOrEqual(position);
    const found = await log.readAll(Infinity, { backwards: true });
    expect(ofStreams(found, [stream]).map(({ revision }) => revision)).toEqual([2, 1, 0]);
  });

  it('has nothing before the first event, which is the first after START', async () => {
    const { log } = context;
    await log.append(unique('any'), 'none', sealedEvents(1));
    const [first] = await log.readAll(START, { limit: 1 });
    expect(first?.position).toBeGreaterThan(START);
    expect(await log.readAll(first?.position ?? START, { backwards: true })).toEqual([]);
    expect(await log.readAll(START, { backwards: true })).toEqual([]);
  });

  it('gives 1,000 events at most when no limit is given', async () => {
    const { log } = context;
    const head = await log.head();
    await log.append(unique('many'), 'none', sealedEvents(1_100));
    expect(await log.readAll(head)).toHaveLength(1_000);
    expect(await log.readAll(Infinity, { backwards: true })).toHaveLength(1_000);
  });

  it('has its head at the newest event', async () => {
    const { log } = context;
    for (let count = 0; count < 3; count++) {
      const { position } = await log.append(unique('head'), 'none', sealedEvents(2));
      const before = await log.head();
      const [newest] = await log.readAll(Infinity, { backwards: true, limit: 1 });
      const behind = await log.head();
      expect(before).toBeGreaterThanOrEqual(position);
      expect(newest?.position).toBeGreaterThanOrEqual(before);
      expect(newest?.position).toBeLessThanOrEqual(behind);
    }
  });
}

function describeSubscribe(context: Context): void {
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

function describeRestart(context: Context): void {
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

type Step =
  | { readonly stream: number; readonly count: number; readonly at: 'right' | 'none' | number }
  | { readonly again: number };

interface Request {
  readonly stream: string;
  readonly expected: ExpectedRevision;
  readonly events: readonly SealedEvent[];
  answer?: Appended;
}

function describeModel(context: Context): void {
  const step: fc.Arbitrary<Step> = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        stream: fc.nat(2),
        count: fc.integer({ min: 1, max: 3 }),
        at: fc.oneof({ weight: 4, arbitrary: fc.constant('right' as const) }, fc.constant('none' as const), fc.nat(5)),
      }),
    },
    { weight: 1, arbitrary: fc.record({ again: fc.nat(50) }) },
  );

  it('leaves what a list per stream would', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        const { log } = context;
        const head = await log.head();
        const names = [unique('model'), unique('model'), unique('model')];
        const model = new Map<string, SealedEvent[]>(names.map((name) => [name, []]));
        const order: string[] = [];
        const requests: Request[] = [];

        for (const step of steps) {
          const request = 'again' in step ? requests[step.again % (requests.length || 1)] : fresh(step, names, model);
          if (!request) continue;
          if (!requests.includes(request)) requests.push(request);
          const { stream, expected, events } = request;
          const stored = model.get(stream) as SealedEvent[];
          const actual = revisionOf(stored);
          if (request.answer) {
            expect(await log.append(stream, expected, events)).toEqual(request.answer);
          } else if (expected === actual) {
            request.answer = await log.append(stream, expected, events);
            stored.push(...events);
            order.push(...ids(events));
            expect(request.answer.revision).toBe(stored.length - 1);
          } else {
            expect(await failureOf(log.append(stream, expected, events))).toMatchObject({ expected, actual, stream });
          }
        }

        for (const [stream, events] of model) expect(ids(await log.readStream(stream))).toEqual(ids(events));
        expect(ids(ofStreams(await after(log, head), names))).toEqual(order);
      }),
      { numRuns: 50 },
    );
  });
}

function fresh(
  step: Exclude<Step, { again: number }>,
  names: readonly string[],
  model: Map<string, SealedEvent[]>,
): Request {
  const stream = names[step.stream] as string;
  const expected = step.at === 'right' ? revisionOf(model.get(stream) ?? []) : step.at;
  return { stream, expected, events: sealedEvents(step.count) };
}

function revisionOf(stored: readonly SealedEvent[]): ExpectedRevision {
  return stored.length === 0 ? 'none' : stored.length - 1;
}

function ids(events: readonly SealedEvent[]): string[] {
  return events.map(({ id }) => id);
}

function ofStreams(events: readonly StoredEvent[], streams: readonly string[]): StoredEvent[] {
  return events.filter(({ stream }) => streams.includes(stream));
}

/** Own fields in any order, whatever prototype an adapter's rows have. */
function plain(events: readonly StoredEvent[]): StoredEvent[] {
  return events.map((event) => ({ ...event }));
}

/** JSON of an object that is exactly so many bytes long. */
function dataOf(bytes: number): string {
  return `{"fill":"${'x'.repeat(bytes - '{"fill":""}'.length)}"}`;
}

async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  try {
    await attempt;
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Everything after a position, page by page. */
async function after(log: EventLog, from: Position, limit = 1_000): Promise<StoredEvent[]> {
  const all: StoredEvent[] = [];
  for (;;) {
    const last = all.at(-1)?.position ?? from;
    const page = await log.readAll(last, { limit });
    expect(page.length).toBeLessThanOrEqual(limit);
    expect(page[0]?.position ?? Infinity).toBeGreaterThan(last);
    if (page.length === 0) return all;
    all.push(...page);
  }
}

interface Following {
  readonly batchSize?: number;
  readonly onBatch?: (batch: readonly StoredEvent[]) => unknown;
}

/** What a subscription gives until it has come to the position `last`; nothing that lies behind it. */
async function subscribed(
  log: EventLog,
  from: Position,
  last: Position,
  following: Following = {},
): Promise<StoredEvent[]> {
  const seen = await follow(log, from, ({ position }) => position >= last, following);
  return seen.filter(({ position }) => position <= last);
}

/** What a subscription gives until the event of that id has come. */
function subscribedUntil(log: EventLog, from: Position, id: string, following: Following = {}): Promise<StoredEvent[]> {
  return follow(log, from, (event) => event.id === id, following);
}

async function follow(
  log: EventLog,
  from: Position,
  isLast: (event: StoredEvent) => boolean,
  { batchSize, onBatch }: Following,
): Promise<StoredEvent[]> {
  const { signal } = new AbortController();
  const seen: StoredEvent[] = [];
  for await (const batch of log.subscribe(from, { signal, ...(batchSize === undefined ? {} : { batchSize }) })) {
    seen.push(...batch);
    await onBatch?.(batch);
    if (batch.some(isLast)) break;
  }
  return seen;
}

/** The next events of one stream. */
async function nextOf(batches: AsyncIterator<readonly StoredEvent[]>, stream: string): Promise<StoredEvent[]> {
  for (;;) {
    const { done, value } = await batches.next();
    if (done === true) return [];
    const mine = ofStreams(value, [stream]);
    if (mine.length > 0) return mine;
  }
}

async function untilDone(batches: AsyncIterator<readonly StoredEvent[]>): Promise<void> {
  for (let result = await batches.next(); result.done !== true; result = await batches.next());
}
