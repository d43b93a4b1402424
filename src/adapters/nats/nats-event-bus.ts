import { DiscardPolicy, headers, nanos, RetentionPolicy, StorageType, type JsMsg, type StreamConfig } from 'nats';
import { Unavailable } from '../../kernel/errors.js';
import { EventBus, subjectMatches, type BusEvent, type BusSubscription } from '../../kernel/ports/event-bus.js';
import { Turns } from '../../kernel/signal.js';
import { CLOUD_EVENT_TYPE, fromCloudEvent, toCloudEvent, type CloudEvent } from './cloud-event.js';
import { NatsLink, type NatsOptions } from './nats-link.js';
import { follow, StreamReader, type Follower } from './stream-reader.js';

export interface NatsEventBusOptions extends NatsOptions {
  /** @default RUNLEDGER_EVENTS */
  readonly stream?: string;
  /** The most that the stream keeps; once it is full, publishing is `Unavailable`. @default what the server allows */
  readonly maxBytes?: number;
  /** How long an event can be replayed, in ms. @default for ever */
  readonly maxAgeMs?: number;
}

/** How many of the newest ids are remembered: a repetition among them is dropped, however late it comes. */
const REMEMBERED_IDS = 20_000;
const IN_FLIGHT = 256;
/** How often others may get in between before a publication gives up. */
const MAX_ROUNDS = 50;
const CATCH_UP_MS = 60_000;
const HANDLER_BATCH = 64;
const MIN_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;

/**
 * Carries events in one durable stream with the subjects `events.>`, each as a CloudEvent. Anybody can replay it with a
 * JetStream consumer of their own; `subscribe` gives what comes from now on.
 *
 * Many events are on their way at once, and each names the sequence that must come before it. So the stream takes either
 * all in their order or breaks off at one, and never takes a later event of a batch whose earlier one it has refused.
 * Where it does not end as expected (another process has published, or an acknowledgement was lost) the ids that were
 * stored meanwhile are read, and what is missing is published after them. That also finds repetitions that come later
 * than the two minutes for which JetStream itself remembers message ids.
 *
 * The stream refuses what is new when it is full, and keeps what it has: to drop the oldest would lose it unseen for a
 * subscriber that is behind. Publishing is `Unavailable` until somebody makes room; the publisher waits, the log has all.
 */
export class NatsEventBus extends EventBus {
  private readonly turns = new Turns();
  private readonly published = new Set<string>();
  private readonly subscriptions = new Set<Delivery>();
  /** Sequence of the newest message known; undefined when the outcome of a publication is not known. */
  private last: number | undefined;
  private seen = 0;

  private constructor(
    private readonly link: NatsLink,
    private readonly config: Partial<StreamConfig> & { readonly name: string },
  ) {
    super();
  }

  /** @throws Unavailable when the server cannot be reached. */
  static async open(options: NatsEventBusOptions): Promise<NatsEventBus> {
    const { stream = 'RUNLEDGER_EVENTS', maxBytes = -1, maxAgeMs = 0 } = options;
    const link = await NatsLink.open(options, 'events');
    const bus = new NatsEventBus(link, {
      name: stream,
      description: 'Every recorded event of Runledger as a CloudEvent.',
      subjects: ['events.>'],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      discard: DiscardPolicy.New,
      max_bytes: maxBytes,
      max_age: nanos(maxAgeMs),
    });
    try {
      await bus.end();
      return bus;
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  override publish(events: readonly BusEvent[]): Promise<void> {
    return this.turns.take(() => this.store(events));
  }

  override async subscribe(subject: string, handler: (event: BusEvent) => Promise<void>): Promise<BusSubscription> {
    const end = await this.end();
    const delivery = new Delivery(this.link, this.config.name, subject, handler, {
      after: end,
      end: () => this.end(),
      leave: () => this.subscriptions.delete(delivery),
    });
    this.subscriptions.add(delivery);
    return delivery;
  }

  override async close(): Promise<void> {
    await Promise.all(Array.from(this.subscriptions, (subscription) => subscription.stop()));
    await this.turns.take(() => this.link.close());
  }

  private async store(events: readonly BusEvent[]): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.last ??= await this.catchUp();
      const missing = new Map(events.filter(({ id }) => !this.published.has(id)).map((event) => [event.id, event]));
      if (missing.size === 0) return;
      await this.storeInOrder([...missing.values()], this.last);
    }
    throw new Unavailable('Others kept publishing into the same stream');
  }

  /** Publishes as many as the stream takes in their order; `last` is undefined when that were not all. */
  private async storeInOrder(events: readonly BusEvent[], after: number): Promise<void> {
    let last = after;
    for (let from = 0; from < events.length; from += IN_FLIGHT) {
      const batch = events.slice(from, from + IN_FLIGHT);
      const first = last;
      const outcomes = await Promise.allSettled(batch.map((event, index) => this.send(event, first + index)));
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome.status === 'rejected' || outcome.value !== first + index + 1) {
          this.last = undefined;
          if (outcome.status === 'rejected') throw outcome.reason;
          return;
        }
        last = outcome.value;
        this.remember(batch[index]?.id);
        this.last = this.seen = last;
      }
    }
  }

  /** @returns the sequence it has in the stream; undefined when the stream does not end where it should. */
  private async send(event: BusEvent, after: number): Promise<number | undefined> {
    const cloudEvent = headers();
    cloudEvent.set('content-type', CLOUD_EVENT_TYPE);
    const acknowledged = await this.link.publish(event.subject, Buffer.from(JSON.stringify(toCloudEvent(event))), {
      headers: cloudEvent,
      msgID: event.id,
      expect: { streamName: this.config.name, lastSequence: after },
    });
    return acknowledged?.seq;
  }

  /** Learns which ids the stream has taken since it was last looked at. @returns where it ends. */
  private async catchUp(): Promise<number> {
    const end = await this.end();
    if (end < this.seen) {
      // The server has lost the stream and begun another one.
      this.published.clear();
      this.seen = 0;
    }
    if (end > this.seen) await this.readIds(Math.max(this.seen, end - REMEMBERED_IDS) + 1, end);
    this.seen = end;
    return end;
  }

  private async readIds(from: number, to: number): Promise<void> {
    const reader = await StreamReader.open(this.link, { stream: this.config.name, from, headersOnly: true });
    if (reader.waiting === 0) return;
    for await (const message of reader.messages(AbortSignal.timeout(CATCH_UP_MS))) {
      this.remember(message.headers?.get('Nats-Msg-Id'));
      if (message.seq >= to || message.info.pending === 0) return;
    }
    throw new Unavailable(`The newest events could not be read back from NATS within ${CATCH_UP_MS} ms`);
  }

  /** Sequence of the stream's last message, 0 when it never had one. Makes the stream when it is not there. */
  private async end(): Promise<number> {
    return (await this.link.ensureStream(this.config)).state.last_seq;
  }

  private remember(id: string | undefined): void {
    if (id === undefined || id === '') return;
    this.published.add(id);
    if (this.published.size <= REMEMBERED_IDS) return;
    for (const oldest of this.published) {
      this.published.delete(oldest);
      break;
    }
  }
}

interface Place {
  /** Sequence of the last message that is not delivered. */
  readonly after: number;
  readonly end: () => Promise<number>;
  readonly leave: () => void;
}

/** One subscription: reads on from where it stands, and calls its handler for one event until that has taken it. */
class Delivery implements BusSubscription, Follower {
  private readonly ending = new AbortController();
  private readonly running: Promise<void>;
  private taken: number;

  constructor(
    private readonly link: NatsLink,
    private readonly stream: string,
    private readonly subject: string,
    private readonly handler: (event: BusEvent) => Promise<void>,
    private readonly place: Place,
  ) {
    this.taken = place.after;
    const { clock, logger } = link.options;
    const filter = filterOf(subject);
    // What cannot match anything is no subject that the server would take.
    this.running =
      filter === undefined ? Promise.resolve() : follow(this, { clock, logger, signal: this.ending.signal });
  }

  /** Not to be awaited by the handler itself: it would wait for its own end. */
  async stop(): Promise<void> {
    this.ending.abort();
    await this.running;
    this.place.leave();
  }

  async open(): Promise<StreamReader> {
    const end = await this.place.end();
    // The server has lost the stream and begun another one.
    if (end < this.taken) this.taken = 0;
    const filter = filterOf(this.subject) ?? this.subject;
    return StreamReader.open(this.link, { stream: this.stream, from: this.taken + 1, filter, batch: HANDLER_BATCH });
  }

  async take(message: JsMsg): Promise<void> {
    if (subjectMatches(this.subject, message.subject)) {
      await this.hand(fromCloudEvent(message.json<CloudEvent>(), message.subject));
    }
    this.taken = message.seq;
  }

  private async hand(event: BusEvent): Promise<void> {
    const { clock, logger } = this.link.options;
    const { signal } = this.ending;
    for (let pauseMs = MIN_PAUSE_MS; !signal.aborted; pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2)) {
      try {
        await this.handler(event);
        return;
      } catch (error) {
        const { subject, position } = event;
        logger.warn({ err: error, subject, position }, 'bus event not handled, again soon');
        await clock.sleep(pauseMs, signal);
      }
    }
  }
}

/** The part of the stream's subjects that a pattern asks for; undefined when it is none. */
function filterOf(pattern: string): string | undefined {
  const [first, ...rest] = pattern.split('.');
  if (first === '>') return 'events.>';
  if ((first !== '*' && first !== 'events') || rest.length === 0) return undefined;
  return ['events', ...rest].join('.');
}
