import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { Notary } from './audit/notary.js';
import type { SigningKey } from './audit/signing-key.js';
import { BusPublisher } from './bus-publisher.js';
import { Cursors } from './cursors.js';
import type { EventCatalog } from './event-catalog.js';
import { OwnDuties, SharedDuties } from './duties.js';
import { DutyBoard } from './duty-board.js';
import { Dialects } from './http/dialect.js';
import { Idempotency } from './http/idempotency.js';
import { Metrics } from './metrics.js';
import { parseAllowedCidrs } from './outbound/address-guard.js';
import { OutboundClient, type ResolveHost } from './outbound/outbound-client.js';
import type { BlobStore } from './ports/blob-store.js';
import type { Clock } from './ports/clock.js';
import type { EventBus } from './ports/event-bus.js';
import type { EventLog } from './ports/event-log.js';
import type { Ids } from './ports/ids.js';
import type { ViewStore } from './ports/view-store.js';
import type { WorkQueue } from './ports/work-queue.js';
import { currentContext } from './request-context.js';
import { registryOf, type Registry, type ServiceParts } from './registry.js';
import { ReadableEvents } from './readable-events.js';
import { Runtime } from './runtime.js';
import type { Settings } from './settings.js';
import { Streams } from './streams.js';
import type { SystemDefinition } from './system.js';
import { FollowedViews } from './views/followed-views.js';
import { Freshness } from './views/freshness.js';
import { LogEnd } from './views/log-end.js';
import { ViewOperator } from './views/operator.js';
import { Projector } from './views/projector.js';
import { ServingViews } from './views/serving-views.js';
import { Views } from './views/views.js';
import { WebhookSender } from './webhooks/sender.js';
import { Dispatcher } from './work/dispatcher.js';
import { ForeignWork } from './work/foreign-work.js';
import { WorkerPool } from './work/worker-pool.js';

/** A start after a crash folds at most so much again of what means nothing to a view. */
const CHECKPOINT_MS = 1_000;

/** The adapters that one process runs on. */
export interface Ports {
  readonly log: EventLog;
  readonly views: ViewStore;
  readonly queue: WorkQueue;
  readonly bus: EventBus;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly ids: Ids;
}

/** Everything that the systems stand on, wired by hand: no part of it knows Nest. */
export class Kernel {
  readonly registry: Registry;
  readonly catalog: EventCatalog;
  readonly dialects = new Dialects();
  readonly metrics = new Metrics();
  readonly freshness = new Freshness();
  readonly streams: Streams;
  readonly views: Views;
  readonly projector: Projector;
  readonly workers: WorkerPool;
  readonly foreign: ForeignWork;
  readonly serving: ServingViews;
  readonly operator: ViewOperator;
  readonly idempotency: Idempotency;
  readonly outbound: OutboundClient;
  readonly runtime: Runtime;
  readonly duties: DutyBoard;

  constructor(
    readonly settings: Settings,
    readonly ports: Ports,
    readonly systems: readonly SystemDefinition[],
    parts: ServiceParts,
    readonly signingKey: SigningKey,
    readonly logger: Logger,
    resolveHost?: ResolveHost,
  ) {
    const { log, views, queue, bus, clock, ids } = ports;
    const { metrics } = this;
    this.registry = registryOf(systems, parts);
    const { catalog, work: rules, openWork } = this.registry;
    this.catalog = catalog;
    const member = `${hostname()}-${process.pid}-${ids.uuid().slice(-12)}`;
    for (const system of systems) this.dialects.register(system.dialect);
    this.streams = new Streams(log, catalog, clock, ids, metrics, (tenant, position) => {
      this.freshness.wrote(tenant, position);
      const { answer } = currentContext();
      if (answer) answer.position = Math.max(answer.position ?? 0, position);
    });
    const isShared = settings.servers.mongo !== undefined;
    // Other processes learn from the store alone how far a view is.
    this.projector = new Projector(log, views, catalog, clock, logger, isShared ? 0 : CHECKPOINT_MS);
    for (const view of this.registry.views) this.projector.register(view);
    this.operator = new ViewOperator(this.projector, log, views, catalog, clock, logger, { isShared });
    this.serving = new ServingViews(this.projector, new FollowedViews(views, clock), log);
    const hasOthers = settings.servers.eventStore !== undefined;
    this.views = new Views(this.serving, views, this.freshness, hasOthers ? new LogEnd(log, clock, logger) : undefined);
    const cursors = new Cursors(views);
    const events = new ReadableEvents(catalog, metrics, logger);
    this.workers = new WorkerPool(queue, clock, ids, metrics, logger, {
      // A queue of its own is this process's alone, and so are the jobs that its former self still holds.
      name: settings.servers.nats === undefined ? 'local' : member,
      concurrency: settings.workerConcurrency,
      leaseMs: settings.leaseMs,
    });
    this.foreign = new ForeignWork(queue, clock, ids, metrics, logger, signingKey.derive('claims'));
    this.idempotency = new Idempotency(this.streams, ids, signingKey.derive('idempotency'), clock);
    this.outbound = new OutboundClient({
      clock,
      allowed: parseAllowedCidrs(settings.webhookAllowCidrs),
      ...(resolveHost ? { resolve: resolveHost } : {}),
    });
    this.runtime = new Runtime(
      {
        projector: this.projector,
        operator: this.operator,
        workers: this.workers,
        notary: new Notary(log, this.streams, signingKey, clock, logger),
        effects: {
          dispatcher: () => new Dispatcher(log, cursors, queue, this.views, events, clock, logger, rules, openWork),
          bus: () => new BusPublisher(log, bus, cursors, clock, logger),
        },
        sender: (endpoint) => (mayAct) =>
          new WebhookSender(
            log,
            cursors,
            this.streams,
            events,
            this.outbound,
            clock,
            metrics,
            logger,
            endpoint,
            mayAct,
          ),
        share: (role, names, handlers) =>
          settings.servers.mongo === undefined
            ? new OwnDuties(names, handlers, clock)
            : new SharedDuties(views, clock, logger, { role, names, member, leaseMs: settings.leaseMs }, handlers),
      },
      settings.roles,
      logger,
    );
    this.duties = new DutyBoard(this.runtime, clock, member, settings.servers.mongo === undefined ? undefined : views);
    this.observe();
  }

  /** Stops what runs. The ports are closed by whoever opened them. */
  async close(): Promise<void> {
    await this.runtime.stop();
    await this.outbound.close();
  }

  /** Figures that are read when somebody asks for the metrics. */
  private observe(): void {
    const { metrics } = this;
    metrics.onCollect(async () => {
      for (const view of await this.serving.status()) {
        metrics.viewLag.set({ view: view.name }, Math.max(0, view.head - view.position));
        metrics.viewStopped.set({ view: view.name }, view.state === 'stopped' ? 1 : 0);
      }
      metrics.queueDepth.reset();
      for (const { kind, waiting, delayed, leased, dead } of await this.ports.queue.stats()) {
        for (const [state, count] of Object.entries({ waiting, delayed, leased, dead })) {
          metrics.queueDepth.set({ kind, state }, count);
        }
      }
    });
  }
}
