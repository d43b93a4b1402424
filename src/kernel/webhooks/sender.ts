import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { WebhookEvent } from '../../../contracts/webhook.events.js';
import type { Cursors } from '../cursors.js';
import { Effect } from '../effect.js';
import { systemOf, type StoredReading } from '../event-catalog.js';
import type { Metrics } from '../metrics.js';
import type { OutboundClient } from '../outbound/outbound-client.js';
import type { Clock } from '../ports/clock.js';
import { START, type EventLog, type Position, type StoredEvent } from '../ports/event-log.js';
import type { ReadableEvents } from '../readable-events.js';
import { inContext } from '../request-context.js';
import { streamPart } from '../stream-part.js';
import type { Streams } from '../streams.js';
import { deliveryDecider } from './delivery.decider.js';
import type { WebhookEndpoint, WebhookMessage } from './endpoint.js';
import { Lanes, type Queued } from './lanes.js';
import { signWebhook } from './signature.js';

/** Deliveries to one endpoint at the same time. */
const CONCURRENCY = 64;
/** Deliveries kept in memory; the cursor waits while a receiver lags by more. */
const MAX_PENDING = 20_000;

interface Delivery extends Queued {
  readonly message: WebhookMessage;
  readonly eventId: string;
  attempts: number;
}

interface Attempt {
  readonly status: number | null;
  readonly error: string | null;
  readonly durationMs: number;
}

/**
 * Sends what the log says to one endpoint: a cursor, lanes per run, and every attempt recorded as an event. After a
 * restart the log tells which deliveries are over, which wait, and since when.
 */
export class WebhookSender {
  private readonly effect: Effect;
  private readonly lanes: Lanes<Delivery>;
  private readonly types: ReadonlySet<string>;
  /** Until here deliveries may have been settled by a former process: nothing is sent before it has been read. */
  private history: Position = START;

  constructor(
    private readonly log: EventLog,
    cursors: Cursors,
    private readonly streams: Streams,
    private readonly events: ReadableEvents,
    private readonly client: OutboundClient,
    private readonly clock: Clock,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
    private readonly endpoint: WebhookEndpoint,
    /** Asked before each attempt: another process may have the duty. */
    mayAct: () => boolean = () => true,
    private readonly maxPending = MAX_PENDING,
  ) {
    this.types = new Set(endpoint.types);
    this.lanes = new Lanes(clock, {
      concurrency: CONCURRENCY,
      mayAct,
      attempt: (delivery) => this.attempt(delivery),
      onError: (error, lane) => logger.error({ err: error, endpoint: endpoint.id, lane }, 'a webhook lane broke'),
    });
    this.effect = new Effect(log, cursors, clock, logger, {
      name: `webhook ${endpoint.id}`,
      begin: async () => START,
      handle: (batch) => this.take(batch),
      settled: (read) => this.lanes.settledUpTo(read),
    });
  }

  async start(): Promise<void> {
    this.history = await this.log.head();
    await this.effect.start();
    if (this.effect.position >= this.history) this.lanes.begin();
  }

  /** What waits, or has not been answered in two seconds, is sent after the next start. */
  async close(): Promise<void> {
    await this.lanes.close();
    await this.effect.close();
    // What is pending is told by whoever sends next, perhaps another process.
    this.metrics.deliveriesPending.remove({ endpoint: this.endpoint.id });
  }

  private async take(batch: readonly StoredEvent[]): Promise<void> {
    let after = this.effect.position;
    for (const stored of batch) {
      const before = after;
      after = stored.position;
      if (systemOf(stored.stream) !== this.endpoint.system) continue;
      if (this.types.has(stored.type)) this.enqueue(stored, before);
      else if (!this.lanes.sending && stored.type.startsWith('webhook.')) this.remember(stored);
      if (!this.lanes.sending && stored.position >= this.history) this.lanes.begin();
    }
    if (!this.lanes.sending && (batch.at(-1)?.position ?? START) >= this.history) this.lanes.begin();
    this.tellPending();
    // Before the history is read nothing is sent, so nothing would ever make room.
    if (this.lanes.sending) await this.lanes.room(this.maxPending);
  }

  private tellPending(): void {
    this.metrics.deliveriesPending.set({ endpoint: this.endpoint.id }, this.lanes.size);
  }

  private read(stored: StoredEvent): StoredReading | undefined {
    return this.events.read(stored, `webhook ${this.endpoint.id}`);
  }

  private enqueue(stored: StoredEvent, after: Position): void {
    const id = deliveryId(this.endpoint.id, stored.id);
    if (this.lanes.get(id)) return;
    const recorded = this.read(stored);
    if (!recorded) return;
    const message = this.endpoint.message(recorded, id);
    if (!message) return;
    this.lanes.add({ id, lane: message.runId, after, message, eventId: recorded.id, attempts: 0, due: 0 });
  }

  /** What a former process has recorded of a delivery. */
  private remember(stored: StoredEvent): void {
    const event = this.read(stored)?.event as WebhookEvent | undefined;
    if (!event) return;
    const delivery = this.lanes.get(event.data.deliveryId);
    if (!delivery || event.data.endpoint !== this.endpoint.id) return;
    if (event.type === 'webhook.attempt_failed') {
      delivery.attempts = event.data.attempts;
      // By the clock of the process that recorded it, which may be ahead of ours: no pause becomes longer than it is.
      const waitMs = Math.min(
        Date.parse(event.data.retryAt) - this.clock.now(),
        this.pauseAfter(event.data.attempts) ?? 0,
      );
      delivery.due = this.clock.steady() + Math.max(0, waitMs);
      return;
    }
    this.forget(delivery);
  }

  private forget(delivery: Delivery): void {
    this.lanes.remove(delivery);
    this.tellPending();
  }

  private async attempt(delivery: Delivery): Promise<void> {
    const attempt = await this.post(delivery);
    // The stop cut it off: that says nothing about the receiver.
    if (attempt.status === null && this.lanes.stopped.aborted) return;
    delivery.attempts += 1;
    const outcome = this.outcome(delivery, attempt);
    this.metrics.deliveries.inc({ endpoint: this.endpoint.id, outcome: outcome.type.slice('webhook.'.length) });
    if (!(await this.record(delivery, outcome))) return;
    if (outcome.type === 'webhook.attempt_failed') {
      delivery.due = this.clock.steady() + (this.pauseAfter(delivery.attempts) ?? 0);
      return;
    }
    if (outcome.type === 'webhook.abandoned') {
      this.logger.warn(
        { endpoint: this.endpoint.id, delivery: delivery.id, attempts: delivery.attempts },
        'webhook abandoned',
      );
    }
    this.forget(delivery);
  }

  private async post({ id, message }: Delivery): Promise<Attempt> {
    const { url, guarded, secrets, schedule } = this.endpoint;
    const signed = secrets.length === 0 ? {} : signWebhook(id, this.clock.now(), message.body, secrets);
    const started = this.clock.steady();
    try {
      const { status } = await this.client.post(url, {
        headers: { ...message.headers, ...signed },
        body: message.body,
        timeoutMs: schedule.timeoutMs,
        guarded,
      });
      const error = status >= 200 && status < 300 ? null : `the receiver answered ${status}`;
      return { status, error, durationMs: this.clock.steady() - started };
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      return { status: null, error: text, durationMs: this.clock.steady() - started };
    }
  }

  /** undefined when no attempt follows. */
  private pauseAfter(attempts: number): number | undefined {
    return this.endpoint.schedule.pausesMs[attempts - 1];
  }

  private outcome({ id, message, attempts }: Delivery, { status, error, durationMs }: Attempt): WebhookEvent {
    const { system, id: endpoint } = this.endpoint;
    const { tenant, runId, event } = message;
    const data = {
      system,
      tenant,
      runId,
      deliveryId: id,
      endpoint,
      event,
      attempts,
      status,
      durationMs: Math.round(durationMs * 10) / 10,
    };
    if (error === null) return { type: 'webhook.delivered', data };
    const pauseMs = this.pauseAfter(attempts);
    if (pauseMs === undefined) return { type: 'webhook.abandoned', data: { ...data, error } };
    const retryAt = new Date(this.clock.now() + pauseMs).toISOString();
    return { type: 'webhook.attempt_failed', data: { ...data, error, retryAt } };
  }

  /**
   * Tries until the log takes it: sending again because of a full disk would be worse.
   *
   * @returns false when the stop came first: then the delivery is still open, and the next start sends it again.
   */
  private async record(delivery: Delivery, outcome: WebhookEvent): Promise<boolean> {
    const { system, id } = this.endpoint;
    const stream = `${system}.webhook-${id}-${streamPart(delivery.message.runId)}`;
    for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 2, 5_000)) {
      try {
        await inContext({ correlationId: delivery.id, causationId: delivery.eventId }, () =>
          this.streams.transact(deliveryDecider, stream, outcome, { isNew: true }),
        );
        return true;
      } catch (error) {
        this.logger.warn(
          { err: error, delivery: delivery.id },
          'a webhook attempt could not be recorded, trying again',
        );
        if (this.lanes.stopped.aborted) return false;
        await this.clock.sleep(pauseMs, this.lanes.stopped);
      }
    }
  }
}

/** A UUID that follows from endpoint and event: the same in every attempt, by whatever process. */
export function deliveryId(endpoint: string, eventId: string): string {
  const hex = createHash('sha256').update(`${endpoint}\n${eventId}`).digest('hex');
  const variant = ((Number.parseInt(hex.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
