import { Injectable } from '@nestjs/common';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { WebhookSource } from '../../../contracts/runledger/webhook.events.js';
import {
  webhookDeliveryView,
  type AttemptDoc,
  type WebhookDeliveryDoc,
} from '../../../projections/runledger/webhook-delivery.view.js';
import { Refused } from '../../kernel/errors.js';
import { Kernel } from '../../kernel/kernel.js';
import { START } from '../../kernel/ports/event-log.js';
import { currentContext } from '../../kernel/request-context.js';
import type { DocPage } from '../../kernel/views/views.js';
import type { Caller } from '../access/caller.js';
import { LedgerEvent } from '../events/ledger-event.js';
import { spanOf } from '../events/time-seek.js';
import { deliveryDecider, deliveryStream } from './delivery.decider.js';
import type { Endpoint } from './endpoint.decider.js';
import { bodyOf, deliveryOf, FIXED_HEADERS, isFor, readSource, sourceOf, testBodyOf } from './message.js';
import { Webhooks } from './webhooks.js';
import * as dto from './webhooks.dto.js';

/** Longer bodies are left out of lists. */
const LISTED_BODY = 16_384;
/** What one request asks for again, at most. */
const MAX_REQUESTED = 200;
/** Events that one request looks at, at most. */
const MAX_LOOKED_AT = 20_000;
const READ = 500;
const AT_ONCE = 20;

interface Wanted {
  readonly deliveryId: string;
  readonly source: WebhookSource | null;
}

/** What was sent to the endpoints of `/ledger/webhooks`, and sending it again. */
@Injectable()
export class Deliveries {
  constructor(
    private readonly kernel: Kernel,
    private readonly webhooks: Webhooks,
  ) {}

  async list(id: string, query: dto.ListDeliveriesQuery, caller: Caller): Promise<dto.DeliveryPageBody> {
    const endpoint = await this.webhooks.find(id, caller);
    const { status, limit = dto.DEFAULT_DELIVERIES, cursor } = query;
    const page = await this.page(endpoint, status, limit, cursor);
    const deliveries = await Promise.all(
      page.docs.map(async (doc) => {
        const body = await this.bodyOf(endpoint, doc);
        return describe(doc, body !== null && body.length <= LISTED_BODY ? body : null);
      }),
    );
    return { deliveries, next: page.next ?? null };
  }

  async show(id: string, delivery: string, caller: Caller): Promise<dto.DeliveryBody> {
    const endpoint = await this.webhooks.find(id, caller);
    const doc = await this.find(endpoint, delivery);
    return describe(doc, await this.bodyOf(endpoint, doc));
  }

  /** Sends a message of its own, which no event has brought about. */
  async test(id: string, caller: Caller): Promise<dto.RequestedDeliveryBody> {
    const endpoint = assertEnabled(await this.webhooks.find(id, caller));
    const { commandId } = currentContext();
    const deliveryId = deliveryOf(id, commandId ?? this.kernel.ports.ids.uuid());
    await this.request(endpoint, [{ deliveryId, source: null }]);
    return { delivery: deliveryId };
  }

  async resendOne(id: string, delivery: string, caller: Caller): Promise<dto.RequestedDeliveryBody> {
    const endpoint = assertEnabled(await this.webhooks.find(id, caller));
    const { source } = await this.find(endpoint, delivery);
    await this.request(endpoint, [{ deliveryId: delivery, source }]);
    return { delivery };
  }

  async resend(id: string, body: dto.ResendBody, caller: Caller): Promise<dto.ResentBody> {
    const { failed, after, before, from, to } = body;
    const isRange = [after, before, from, to].some((end) => end !== undefined);
    if ((failed === true) === isRange) {
      throw new Refused('invalid', 'Either failed: true, or a range: after and before, from and to');
    }
    const endpoint = assertEnabled(await this.webhooks.find(id, caller));
    return isRange ? this.resendRange(endpoint, body) : this.resendFailed(endpoint);
  }

  private async resendFailed(endpoint: Endpoint): Promise<dto.ResentBody> {
    const { docs, next } = await this.kernel.views.find(
      webhookDeliveryView,
      { where: { endpoint: endpoint.id, status: 'dead' }, orderBy: ['began'], limit: MAX_REQUESTED },
      endpoint.tenant,
    );
    await this.request(
      endpoint,
      docs.map(({ id: deliveryId, source }) => ({ deliveryId, source })),
    );
    return { requested: docs.length, complete: next === undefined, next: null };
  }

  private async resendRange(endpoint: Endpoint, range: dto.ResendBody): Promise<dto.ResentBody> {
    const { log } = this.kernel.ports;
    const [fromMs, toMs] = [timeOf('from', range.from), timeOf('to', range.to)];
    const head = await log.head();
    const span = await spanOf(log, fromMs, toMs);
    const before = Math.min(range.before ?? head + 1, span.before, head + 1);
    let last = Math.max(range.after ?? START, span.after);
    const wanted: Wanted[] = [];
    const found = async (next: number | null): Promise<dto.ResentBody> => {
      await this.request(endpoint, wanted);
      return { requested: wanted.length, complete: next === null, next };
    };
    for (let lookedAt = 0; lookedAt < MAX_LOOKED_AT;) {
      const batch = await log.readAll(last, { limit: READ });
      for (const stored of batch) {
        if (stored.position >= before) return found(null);
        if (wanted.length >= MAX_REQUESTED) return found(last);
        last = stored.position;
        lookedAt += 1;
        const event = new LedgerEvent(stored);
        const atMs = Date.parse(event.metadata.at ?? '');
        const isInTime = (fromMs === undefined || atMs >= fromMs) && (toMs === undefined || atMs < toMs);
        if (!isInTime || !isFor(endpoint, event)) continue;
        wanted.push({ deliveryId: deliveryOf(endpoint.id, stored.id), source: sourceOf(event) });
      }
      if (batch.length < READ) return found(null);
      // The embedded store reads on this thread: others have their turn in between.
      await nextTurn();
    }
    return found(last);
  }

  private async request({ id: endpoint, tenant }: Endpoint, wanted: readonly Wanted[]): Promise<void> {
    for (let begin = 0; begin < wanted.length; begin += AT_ONCE) {
      await Promise.all(
        wanted.slice(begin, begin + AT_ONCE).map((each) =>
          this.kernel.streams.transact(deliveryDecider, deliveryStream(each.deliveryId), {
            type: 'request',
            tenant,
            endpoint,
            ...each,
          }),
        ),
      );
    }
  }

  private async page(
    { id, tenant }: Endpoint,
    status: WebhookDeliveryDoc['status'] | undefined,
    limit: number,
    after: string | undefined,
  ): Promise<DocPage<WebhookDeliveryDoc>> {
    const query = {
      where: { endpoint: id, ...(status === undefined ? {} : { status }) },
      orderBy: ['began'],
      descending: true,
      limit,
      ...(after === undefined ? {} : { after }),
    };
    try {
      return await this.kernel.views.find(webhookDeliveryView, query, tenant);
    } catch (error) {
      if (error instanceof RangeError) throw new Refused('invalid', 'cursor: take it from next of another page');
      throw error;
    }
  }

  private async find({ id, tenant }: Endpoint, delivery: string): Promise<WebhookDeliveryDoc> {
    const doc = delivery.startsWith('$')
      ? undefined
      : await this.kernel.views.get(webhookDeliveryView, delivery, tenant);
    if (doc?.endpoint !== id) throw new Refused('not_found', 'Delivery not found');
    return doc;
  }

  /** Made anew from the log: what is sent follows from the event. */
  private async bodyOf(endpoint: Endpoint, { source, createdAt }: WebhookDeliveryDoc): Promise<string | null> {
    if (!source) return testBodyOf(endpoint, createdAt);
    const event = await readSource(this.kernel.ports.log, source);
    return event ? bodyOf(event) : null;
  }
}

function assertEnabled(endpoint: Endpoint): Endpoint {
  if (endpoint.disabled) throw new Refused('conflict', 'The webhook endpoint is disabled: enable it first');
  return endpoint;
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new Refused('invalid', `${name}: there is no such time`);
  return ms;
}

function describe(doc: WebhookDeliveryDoc, body: string | null): dto.DeliveryBody {
  const { id, endpoint: webhook, status, source: event, createdAt, updatedAt, retryAt } = doc;
  const attempts = doc.attempts.map((attempt) => describeAttempt(id, attempt));
  return { id, webhook, status, event, body, createdAt, updatedAt, retryAt, attempts };
}

function describeAttempt(id: string, attempt: AttemptDoc): dto.DeliveryAttemptBody {
  const { url, sentAt, ...rest } = attempt;
  const headers = {
    ...FIXED_HEADERS,
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(Date.parse(sentAt) / 1_000)),
  };
  return { ...rest, sentAt, request: { url, headers } };
}
