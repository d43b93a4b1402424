import type { WebhookSource } from '../../../contracts/runledger/webhook.events.js';
import type { StoredEvent } from '../../kernel/ports/event-log.js';
import { deliveryId } from '../../kernel/webhooks/sender.js';
import { typeMatches } from '../events/event-filter.js';
import { LedgerEvent } from '../events/ledger-event.js';
import type { Endpoint } from './endpoint.decider.js';

/** What the ledger records of itself, and of its webhooks: telling it would bring about more of it. */
const OWN_SYSTEM = 'runledger';
const OWN_TYPES = 'webhook.';

export const TEST_TYPE = 'webhook.test';

/** Sent with every delivery, beside `webhook-id`, `webhook-timestamp` and `webhook-signature`. */
export const FIXED_HEADERS = { 'content-type': 'application/json', 'user-agent': 'Runledger' } as const;

/** Names the deliveries of one endpoint: the same event has the same name in every attempt, by whatever process. */
export function deliveryOf(endpoint: string, eventId: string): string {
  return deliveryId(`ledger ${endpoint}`, eventId);
}

/** Whether an event is to be told to an endpoint. */
export function isFor(endpoint: Endpoint, event: LedgerEvent): boolean {
  const { system } = event;
  const { type } = event.stored;
  if (system === OWN_SYSTEM || type.startsWith(OWN_TYPES)) return false;
  if (endpoint.systems && !endpoint.systems.includes(system)) return false;
  return endpoint.types.some((wanted) => typeMatches(wanted, type)) && event.tenant === endpoint.tenant;
}

export function sourceOf(event: LedgerEvent): WebhookSource {
  const { id, type, stream, revision, position } = event.stored;
  return { id, type, system: event.system, stream, revision, position, runId: event.runId };
}

/** What stands in one line: events about one run, else those of one stream. */
export function laneOf({ runId, system, stream }: WebhookSource): string {
  return runId === null ? `stream ${stream}` : `run ${system} ${runId}`;
}

/** The body that tells of an event, after Standard Webhooks. It follows from the event alone, so it is stored nowhere. */
export function bodyOf(event: LedgerEvent): string {
  const { id, type, position, stream, data } = event.stored;
  const { at, schemaVersion, correlationId } = event.metadata;
  const { system, tenant } = event;
  const head = { type, timestamp: at, id, position, system, tenant, stream, schemaVersion, correlationId };
  // The data goes out as it was recorded: numbers, too, keep their spelling.
  return `${JSON.stringify(head).slice(0, -1)},"data":${data}}`;
}

/** @param at When the test was asked for: ISO 8601 UTC. */
export function testBodyOf({ id, tenant }: Pick<Endpoint, 'id' | 'tenant'>, at: string): string {
  const data = { endpoint: id, message: 'This is a test: nothing has happened' };
  return JSON.stringify({ type: TEST_TYPE, timestamp: at, system: OWN_SYSTEM, tenant, data });
}

/** The event that a delivery tells of; undefined when the log does not hold it any more. */
export async function readSource(
  log: { readStream(stream: string, options: { from: number; limit: number }): Promise<readonly StoredEvent[]> },
  { stream, revision, id }: WebhookSource,
): Promise<LedgerEvent | undefined> {
  const [stored] = await log.readStream(stream, { from: revision, limit: 1 });
  return stored?.id === id ? new LedgerEvent(stored) : undefined;
}
