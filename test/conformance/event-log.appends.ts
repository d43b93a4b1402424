import { expect, it } from '@jest/globals';
import { Conflict, InvalidEvent, Unavailable } from '../../src/kernel/errors.js';
import { MAX_STREAM_NAME, type Appended, type ExpectedRevision } from '../../src/kernel/ports/event-log.js';
import { sealedEvent, sealedEvents } from '../support/sealed-event.js';
import { unique } from '../support/unique.js';
import { after, failureOf, ids, ofStreams, subscribedUntil, type Context } from './event-log.support.js';

/** The numbering of events, and who gets through when several write. */
export function describeAppend(context: Context): void {
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

/** What comes twice is stored once. */
export function describeRepeats(context: Context): void {
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
