import type { Logger } from 'pino';
import type { Notary } from './audit/notary.js';
import type { BusPublisher } from './bus-publisher.js';
import type { Role } from './settings.js';
import type { Projector } from './views/projector.js';
import type { WebhookSender } from './webhooks/sender.js';
import type { WebhookEndpoint } from './webhooks/endpoint.js';
import type { Dispatcher } from './work/dispatcher.js';
import type { WorkerPool } from './work/worker-pool.js';

/** Running jobs get so long to finish when the service stops; with what follows it stays under ten seconds. */
const JOB_GRACE_MS = 1_500;

export interface RuntimeParts {
  readonly projector: Projector;
  readonly dispatcher: Dispatcher;
  readonly workers: WorkerPool;
  readonly notary: Notary;
  readonly publisher: BusPublisher;
  readonly sender: (endpoint: WebhookEndpoint) => WebhookSender;
}

/** Starts what this process does beside answering requests, and stops it in the right order. */
export class Runtime {
  private readonly endpoints: WebhookEndpoint[] = [];
  private senders: WebhookSender[] = [];
  private started = false;
  private working = false;

  constructor(
    private readonly parts: RuntimeParts,
    private readonly roles: ReadonlySet<Role>,
    private readonly logger: Logger,
  ) {}

  /** Before the start only. */
  addEndpoint(endpoint: WebhookEndpoint): void {
    this.endpoints.push(endpoint);
  }

  async start(): Promise<void> {
    const { projector, dispatcher, workers, notary, publisher, sender } = this.parts;
    this.started = true;
    if (this.roles.has('projector')) await projector.start();
    if (this.roles.has('dispatcher')) {
      await Promise.all([dispatcher.start(), publisher.start(), notary.start()]);
      this.senders = this.endpoints.map((endpoint) => sender(endpoint));
      for (const each of this.senders) await each.start();
    }
    this.working = this.roles.has('worker');
    if (this.working) await workers.start();
  }

  /** Whether the views that this process serves from follow the log live. */
  ready(): boolean {
    return this.started && this.parts.projector.ready();
  }

  /** First of all, so that what workers report last is still projected, sent and signed. */
  async stopWorkers(): Promise<void> {
    if (this.working) await this.parts.workers.close(JOB_GRACE_MS);
    this.working = false;
  }

  async stop(): Promise<void> {
    if (!this.started) return;
    this.started = false;
    const { projector, dispatcher, notary, publisher } = this.parts;
    await this.stopWorkers();
    if (this.roles.has('dispatcher')) {
      await Promise.all([dispatcher.close(), publisher.close(), ...this.senders.map((each) => each.close())]);
      await notary.close();
    }
    if (this.roles.has('projector')) await projector.close();
    this.logger.info('stopped');
  }
}
