import { ledgerEvents } from '../../contracts/runledger/ledger.events.js';
import { webhookEvents } from '../../contracts/webhook.events.js';
import { defineAggregate, type AggregateDefinition } from './aggregate.js';
import { CHECKPOINT_STREAM, checkpointDecider } from './audit/notary.js';
import { EventCatalog } from './event-catalog.js';
import { requestDecider } from './http/idempotency.js';
import { runIndexView, type RunIndexDoc } from './runs/run-index.view.js';
import type { SystemDefinition } from './system.js';
import { ORDERS_PREFIX, orderDecider } from './views/projection-orders.js';
import type { AnyView, View } from './views/view.js';
import { deliveryDecider } from './webhooks/delivery.decider.js';
import type { WorkRules } from './work/executor.js';
import { openWorkView, type OpenWorkDoc } from './work/open-work.view.js';

/** What the service has beside its systems: views and kinds of streams over all of them. */
export interface ServiceParts {
  readonly views: readonly AnyView[];
  readonly aggregates: readonly AggregateDefinition[];
}

/** What the systems and the service declare, and what the kernel adds: all that is needed to read a log, and to fold it. */
export interface Registry {
  readonly catalog: EventCatalog;
  /** Every kind of stream. */
  readonly aggregates: readonly AggregateDefinition[];
  readonly work: ReadonlyMap<string, WorkRules>;
  readonly openWork: View<OpenWorkDoc>;
  readonly runIndex: View<RunIndexDoc>;
  /** Every view, those two included. What is not here is not folded. */
  readonly views: readonly AnyView[];
}

export function registryOf(systems: readonly SystemDefinition[], parts: ServiceParts): Registry {
  const catalog = new EventCatalog();
  catalog.register('runledger', ledgerEvents);
  for (const { name, events } of systems) catalog.register(name, [...events, ...webhookEvents]);
  const aggregates = [
    ...systems.flatMap((system) => system.aggregates),
    ...systems.map(({ name }) =>
      defineAggregate({ prefix: `${name}.webhook-`, decider: deliveryDecider, ofRun: true }),
    ),
    defineAggregate({ prefix: CHECKPOINT_STREAM, decider: checkpointDecider, ofRun: false }),
    defineAggregate({ prefix: 'runledger.request-', decider: requestDecider, ofRun: false }),
    defineAggregate({ prefix: ORDERS_PREFIX, decider: orderDecider, ofRun: false }),
    ...parts.aggregates,
  ];
  const work = new Map(systems.map((system) => [system.work.system, system.work]));
  const openWork = openWorkView(work);
  const runIndex = runIndexView(
    new Map(systems.map(({ name, runs }) => [name, runs])),
    aggregates,
    webhookEvents.map(({ type }) => type),
  );
  const views = [openWork, runIndex, ...parts.views, ...systems.flatMap((system) => system.views)];
  return { catalog, aggregates, work, openWork, runIndex, views };
}
