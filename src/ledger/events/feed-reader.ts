import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Writable } from 'node:stream';
import type { Clock } from '../../kernel/ports/clock.js';
import type { EventLog, Position, StoredEvent } from '../../kernel/ports/event-log.js';
import type { EventFilter } from './event-filter.js';
import { LedgerEvent } from './ledger-event.js';

/** Part of a feed, ready to be sent: everything up to `position` that a filter lets through. */
export interface Portion {
  readonly bytes: Buffer;
  readonly position: Position;
}

/** Unsent bytes, beyond what the kernel takes, from which on a reader gets nothing more until it has taken them. */
export const MAX_UNSENT_BYTES = 65_536;
/** How long a reader may take for what is unsent. */
export const MAX_PAUSE_MS = 30_000;
const CATCH_UP = 200;

/** Where a reader's events go: the raw answer of a request. */
export type Sink = Writable & { readonly destroyed: boolean };

/**
 * Events of a batch as Server-Sent Events, in portions that are not much larger than what may be unsent. The id of an
 * event is its position: whoever sends it back as `Last-Event-ID` goes on after it.
 */
export function portionsOf(events: readonly LedgerEvent[], filter: EventFilter): Portion[] {
  const portions: Portion[] = [];
  let text = '';
  let position = 0;
  const cut = (): void => {
    if (text !== '') portions.push({ bytes: Buffer.from(text), position });
    text = '';
  };
  for (const event of events) {
    if (!filter.lets(event)) continue;
    ({ position } = event.stored);
    text += `id: ${position}\ndata: ${event.json}\n\n`;
    if (text.length >= MAX_UNSENT_BYTES / 2) cut();
  }
  cut();
  return portions;
}

/**
 * One reader of the feed. It reads the log by itself until it has reached what the feed has handed out, and takes part
 * in the feed from then on; when it is slow it goes back to reading by itself, at its own pace.
 */
export class FeedReader {
  private readonly ended = new AbortController();
  /** Everything up to here that the filter lets through was written. */
  private at: Position;
  private wake: () => void = () => undefined;

  constructor(
    private readonly log: EventLog,
    private readonly clock: Clock,
    private readonly sink: Sink,
    readonly filter: EventFilter,
    start: Position,
  ) {
    this.at = start;
    sink.once('close', () => this.end());
    // A connection that breaks is no error of ours: it closes.
    sink.on('error', () => this.end());
  }

  get position(): Position {
    return this.at;
  }

  get closed(): boolean {
    return this.ended.signal.aborted || this.sink.destroyed;
  }

  /** Resolves when `send` has found that the reader does not keep up, or when it is gone. */
  fallsBehind(): Promise<void> {
    if (this.closed) return Promise.resolve();
    return new Promise((resolve) => (this.wake = resolve));
  }

  /**
   * Reads the log until it has reached `goal`, which moves meanwhile, and has nothing unsent.
   *
   * @returns whether it has; otherwise the reader is gone.
   */
  async catchUp(goal: () => Position): Promise<boolean> {
    while (!this.closed) {
      if (!(await this.drained())) return false;
      if (this.at >= goal()) return true;
      const batch = await this.log.readAll(this.at, { limit: CATCH_UP });
      if (!(await this.sendSlowly(batch))) return false;
      // The embedded store reads on this thread: others have their turn in between.
      await nextTurn();
    }
    return false;
  }

  /**
   * Writes what the feed hands out, as long as the reader keeps up.
   *
   * @param end Position of the last event that the portions stand for.
   * @returns false when it does not: what was not written it has to read by itself.
   */
  send(portions: readonly Portion[], end: Position): boolean {
    for (const { bytes, position } of portions) {
      if (position <= this.at) continue;
      if (this.closed || this.sink.writableNeedDrain) {
        this.wake();
        return false;
      }
      this.sink.write(bytes);
      this.at = position;
    }
    this.at = Math.max(this.at, end);
    return true;
  }

  /** A sign of life that carries how far the reader has come, also where its filter let nothing through. */
  heartbeat(): void {
    if (!this.closed && !this.sink.writableNeedDrain) this.sink.write(`: heartbeat\nid: ${this.at}\n\n`);
  }

  /** Ends the answer; what is unsent is not waited for. */
  close(): void {
    if (this.sink.writableLength > 0) this.sink.destroy();
    else this.sink.end();
    this.end();
  }

  private end(): void {
    this.ended.abort();
    this.wake();
  }

  private async sendSlowly(batch: readonly StoredEvent[]): Promise<boolean> {
    const events = batch.map((stored) => new LedgerEvent(stored));
    for (const portion of portionsOf(events, this.filter)) {
      if (!(await this.drained())) return false;
      this.send([portion], portion.position);
    }
    this.at = Math.max(this.at, batch.at(-1)?.position ?? this.at);
    return !this.closed;
  }

  /** Waits until the reader has taken what is unsent. Whoever takes too long for it is dropped. */
  private async drained(): Promise<boolean> {
    if (this.closed) return false;
    if (!this.sink.writableNeedDrain) return true;
    const over = new AbortController();
    const end = (): void => over.abort();
    this.sink.once('drain', end);
    this.ended.signal.addEventListener('abort', end, { once: true });
    await this.clock.sleep(MAX_PAUSE_MS, over.signal);
    this.sink.off('drain', end);
    this.ended.signal.removeEventListener('abort', end);
    if (!this.closed && this.sink.writableNeedDrain) this.sink.destroy();
    return !this.closed;
  }
}
