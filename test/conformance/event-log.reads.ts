import { beforeAll, expect, it } from '@jest/globals';
import { START, type Position, type SealedEvent, type StoredEvent } from '../../src/kernel/ports/event-log.js';
import { sealedEvents } from '../support/sealed-event.js';
import { unique } from '../support/unique.js';
import { after, ids, ofStreams, type Context } from './event-log.support.js';

/** One stream, from and to wherever it is asked for. */
export function describeReadStream(context: Context): void {
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

/** The one order of all events, forwards and backwards. */
export function describeReadAll(context: Context): void {
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
