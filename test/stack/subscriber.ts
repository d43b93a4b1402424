import { verifyWebhook } from '../../src/kernel/webhooks/inbound.js';
import { LedgerEvent } from '../../src/ledger/events/ledger-event.js';
import { bodyOf, deliveryOf, isFor, laneOf, sourceOf } from '../../src/ledger/webhooks/message.js';
import type { StoredEvent } from '../../src/kernel/ports/event-log.js';
import { HookReceiver, type Hook } from '../support/hook-receiver.js';
import type { EndpointBody, WebhookApi } from '../support/webhook-api.js';

/** Deliveries to one endpoint at the same time: so many may come again when whoever sends them ends in any way. */
export const CONCURRENCY = 16;

export interface SubscriberOptions {
  readonly tenant: string;
  readonly types: readonly string[];
}

/** A delivery as it came, and when. */
type Arrived = Hook & { readonly atMs: number };

/** While it is held, nothing is answered. */
interface Gate {
  held: PromiseWithResolvers<void> | undefined;
}

/** Whoever set up an endpoint, and keeps account of what it is told. */
export class Subscriber {
  /** In the order in which they were made. */
  readonly secrets: string[];

  private constructor(
    readonly endpoint: EndpointBody,
    readonly arrived: readonly Arrived[],
    private readonly gate: Gate,
    private readonly options: SubscriberOptions,
    private readonly receiver: HookReceiver,
    private readonly api: WebhookApi,
  ) {
    this.secrets = [endpoint.secret];
  }

  static async join(api: WebhookApi, options: SubscriberOptions): Promise<Subscriber> {
    const receiver = await HookReceiver.start();
    const arrived: Arrived[] = [];
    const gate: Gate = { held: undefined };
    // Something may come before the endpoint's own answer does.
    receiver.answer = async (hook) => {
      arrived.push({ ...hook, atMs: Date.now() });
      await gate.held?.promise;
      return { status: 204 };
    };
    const endpoint = await api.create({ ...options, url: receiver.url });
    return new Subscriber(endpoint, arrived, gate, options, receiver, api);
  }

  get id(): string {
    return this.endpoint.id;
  }

  /** The name of the duty to tell it. */
  get duty(): string {
    return `webhook endpoint ${this.id}`;
  }

  /** Takes what comes, and does not answer, until `answer`. */
  hold(): void {
    this.gate.held ??= Promise.withResolvers();
  }

  answer(): void {
    this.gate.held?.resolve();
    this.gate.held = undefined;
  }

  /** Has a new secret made. @param overlapMs How long the former signs along. */
  async rotate(overlapMs?: number): Promise<void> {
    const path = `/ledger/webhooks/${this.id}/rotate`;
    const { status, body } = await this.api.post<EndpointBody>(path, overlapMs === undefined ? {} : { overlapMs });
    if (status >= 300) throw new Error(`The secret was not rotated: ${status}`);
    this.secrets.push(body.secret);
  }

  /** Which of its secrets a delivery is signed with, by their places. */
  signedWith({ headers, body, atMs }: Arrived): number[] {
    return this.secrets.flatMap((secret, place) => {
      try {
        verifyWebhook({ headers, body }, [secret], atMs);
        return [place];
      } catch {
        return [];
      }
    });
  }

  /** What it must be told, by the id of the delivery. */
  expected(events: readonly StoredEvent[]): Map<string, { readonly lane: string; readonly body: string }> {
    const endpoint = { ...this.options, systems: null } as unknown as Parameters<typeof isFor>[0];
    const told = events
      .filter(({ position }) => position > this.endpoint.after)
      .map((stored) => new LedgerEvent(stored))
      .filter((event) => isFor(endpoint, event));
    return new Map(
      told.map((event) => [
        deliveryOf(this.id, event.stored.id),
        { lane: laneOf(sourceOf(event)), body: bodyOf(event) },
      ]),
    );
  }

  /** How many of what it must be told have not come yet, or are not on record. */
  missing(events: readonly StoredEvent[]): number {
    const arrived = new Set(this.arrived.map(({ id }) => id));
    const recorded = this.recorded(events);
    return [...this.expected(events).keys()].filter((id) => !arrived.has(id) || !recorded.has(id)).length;
  }

  /**
   * Everything that is not as it must be, one line each.
   *
   * @param ends How often whoever told it has ended: left the duty, or was killed with it.
   */
  problems(events: readonly StoredEvent[], ends: number): string[] {
    const expected = this.expected(events);
    const problems: string[] = [];
    const say = (text: string): void => void problems.push(`${this.id}: ${text}`);
    const lanes = new Map<string, string[]>();
    const seen = new Set<string>();
    for (const hook of this.arrived) {
      const { id, body } = hook;
      const wanted = expected.get(id);
      if (!wanted) say(`${id} stands for no event`);
      else if (wanted.body !== body) say(`${id} came with another body`);
      if (this.signedWith(hook).length === 0) say(`${id} is signed with no secret of its own`);
      if (!wanted || seen.has(id)) continue;
      seen.add(id);
      lanes.set(wanted.lane, [...(lanes.get(wanted.lane) ?? []), id]);
    }
    const inOrder = new Map<string, string[]>();
    for (const [id, { lane }] of expected) {
      if (!seen.has(id)) say(`${id} never came`);
      inOrder.set(lane, [...(inOrder.get(lane) ?? []), id]);
    }
    for (const [lane, ids] of lanes) if (ids.join() !== inOrder.get(lane)?.join()) say(`${lane} came out of order`);
    const recorded = this.recorded(events);
    for (const id of expected.keys())
      if (recorded.get(id) !== 1) say(`${id} is recorded as delivered ${recorded.get(id) ?? 0} times`);
    const failed = this.outcomes(events, 'webhook_delivery.failed').length;
    if (this.outcomes(events, 'webhook_delivery.abandoned').length > 0) say('something was given up');
    if (this.repeats > CONCURRENCY * ends + failed)
      say(`${this.repeats} came again, with ${ends} ends of who sent them and ${failed} failed attempts`);
    return problems;
  }

  /** Arrivals beyond the first of each delivery. */
  get repeats(): number {
    return this.arrived.length - new Set(this.arrived.map(({ id }) => id)).size;
  }

  async close(): Promise<void> {
    this.answer();
    await this.receiver.close();
  }

  /** How often each delivery is on record as arrived. */
  private recorded(events: readonly StoredEvent[]): Map<string, number> {
    const counts = new Map<string, number>();
    for (const id of this.outcomes(events, 'webhook_delivery.succeeded')) counts.set(id, (counts.get(id) ?? 0) + 1);
    return counts;
  }

  private outcomes(events: readonly StoredEvent[], type: string): string[] {
    return events
      .filter((event) => event.type === type)
      .map(({ data }) => JSON.parse(data) as { endpoint: string; deliveryId: string })
      .filter(({ endpoint }) => endpoint === this.id)
      .map(({ deliveryId }) => deliveryId);
  }
}
