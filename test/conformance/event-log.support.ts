import { expect } from '@jest/globals';
import type { EventLog, Position, SealedEvent, StoredEvent } from '../../src/kernel/ports/event-log.js';
import type { EventLogHarness } from './event-log.suite.js';

/** What the parts of the suite share. A restart puts another log in its place. */
export interface Context {
  log: EventLog;
  harness: EventLogHarness;
}

export function ids(events: readonly SealedEvent[]): string[] {
  return events.map(({ id }) => id);
}

/** The events that one of the streams holds. */
export function ofStreams(events: readonly StoredEvent[], streams: readonly string[]): StoredEvent[] {
  return events.filter(({ stream }) => streams.includes(stream));
}

/** Own fields in any order, whatever prototype an adapter's rows have. */
export function plain(events: readonly StoredEvent[]): StoredEvent[] {
  return events.map((event) => ({ ...event }));
}

/** JSON of an object that is exactly so many bytes long. */
export function dataOf(bytes: number): string {
  return `{"fill":"${'x'.repeat(bytes - '{"fill":""}'.length)}"}`;
}

/** What an attempt fails with; nothing when it succeeds. */
export async function failureOf(attempt: Promise<unknown>): Promise<unknown> {
  try {
    await attempt;
    return undefined;
  } catch (error) {
    return error;
  }
}

/** Everything after a position, page by page. */
export async function after(log: EventLog, from: Position, limit = 1_000): Promise<StoredEvent[]> {
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
export async function subscribed(
  log: EventLog,
  from: Position,
  last: Position,
  following: Following = {},
): Promise<StoredEvent[]> {
  const seen = await follow(log, from, ({ position }) => position >= last, following);
  return seen.filter(({ position }) => position <= last);
}

/** What a subscription gives until the event of that id has come. */
export function subscribedUntil(
  log: EventLog,
  from: Position,
  id: string,
  following: Following = {},
): Promise<StoredEvent[]> {
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
export async function nextOf(batches: AsyncIterator<readonly StoredEvent[]>, stream: string): Promise<StoredEvent[]> {
  for (;;) {
    const { done, value } = await batches.next();
    if (done === true) return [];
    const mine = ofStreams(value, [stream]);
    if (mine.length > 0) return mine;
  }
}

/** Lets go by whatever comes until the subscription ends. */
export async function untilDone(batches: AsyncIterator<readonly StoredEvent[]>): Promise<void> {
  for (let result = await batches.next(); result.done !== true; result = await batches.next());
}
