import fc from 'fast-check';
import type { EventCatalog } from '../../src/kernel/event-catalog.js';
import type { StoredEvent } from '../../src/kernel/ports/event-log.js';
import { deliveryDecider, deliveryStream, type AttemptEvent } from '../../src/ledger/webhooks/delivery.decider.js';
import { endpointDecider, ENDPOINTS_STREAM, type EndpointCommand } from '../../src/ledger/webhooks/endpoint.decider.js';
import { GeneratedLog } from './generated-log.js';

const endpoint = fc.constantFrom('we_1', 'we_2');
const delivery = fc.constantFrom('msg_a', 'msg_b', 'msg_c');
const text = fc.string({ maxLength: 8 });
const KINDS = ['succeeded', 'failed', 'abandoned'] as const;
const ORDERS = ['create', 'update', 'rotate', 'disable', 'enable', 'delete'] as const;

/** One thing that an operator, a receiver or the sender does. */
const action = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom(...ORDERS), endpoint, text }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('request' as const), endpoint, delivery, isTest: fc.boolean() }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('attempt' as const),
      endpoint,
      delivery,
      kind: fc.constantFrom(...KINDS),
      status: fc.option(fc.integer({ min: 200, max: 599 })),
      text,
    }),
  },
);
type Action = typeof action extends fc.Arbitrary<infer Value> ? Value : never;

/** A log as `/ledger/webhooks` could have written it: any order of actions, as far as they are accepted. */
export function ledgerLog(catalog: EventCatalog): fc.Arbitrary<readonly StoredEvent[]> {
  const step = fc.record({ action, pauseMs: fc.nat(3_600_000) });
  return fc.array(step, { minLength: 1, maxLength: 80, size: 'max' }).map((steps) => {
    const log = new GeneratedLog(catalog);
    for (const { action: next, pauseMs } of steps) {
      log.pass(pauseMs);
      carryOut(log, next);
    }
    return log.events;
  });
}

function carryOut(log: GeneratedLog, next: Action): void {
  if (next.do === 'request') {
    const { endpoint: id, delivery: deliveryId, isTest } = next;
    const source = isTest
      ? null
      : { id: 'e', type: 'run.created', system: 's', stream: 's.run-1', revision: 0, position: 1, runId: 'r' };
    log.command(deliveryDecider, deliveryStream(deliveryId), {
      type: 'request',
      deliveryId,
      tenant: 'acme',
      endpoint: id,
      source,
    });
  } else if (next.do === 'attempt') {
    const outcome = outcomeOf(log, next);
    log.command(deliveryDecider, deliveryStream(next.delivery), { type: 'record', outcome });
  } else log.command(endpointDecider, ENDPOINTS_STREAM, orderOf(log, next.do, next.endpoint, next.text));
}

/** What the next attempt of a delivery came to. */
function outcomeOf(log: GeneratedLog, next: Extract<Action, { do: 'attempt' }>): AttemptEvent {
  const { at } = log;
  const { round, attempts } = log.state(deliveryDecider, deliveryStream(next.delivery));
  const made = {
    system: 'runledger',
    tenant: 'acme',
    endpoint: next.endpoint,
    deliveryId: next.delivery,
    round,
    source: null,
    attempt: attempts + 1,
    url: 'https://receiver.example/',
    sentAt: at,
    durationMs: 3,
    response: next.text,
    status: next.status,
  } as const;
  const failure = { ...made, error: next.text, failingSince: at };
  switch (next.kind) {
    case 'succeeded':
      return { type: 'webhook_delivery.succeeded', data: made };
    case 'failed':
      return { type: 'webhook_delivery.failed', data: { ...failure, retryAt: at } };
    case 'abandoned':
      return { type: 'webhook_delivery.abandoned', data: failure };
  }
}

function orderOf({ at }: GeneratedLog, order: (typeof ORDERS)[number], id: string, words: string): EndpointCommand {
  const target = { url: 'https://receiver.example/', description: words, types: ['run.*'], systems: null };
  switch (order) {
    case 'create':
      return { type: 'create', id, tenant: 'acme', target, secret: 'sealed', after: 0 };
    case 'update':
      return { type: 'update', id, target };
    case 'rotate':
      return { type: 'rotate', id, secret: words, formerUntil: at };
    case 'disable':
      return { type: 'disable', id, reason: 'operator' };
    case 'enable':
      return { type: 'enable', id, after: null };
    case 'delete':
      return { type: 'delete', id };
  }
}
