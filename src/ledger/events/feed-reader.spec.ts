import { describe, expect, it } from '@jest/globals';
import { Writable } from 'node:stream';
import { canonicalJson } from '../../kernel/canonical-json.js';
import type { EventLog, StoredEvent } from '../../kernel/ports/event-log.js';
import type { Clock } from '../../kernel/ports/clock.js';
import { Caller } from '../access/caller.js';
import { EventFilter } from './event-filter.js';
import { FeedReader, MAX_UNSENT_BYTES, portionsOf } from './feed-reader.js';
import { LedgerEvent } from './ledger-event.js';

const all = new EventFilter({}, new Caller('all', new Set(['read']), null));
const only = (types: string[]) => new EventFilter({ types }, new Caller('all', new Set(['read']), null));

function stored(position: number, size = 1_000): StoredEvent {
  return {
    position,
    id: `id-${position}`,
    type: position % 2 === 0 ? 'even' : 'odd',
    stream: 'alpha.thing-1',
    revision: position - 1,
    data: canonicalJson({ text: 'x'.repeat(size) }),
    metadata: canonicalJson({ tenant: 'acme' }),
    hash: '',
  };
}
const history = Array.from({ length: 500 }, (_, index) => stored(index + 1));
const events = history.map((each) => new LedgerEvent(each));
const log = {
  readAll: async (from: number, { limit = 1_000 }) => history.filter(({ position }) => position > from).slice(0, limit),
} as unknown as EventLog;
/** Nobody is dropped: time stands still. */
const clock = {
  sleep: (_ms: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())),
} as unknown as Clock;

/** Takes a chunk whenever it is told to. */
class Taker extends Writable {
  text = '';
  most = 0;
  private take: (() => void) | undefined;

  constructor() {
    super({ highWaterMark: MAX_UNSENT_BYTES });
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.most = Math.max(this.most, this.writableLength);
    this.take = () => {
      this.text += chunk.toString();
      done();
    };
  }

  /** @returns whether there was something. */
  takeOne(): boolean {
    const { take } = this;
    this.take = undefined;
    take?.();
    return take !== undefined;
  }

  get ids(): number[] {
    return [...this.text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
  }
}

describe('a reader of the feed', () => {
  it('that does not read has little more unsent than the limit, however much there is', async () => {
    const taker = new Taker();
    const reader = new FeedReader(log, clock, taker, all, 0);
    const caughtUp = reader.catchUp(() => 500);
    for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate);
    const portion = MAX_UNSENT_BYTES / 2 + 2_000;
    expect(taker.writableLength).toBeGreaterThanOrEqual(MAX_UNSENT_BYTES);
    expect(taker.writableLength).toBeLessThan(MAX_UNSENT_BYTES + portion);
    while (reader.position < 500 || taker.writableLength > 0) {
      taker.takeOne();
      await new Promise(setImmediate);
    }
    expect(await caughtUp).toBe(true);
    expect(taker.most).toBeLessThan(MAX_UNSENT_BYTES + portion);
    expect(taker.ids).toEqual(history.map(({ position }) => position));
  });

  it('takes from the feed what it has not, and says when it can take no more', async () => {
    const taker = new Taker();
    const reader = new FeedReader(log, clock, taker, all, 3);
    const portions = (from: number, to: number) => portionsOf(events.slice(from, to), all);
    expect(reader.send(portions(0, 3), 3)).toBe(true);
    expect(taker.writableLength).toBe(0);
    expect(reader.send(portions(3, 10), 10)).toBe(true);
    const behind = reader.fallsBehind();
    expect(reader.send(portions(10, 200), 200)).toBe(false);
    await behind;
    expect(reader.position).toBeGreaterThan(10);
    expect(reader.position).toBeLessThan(200);
    const caughtUp = reader.catchUp(() => 200);
    while (reader.position < 200 || taker.writableLength > 0) {
      taker.takeOne();
      await new Promise(setImmediate);
    }
    expect(await caughtUp).toBe(true);
    const { position } = reader;
    expect(taker.ids).toEqual(history.slice(3, position).map((each) => each.position));
  });

  it('is as far as the feed where its filter lets nothing through', async () => {
    const taker = new Taker();
    const reader = new FeedReader(log, clock, taker, only(['even']), 0);
    expect(reader.send(portionsOf(events.slice(0, 3), reader.filter), 3)).toBe(true);
    taker.takeOne();
    reader.heartbeat();
    taker.takeOne();
    expect([reader.position, taker.ids]).toEqual([3, [2, 3]]);
    expect(taker.text).toMatch(/\n\n: heartbeat\nid: 3\n\n$/);
  });

  it('that is gone takes nothing and waits for nothing', async () => {
    const taker = new Taker();
    const reader = new FeedReader(log, clock, taker, all, 0);
    const caughtUp = reader.catchUp(() => 500);
    taker.destroy();
    expect(await caughtUp).toBe(false);
    await reader.fallsBehind();
    expect(reader.send(portionsOf(events, all), 500)).toBe(false);
    expect(await reader.catchUp(() => 0)).toBe(false);
  });
});

describe('portions of the feed', () => {
  it('hold everything that the filter lets through, once and in order, none much larger than half the limit', () => {
    const sizes = [10, 70_000, 1, 40_000, ...Array.from({ length: 100 }, (_, index) => index * 37)];
    const some = sizes.map((size, index) => new LedgerEvent(stored(index + 1, size)));
    const portions = portionsOf(some, only(['even']));
    const text = portions.map(({ bytes }) => bytes.toString()).join('');
    const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
    expect(ids).toEqual(some.map((event) => event.stored.position).filter((position) => position % 2 === 0));
    expect(portions.at(-1)?.position).toBe(ids.at(-1));
    const largest = MAX_UNSENT_BYTES / 2 + 5_000;
    for (const { bytes, position } of portions) if (position > 4) expect(bytes.length).toBeLessThan(largest);
  });
});
