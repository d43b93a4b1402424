import { Injectable } from '@nestjs/common';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Refused } from '../../kernel/errors.js';
import { Kernel } from '../../kernel/kernel.js';
import { START, type Position } from '../../kernel/ports/event-log.js';
import { streamPart } from '../../kernel/stream-part.js';
import type { Caller } from '../access/caller.js';
import { ENDPOINTS_STREAM } from '../webhooks/endpoint.decider.js';
import { EventFilter, type EventCriteria } from './event-filter.js';
import { LedgerEvent } from './ledger-event.js';
import { spanOf, type Span } from './time-seek.js';

export type Order = 'asc' | 'desc';

export interface EventPage {
  /** In the order that was asked for. There may be none, and a `next` all the same. */
  readonly events: readonly LedgerEvent[];
  /** Goes on in the same order; null when everything there is has been looked at. */
  readonly next: string | null;
  /** Goes back; null where the range begins. */
  readonly previous: string | null;
  /** The highest position that was looked at. */
  readonly position: Position;
}

export interface StreamPage {
  readonly events: readonly LedgerEvent[];
  readonly next: string | null;
  readonly previous: string | null;
}

const READ = 500;
/** The most events that one request looks at: some 50 ms on the embedded store. */
const MAX_LOOKED_AT = 20_000;
/** So much data ends a page: a thousand events may hold a thousand MiB. */
const MAX_CHARACTERS = 4_000_000;
/**
 * Streams of several tenants. Any other is that of its first event's tenant: a longer look for something that the caller
 * may see would tell, by the time it takes, that somebody else's stream is there.
 */
const SHARED: ReadonlySet<string> = new Set([ENDPOINTS_STREAM]);
/** `a17`: what lies after position (or revision) 17; `b17`: before it. Without a number: all of it. */
const CURSOR = /^([ab])(\d{1,16})?$/;

/**
 * Finds events in the log itself, a bounded look at a time. There is no index beside it: one would cost every write
 * something, for questions that are asked now and then. What narrows the look down is the position, a range of time
 * (found by its turning points) and a run (nothing about it is older than its stream, by more than a day).
 */
@Injectable()
export class EventPages {
  constructor(private readonly kernel: Kernel) {}

  /**
   * A page of all events that the filter lets through.
   *
   * @param limit The most events on it, at least 1. It ends sooner after 20,000 looks or 4 million characters.
   * @throws Refused `invalid` for a cursor or a position that the log does not have.
   */
  async list(filter: EventFilter, order: Order, limit: number, cursor?: string): Promise<EventPage> {
    const { after, before } = await this.narrow(filter.criteria);
    const from = cursor === undefined ? undefined : parseCursor(cursor);
    const rising = from ? from.side === 'a' : order === 'asc';
    const start = rising ? Math.max(after, from?.at ?? after) : Math.min(before, from?.at ?? before);
    const scan = await this.scan(filter, start, rising ? before : after, rising, limit);
    const [ahead, back] = rising ? ['a', 'b'] : ['b', 'a'];
    const onwards = scan.more ? `${ahead}${scan.last}` : null;
    const backwards = from ? `${back}${scan.first ?? ''}` : null;
    const inOrder = rising === (order === 'asc');
    return {
      events: inOrder ? scan.events : scan.events.toReversed(),
      next: inOrder ? onwards : backwards,
      previous: inOrder ? backwards : onwards,
      position: rising ? scan.last : (scan.first ?? after),
    };
  }

  /**
   * A page of one stream, by revision; of a stream that several tenants share, what is the caller's.
   *
   * @throws Refused `not_found` when there is no such stream, or nothing of it is the caller's tenants'.
   */
  async stream(stream: string, caller: Caller, order: Order, limit: number, cursor?: string): Promise<StreamPage> {
    const [first] = await this.kernel.ports.log.readStream(stream, { limit: 1 });
    const seen = new EventFilter({}, caller);
    const found = first && (SHARED.has(stream) || seen.lets(new LedgerEvent(first)));
    if (!found) throw new Refused('not_found', 'Stream not found');
    const from = cursor === undefined ? undefined : parseCursor(cursor);
    const rising = from ? from.side === 'a' : order === 'asc';
    const page = await this.readStream(stream, seen, rising, limit, from?.at);
    if (page.events.length === 0 && !page.more && !from) throw new Refused('not_found', 'Stream not found');
    const [ahead, back] = rising ? ['a', 'b'] : ['b', 'a'];
    const onwards = page.more ? `${ahead}${page.last}` : null;
    const backwards = from ? `${back}${page.first ?? ''}` : null;
    const inOrder = rising === (order === 'asc');
    return {
      events: inOrder ? page.events : page.events.toReversed(),
      next: inOrder ? onwards : backwards,
      previous: inOrder ? backwards : onwards,
    };
  }

  /** Where in the log an event can be that meets the criteria; both ends are exclusive. */
  async narrow({ fromMs, toMs, after, before, run, system }: EventCriteria): Promise<Span> {
    const { log } = this.kernel.ports;
    const began = run === undefined ? undefined : await this.beginOf(run, system);
    const earliest = Math.max(fromMs ?? -Infinity, began ?? -Infinity);
    const span = await spanOf(log, earliest === -Infinity ? undefined : earliest, toMs);
    return { after: Math.max(span.after, after ?? START), before: Math.min(span.before, before ?? Infinity) };
  }

  /** When the streams that are the run's own began; undefined when no system has one of that name. */
  private async beginOf(run: string, system: string | undefined): Promise<number | undefined> {
    const { systems, ports } = this.kernel;
    const names = systems.map(({ name }) => name).filter((name) => system === undefined || name === system);
    const begun = await Promise.all(
      names.map((name) => ports.log.readStream(`${name}.run-${streamPart(run)}`, { limit: 1 })),
    );
    const times = begun.flat().map((stored) => Date.parse(new LedgerEvent(stored).metadata.at ?? ''));
    return times.length === 0 || times.some(Number.isNaN) ? undefined : Math.min(...times);
  }

  private async scan(
    filter: EventFilter,
    start: Position,
    end: Position,
    rising: boolean,
    limit: number,
  ): Promise<{ events: LedgerEvent[]; first?: Position; last: Position; more: boolean }> {
    const events: LedgerEvent[] = [];
    let first: Position | undefined;
    let last = start;
    let characters = 0;
    const found = (more: boolean) => ({ events, last, more, ...(first === undefined ? {} : { first }) });
    for (let lookedAt = 0; lookedAt < MAX_LOOKED_AT;) {
      const batch = await this.kernel.ports.log.readAll(last, { backwards: !rising, limit: READ });
      for (const stored of batch) {
        if (rising ? stored.position >= end : stored.position <= end) return found(false);
        if (events.length >= limit || characters >= MAX_CHARACTERS) return found(true);
        first ??= stored.position;
        last = stored.position;
        lookedAt += 1;
        const event = new LedgerEvent(stored);
        if (!filter.lets(event)) continue;
        events.push(event);
        characters += stored.data.length;
      }
      if (batch.length < READ) return found(false);
      // The embedded store reads on this thread: others have their turn in between.
      await nextTurn();
    }
    return found(true);
  }

  /**
   * Reads on until the page is full, in small portions: how large events are is seen only then.
   *
   * @returns the events, and the first and the last revision that was looked at.
   */
  private async readStream(
    stream: string,
    seen: EventFilter,
    rising: boolean,
    limit: number,
    from: number | undefined,
  ): Promise<{ events: LedgerEvent[]; first: number | undefined; last: number | undefined; more: boolean }> {
    const events: LedgerEvent[] = [];
    let characters = 0;
    let first: number | undefined;
    let last = from;
    const found = (more: boolean) => ({ events, first, last, more });
    for (let lookedAt = 0; lookedAt < MAX_LOOKED_AT;) {
      const at = last === undefined ? undefined : last + (rising ? 1 : -1);
      if (at !== undefined && at < 0) return found(false);
      const batch = await this.kernel.ports.log.readStream(stream, {
        backwards: !rising,
        limit: READ,
        ...(at === undefined ? {} : { from: at }),
      });
      for (const stored of batch) {
        if (events.length >= limit || characters >= MAX_CHARACTERS) return found(true);
        first ??= stored.revision;
        last = stored.revision;
        lookedAt += 1;
        const event = new LedgerEvent(stored);
        if (!seen.lets(event)) continue;
        events.push(event);
        characters += stored.data.length;
      }
      if (batch.length < READ) return found(false);
      await nextTurn();
    }
    return found(true);
  }
}

function parseCursor(cursor: string): { side: 'a' | 'b'; at: number | undefined } {
  const [, side, digits] = CURSOR.exec(cursor) ?? [];
  const at = digits === undefined ? undefined : Number(digits);
  if (side === undefined || (at !== undefined && !Number.isSafeInteger(at))) {
    throw new Refused('invalid', 'cursor: take it from next or previous of another page');
  }
  return { side: side as 'a' | 'b', at };
}
