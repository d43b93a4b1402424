import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Unavailable } from '../../kernel/errors.js';
import { Kernel } from '../../kernel/kernel.js';
import type { Position, StoredEvent } from '../../kernel/ports/event-log.js';
import type { EventFilter } from './event-filter.js';
import { FeedReader, portionsOf, type Portion, type Sink } from './feed-reader.js';
import { LedgerEvent } from './ledger-event.js';

const HEARTBEAT_MS = 15_000;
const RETRY_MS = 500;
const BATCH = 200;

/**
 * Hands new events out to all who listen by HTTP. The log is followed once, for as long as somebody listens; an event
 * is read and written as JSON once, and filtered once for all whose filters are alike.
 */
@Injectable()
export class EventFeed implements OnModuleDestroy {
  /** Those who have everything up to `position`. */
  private readonly live = new Set<FeedReader>();
  private readonly readers = new Set<FeedReader>();
  private readonly closing = new AbortController();
  private following: { readonly stop: AbortController; readonly begun: Promise<void> } | undefined;
  /** Of the last event that was handed out. */
  private position: Position = 0;

  constructor(private readonly kernel: Kernel) {}

  /** How many listen. */
  get size(): number {
    return this.readers.size;
  }

  /**
   * Sends to `sink` every event after `start` that the filter lets through, in the log's order and without a gap, until
   * it closes.
   *
   * @throws Unavailable while the service stops.
   */
  async serve(sink: Sink, filter: EventFilter, start: Position): Promise<void> {
    if (this.closing.signal.aborted) throw new Unavailable('The service stops');
    const { log, clock } = this.kernel.ports;
    const reader = new FeedReader(log, clock, sink, filter, start);
    this.readers.add(reader);
    try {
      await (this.following ??= this.follow()).begun;
      await this.attend(reader);
    } catch (error) {
      this.kernel.logger.warn({ err: error, position: reader.position }, 'a subscriber could not be served');
      reader.close();
    } finally {
      this.readers.delete(reader);
      this.live.delete(reader);
      if (this.readers.size === 0) this.unfollow();
    }
  }

  /** First of all when the service stops: open answers would hold it up. */
  onModuleDestroy(): void {
    this.closing.abort();
    for (const reader of this.readers) reader.close();
  }

  private async attend(reader: FeedReader): Promise<void> {
    while (await reader.catchUp(() => this.position)) {
      // Something may have been handed out since it looked. From here to its joining nothing is awaited.
      if (reader.position < this.position) continue;
      this.live.add(reader);
      await reader.fallsBehind();
    }
  }

  private follow(): NonNullable<EventFeed['following']> {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.closing.signal]);
    const begun = this.kernel.ports.log.head().then((head) => {
      this.position = head;
      void this.run(signal);
      void this.beat(signal);
    });
    return { stop, begun };
  }

  private unfollow(): void {
    this.following?.stop.abort();
    this.following = undefined;
  }

  private async run(signal: AbortSignal): Promise<void> {
    const { log, clock } = this.kernel.ports;
    while (!signal.aborted) {
      try {
        for await (const batch of log.subscribe(this.position, { signal, batchSize: BATCH })) {
          if (signal.aborted) return;
          this.handOut(batch);
        }
      } catch (error) {
        this.kernel.logger.warn({ err: error, position: this.position }, 'the feed of events failed, trying again');
        await clock.sleep(RETRY_MS, signal);
      }
    }
  }

  private handOut(batch: readonly StoredEvent[]): void {
    const events = batch.map((stored) => new LedgerEvent(stored));
    this.position = batch.at(-1)?.position ?? this.position;
    const portions = new Map<string, Portion[]>();
    for (const reader of this.live) {
      const { key } = reader.filter;
      const own = portions.get(key) ?? portionsOf(events, reader.filter);
      portions.set(key, own);
      // Who is slow goes on by itself, and comes back when it has caught up. Until then it must miss nothing more.
      if (!reader.send(own, this.position)) this.live.delete(reader);
    }
  }

  private async beat(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.kernel.ports.clock.sleep(HEARTBEAT_MS, signal);
      if (signal.aborted) return;
      for (const reader of this.readers) reader.heartbeat();
    }
  }
}
