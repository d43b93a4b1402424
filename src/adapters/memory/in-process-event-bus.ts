import type { Logger } from 'pino';
import { Unavailable } from '../../kernel/errors.js';
import type { Clock } from '../../kernel/ports/clock.js';
import { EventBus, subjectMatches, type BusEvent, type BusSubscription } from '../../kernel/ports/event-bus.js';

/** At least how many published ids are remembered: a repetition among them is dropped. */
const REMEMBERED_IDS = 10_000;
const DEFAULT_MAX_WAITING = 10_000;
const MIN_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;

export interface InProcessEventBusOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The most events that one subscription may have waiting, the one in its handler included. @default 10_000 */
  readonly maxWaiting?: number;
}

export interface InProcessSubscription extends BusSubscription {
  /** Fires when the bus has dropped the subscription; the reason is an `Unavailable` that says which event is missing. */
  readonly dropped: AbortSignal;
}

/**
 * Carries events within one process. Every subscription has a queue and a loop of its own, so a handler that is slow or
 * fails (it is called again after 100 ms, doubling to 5 s) holds up nobody else, and `publish` waits for no handler.
 *
 * A subscription for which more than `maxWaiting` events wait is dropped: its handler is called no more, what waited is
 * let go, `dropped` fires and an error is logged with the position of the first event that it did not get. To wait in
 * `publish` would let the slowest hold up all, and to leave events out would lose them unseen; a dropped subscriber
 * knows where to read on in the log, which has everything.
 *
 * Nothing here outlives the process: whoever publishes from a cursor on the log publishes again what was under way.
 */
export class InProcessEventBus extends EventBus {
  private readonly subscriptions = new Set<Delivery>();
  private published = new Set<string>();
  /** Forgotten all at once: a set from which the oldest are taken one by one is searched past all that it has lost. */
  private publishedBefore: ReadonlySet<string> = new Set();
  private closed = false;

  constructor(private readonly options: InProcessEventBusOptions) {
    super();
  }

  override async publish(events: readonly BusEvent[]): Promise<void> {
    this.assertOpen();
    for (const event of events) {
      if (!this.remember(event.id)) continue;
      for (const subscription of this.subscriptions) subscription.offer(event);
    }
  }

  override async subscribe(
    subject: string,
    handler: (event: BusEvent) => Promise<void>,
  ): Promise<InProcessSubscription> {
    this.assertOpen();
    const subscription = new Delivery(subject, handler, this.options, () => this.subscriptions.delete(subscription));
    this.subscriptions.add(subscription);
    return subscription;
  }

  override async close(): Promise<void> {
    this.closed = true;
    await Promise.all(Array.from(this.subscriptions, (subscription) => subscription.stop()));
  }

  private assertOpen(): void {
    if (this.closed) throw new Unavailable('The event bus is closed');
  }

  /** @returns false for an id that is remembered already. */
  private remember(id: string): boolean {
    if (this.published.has(id) || this.publishedBefore.has(id)) return false;
    if (this.published.size >= REMEMBERED_IDS) {
      this.publishedBefore = this.published;
      this.published = new Set();
    }
    this.published.add(id);
    return true;
  }
}

/** The events that wait for one handler, and the loop that hands them over. */
class Delivery implements InProcessSubscription {
  private readonly ending = new AbortController();
  private readonly dropping = new AbortController();
  private readonly maxWaiting: number;
  private waiting: BusEvent[] = [];
  /** Where in `waiting` the next event is: what lies before has been handled. */
  private next = 0;
  private running: Promise<void> | undefined;

  constructor(
    private readonly subject: string,
    private readonly handler: (event: BusEvent) => Promise<void>,
    private readonly options: InProcessEventBusOptions,
    private readonly leave: () => void,
  ) {
    this.maxWaiting = options.maxWaiting ?? DEFAULT_MAX_WAITING;
  }

  get dropped(): AbortSignal {
    return this.dropping.signal;
  }

  offer(event: BusEvent): void {
    if (this.ending.signal.aborted || !subjectMatches(this.subject, event.subject)) return;
    if (this.waiting.length - this.next >= this.maxWaiting) {
      this.drop();
      return;
    }
    this.waiting.push(event);
    this.running ??= this.deliver();
  }

  /** Not to be awaited by the handler itself: it would wait for its own end. */
  async stop(): Promise<void> {
    this.end();
    await this.running;
  }

  private async deliver(): Promise<void> {
    // No handler runs inside `publish`, and `running` is set before it is unset.
    await Promise.resolve();
    for (let event = this.waiting[this.next]; event; event = this.waiting[this.next]) {
      await this.hand(event);
      this.next += 1;
      this.forgetHandled();
    }
    this.running = undefined;
  }

  /** Calls the handler until it has taken the event, or the subscription ends. */
  private async hand(event: BusEvent): Promise<void> {
    const { clock, logger } = this.options;
    const { signal } = this.ending;
    for (let pauseMs = MIN_PAUSE_MS; !signal.aborted; pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2)) {
      try {
        await this.handler(event);
        return;
      } catch (error) {
        logger.warn(
          { err: error, subject: event.subject, position: event.position },
          'bus event not handled, again soon',
        );
        await clock.sleep(pauseMs, signal);
      }
    }
  }

  /** Gives the memory of many handled events back at once: one by one it would be copied for each. */
  private forgetHandled(): void {
    if (this.next < this.waiting.length && this.next < 1_024) return;
    this.waiting = this.waiting.slice(this.next);
    this.next = 0;
  }

  private drop(): void {
    const { subject } = this;
    const position = this.waiting[this.next]?.position;
    this.options.logger.error({ subject, position, maxWaiting: this.maxWaiting }, 'bus subscription dropped, too slow');
    this.end();
    this.dropping.abort(new Unavailable(`The bus dropped ${subject}, too slow: it lacks what begins at ${position}`));
  }

  private end(): void {
    this.ending.abort();
    this.leave();
    this.waiting = [];
    this.next = 0;
  }
}
