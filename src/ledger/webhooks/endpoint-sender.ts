import type { WebhookDeliveryEvent, WebhookSource } from '../../../contracts/runledger/webhook.events.js';
import { webhookHealthView } from '../../../projections/runledger/webhook-health.view.js';
import { Cursors } from '../../kernel/cursors.js';
import { Effect } from '../../kernel/effect.js';
import type { Kernel } from '../../kernel/kernel.js';
import { START, type Position, type StoredEvent } from '../../kernel/ports/event-log.js';
import { inContext } from '../../kernel/request-context.js';
import type { Follower } from '../../kernel/runtime.js';
import { Lanes, type Queued } from '../../kernel/webhooks/lanes.js';
import { signWebhook } from '../../kernel/webhooks/signature.js';
import { LedgerEvent } from '../events/ledger-event.js';
import { judge, type Attempt } from './attempt.js';
import { deliveryDecider, deliveryStream } from './delivery.decider.js';
import { endpointDecider, ENDPOINTS_STREAM, type Endpoint } from './endpoint.decider.js';
import type { HostPace } from './host-pace.js';
import { bodyOf, deliveryOf, FIXED_HEADERS, isFor, laneOf, readSource, sourceOf, testBodyOf } from './message.js';
import { TIMEOUT_MS } from './schedule.js';
import { secretsOf, type WebhookSecrets } from './webhook-secrets.js';

/** Deliveries to one endpoint at the same time. */
const CONCURRENCY = 16;
/** Deliveries kept in memory; the cursor waits while a receiver lags by more. */
const MAX_PENDING = 20_000;
/** Of so many the event itself is kept too; it is read again for what waits behind them. */
const MAX_HELD_EVENTS = 500;
const MIN_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;

type RequestData = Extract<WebhookDeliveryEvent, { type: 'webhook_delivery.requested' }>['data'];

interface Delivery extends Queued {
  round: number;
  /** Of this round. */
  attempts: number;
  /** Null for a test. */
  readonly source: WebhookSource | null;
  /** Shared by everything that followed from the request that led to the event. */
  readonly correlationId: string;
  readonly causationId: string;
  /** When a test was asked for. */
  readonly requestedAt: string;
  event: LedgerEvent | undefined;
  /** Whether a former process may have tried it: then its stream says how far it is. */
  unknown: boolean;
}

export interface EndpointSenderParts {
  readonly kernel: Kernel;
  readonly secrets: WebhookSecrets;
  readonly pace: HostPace;
  /** The endpoint as this process knows it at the moment; undefined when it was deleted. */
  readonly endpoint: () => Endpoint | undefined;
  /** Learns what the endpoint is by now. @throws Unavailable */
  readonly look: () => Promise<void>;
  /** From 0 to 1. */
  readonly random: () => number;
}

/**
 * Tells one endpoint what the log says: a cursor on the log, lanes per run, and every attempt an event in the stream of
 * its delivery. That stream, and no memory, says after a restart whether a delivery is over.
 */
export class EndpointSender implements Follower {
  private readonly effect: Effect;
  private readonly lanes: Lanes<Delivery>;
  /** Until here a former process may have sent. */
  private history: Position = START;
  private failingSinceMs: number | undefined;

  constructor(
    private readonly parts: EndpointSenderParts,
    private readonly id: string,
    mayAct: () => boolean,
  ) {
    const { kernel } = parts;
    const { log, clock, views } = kernel.ports;
    this.lanes = new Lanes(clock, {
      concurrency: CONCURRENCY,
      mayAct: () => mayAct() && this.endpoint !== undefined,
      attempt: (delivery) => this.attempt(delivery),
      onError: (error, lane) => kernel.logger.error({ err: error, endpoint: id, lane }, 'a webhook lane broke'),
    });
    this.effect = new Effect(log, new Cursors(views), clock, kernel.logger, {
      name: `webhook endpoint ${id}`,
      begin: async () => parts.endpoint()?.after ?? log.head(),
      handle: (batch) => this.take(batch),
      settled: (read) => this.lanes.settledUpTo(read),
    });
  }

  async start(): Promise<void> {
    const { kernel } = this.parts;
    this.history = await kernel.ports.log.head();
    this.failingSinceMs = await this.knownFailure();
    await this.effect.start();
    this.lanes.begin();
  }

  async close(): Promise<void> {
    await this.lanes.close();
    await this.effect.close();
    this.parts.kernel.metrics.deliveriesPending.remove({ endpoint: this.id });
  }

  /** Undefined while nothing is to be sent to it. */
  private get endpoint(): Endpoint | undefined {
    const endpoint = this.parts.endpoint();
    return endpoint?.disabled === null ? endpoint : undefined;
  }

  /** Since when it has been failing, as far as that is known, and nobody has enabled it since. */
  private async knownFailure(): Promise<number | undefined> {
    const { kernel } = this.parts;
    try {
      const health = await kernel.views.get(webhookHealthView, this.id);
      const since = health?.failingSince ?? undefined;
      return since !== undefined && since > (this.endpoint?.enabledAt ?? '') ? Date.parse(since) : undefined;
    } catch (error) {
      kernel.logger.warn({ err: error, endpoint: this.id }, 'the health of a webhook endpoint is not known');
      return undefined;
    }
  }

  private async take(batch: readonly StoredEvent[]): Promise<void> {
    let after = this.effect.position;
    for (const stored of batch) {
      const before = after;
      after = stored.position;
      // What follows is judged by the filter that was set here.
      if (stored.stream === ENDPOINTS_STREAM) await this.parts.look();
      if (stored.type === 'webhook_delivery.requested') this.takeRequest(stored, before);
      else this.takeEvent(stored, before);
    }
    this.tellPending();
    await this.lanes.room(MAX_PENDING);
  }

  private takeEvent(stored: StoredEvent, after: Position): void {
    const endpoint = this.parts.endpoint();
    if (!endpoint || stored.position <= endpoint.after) return;
    const event = new LedgerEvent(stored);
    if (!isFor(endpoint, event)) return;
    const id = deliveryOf(this.id, stored.id);
    if (this.lanes.get(id)) return;
    const source = sourceOf(event);
    this.add(event, after, { id, lane: laneOf(source), round: 0, source });
  }

  private takeRequest(stored: StoredEvent, after: Position): void {
    const { endpoint, deliveryId: id, round, source } = JSON.parse(stored.data) as RequestData;
    if (endpoint !== this.id) return;
    const waiting = this.lanes.get(id);
    if (!waiting) {
      // A lane of its own: what somebody waits for stands behind nothing.
      this.add(new LedgerEvent(stored), after, { id, lane: `again ${id}`, round, source });
      return;
    }
    if (waiting.round >= round) return;
    Object.assign(waiting, { round, attempts: 0, due: 0 });
    this.lanes.hurry(waiting);
  }

  /** @param event Where the delivery comes from: the event to tell, or the request for it. */
  private add(event: LedgerEvent, after: Position, delivery: Pick<Delivery, 'id' | 'lane' | 'round' | 'source'>): void {
    const { stored, metadata } = event;
    const isSource = delivery.source?.id === stored.id;
    this.lanes.add({
      ...delivery,
      after,
      due: 0,
      attempts: 0,
      correlationId: metadata.correlationId ?? delivery.id,
      causationId: stored.id,
      requestedAt: metadata.at ?? '',
      event: isSource && this.lanes.size < MAX_HELD_EVENTS ? event : undefined,
      unknown: stored.position <= this.history,
    });
  }

  private tellPending(): void {
    this.parts.kernel.metrics.deliveriesPending.set({ endpoint: this.id }, this.lanes.size);
  }

  private async attempt(delivery: Delivery): Promise<void> {
    const { kernel, pace, random } = this.parts;
    const { clock } = kernel.ports;
    if (delivery.unknown && !(await this.recall(delivery))) return;
    const body = await this.persistently('read', () => this.bodyOf(delivery));
    const { endpoint } = this;
    if (body === undefined || !endpoint) return;
    if (body === null) {
      kernel.logger.error({ endpoint: this.id, delivery: delivery.id }, 'an event to tell is not in the log any more');
      this.forget(delivery);
      return;
    }
    const host = URL.parse(endpoint.url)?.host ?? '';
    await pace.wait(host, this.lanes.stopped);
    if (this.lanes.stopped.aborted || this.endpoint === undefined) return;
    const { round } = delivery;
    const made = await this.post(this.endpoint, delivery.id, body);
    // The stop cut it off: that says nothing about the receiver.
    if (made.status === null && this.lanes.stopped.aborted) return;
    pace.answered(host, made.status, made.retryAfterMs);
    const attempted = {
      tenant: endpoint.tenant,
      endpoint: this.id,
      deliveryId: delivery.id,
      round,
      attempt: delivery.attempts + 1,
      source: delivery.source,
    };
    // Whoever enabled it meant to begin anew.
    const enabledAtMs = Date.parse(endpoint.enabledAt);
    const failingSinceMs = (this.failingSinceMs ?? 0) > enabledAtMs ? this.failingSinceMs : undefined;
    const verdict = judge(attempted, made, failingSinceMs, random());
    const { outcome, pauseMs, disable } = verdict;
    kernel.metrics.deliveries.inc({ endpoint: this.id, outcome: outcome.type.slice('webhook_delivery.'.length) });
    const recorded = await this.inContextOf(delivery, 'record', () =>
      kernel.streams.transact(
        deliveryDecider,
        deliveryStream(delivery.id),
        { type: 'record', outcome },
        { isNew: round === 0 && delivery.attempts === 0 && !delivery.unknown },
      ),
    );
    if (!recorded) return;
    this.failingSinceMs = verdict.failingSinceMs;
    if (disable) await this.disable(delivery, disable);
    // Somebody asked for it again meanwhile: then this outcome is none of the new round.
    if (delivery.round !== round) return;
    delivery.attempts += 1;
    if (pauseMs === undefined) this.forget(delivery);
    else delivery.due = clock.steady() + pauseMs;
  }

  /** Brings a delivery to where a former process has left it. @returns whether it is due now. */
  private async recall(delivery: Delivery): Promise<boolean> {
    const { streams, ports } = this.parts.kernel;
    const state = await this.persistently('read', () => streams.read(deliveryDecider, deliveryStream(delivery.id)));
    if (!state) return false;
    delivery.unknown = false;
    if (state.round >= delivery.round) {
      if (state.settled) {
        this.forget(delivery);
        return false;
      }
      const waitMs = state.retryAt === null ? 0 : Date.parse(state.retryAt) - ports.clock.now();
      const due = ports.clock.steady() + Math.max(0, waitMs);
      Object.assign(delivery, { round: state.round, attempts: state.attempts, due });
      return waitMs <= 0;
    }
    return true;
  }

  /** Null when there is nothing to tell. */
  private async bodyOf({ source, event, requestedAt }: Delivery): Promise<string | null> {
    const { kernel, endpoint } = this.parts;
    if (!source) {
      const own = endpoint();
      return own ? testBodyOf(own, requestedAt) : null;
    }
    const told = event ?? (await readSource(kernel.ports.log, source));
    return told ? bodyOf(told) : null;
  }

  private async post(endpoint: Endpoint, deliveryId: string, body: string): Promise<Attempt> {
    const { kernel, secrets } = this.parts;
    const { clock } = kernel.ports;
    const { url } = endpoint;
    const [sentAtMs, started] = [clock.now(), clock.steady()];
    const failed = (error: string): Attempt => ({
      url,
      sentAtMs,
      status: null,
      error,
      durationMs: clock.steady() - started,
      response: '',
      retryAfterMs: undefined,
    });
    const opened = secretsOf(endpoint, secrets, sentAtMs);
    if (!opened) return failed('the secret was sealed with another signing key: rotate it');
    try {
      const headers = { ...FIXED_HEADERS, ...signWebhook(deliveryId, sentAtMs, body, opened) };
      const answer = await kernel.outbound.post(url, { headers, body, timeoutMs: TIMEOUT_MS, guarded: true });
      const { status, bodyStart: response, ms: durationMs, retryAfterMs } = answer;
      const error = status >= 200 && status < 300 ? null : `the receiver answered ${status}`;
      return { url, sentAtMs, status, error, durationMs, response, retryAfterMs };
    } catch (error) {
      return failed(error instanceof Error ? error.message : String(error));
    }
  }

  private async disable(delivery: Delivery, reason: 'gone' | 'failing'): Promise<void> {
    const { kernel } = this.parts;
    await this.inContextOf(delivery, 'disable', () =>
      kernel.streams.transact(endpointDecider, ENDPOINTS_STREAM, { type: 'disable', id: this.id, reason }),
    );
    kernel.logger.warn({ endpoint: this.id, reason }, 'webhook endpoint disabled');
  }

  private inContextOf<Result>(
    { correlationId, causationId }: Delivery,
    what: string,
    work: () => Promise<Result>,
  ): Promise<Result | undefined> {
    return this.persistently(what, () => inContext({ correlationId, causationId }, work));
  }

  /** Tries until it succeeds, because nothing may be sent twice for a full disk. @returns undefined when it is stopped. */
  private async persistently<Result>(what: string, work: () => Promise<Result>): Promise<Result | undefined> {
    const { clock } = this.parts.kernel.ports;
    for (let pauseMs = MIN_RETRY_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_RETRY_MS)) {
      try {
        return await work();
      } catch (error) {
        this.parts.kernel.logger.warn({ err: error, endpoint: this.id, what }, 'webhook delivery waits for the log');
        if (this.lanes.stopped.aborted) return undefined;
        await clock.sleep(pauseMs, this.lanes.stopped);
      }
    }
  }

  private forget(delivery: Delivery): void {
    this.lanes.remove(delivery);
    this.tellPending();
  }
}
