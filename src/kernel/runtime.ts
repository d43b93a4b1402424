import type { Logger } from 'pino';
import type { Notary } from './audit/notary.js';
import type { Duties, DutyHandlers } from './duties.js';
import type { Role } from './settings.js';
import type { ViewOperator } from './views/operator.js';
import type { Projector } from './views/projector.js';
import type { AnyView } from './views/view.js';
import type { WebhookEndpoint } from './webhooks/endpoint.js';
import type { WorkerPool } from './work/worker-pool.js';

/** Running jobs get so long to finish when the service stops; with what follows it stays under ten seconds. */
const JOB_GRACE_MS = 1_500;

/** Something that follows the log and acts on it. */
export interface Follower {
  start(): Promise<void>;
  close(): Promise<void>;
}

/** A duty, as this process sees it. */
export interface OwnDuty {
  /** Of the processes that share it. */
  readonly role: Extract<Role, 'projector' | 'dispatcher'>;
  readonly name: string;
  /** Whether this process does it now. */
  readonly here: boolean;
  /** Since when it does: ISO 8601 UTC. */
  readonly since: string | null;
}

/** Makes a follower, for each time anew that its duty is taken. It acts only while `mayAct` says so. */
export type MakeFollower = (mayAct: () => boolean) => Follower;

export interface RuntimeParts {
  readonly projector: Projector;
  readonly operator: ViewOperator;
  readonly workers: WorkerPool;
  readonly notary: Notary;
  /** By the name of the duty. */
  readonly effects: Readonly<Record<string, MakeFollower>>;
  readonly sender: (endpoint: WebhookEndpoint) => MakeFollower;
  /** Shares duties with the other processes of a role, where there are any. */
  readonly share: (role: Role, names: readonly string[], handlers: DutyHandlers) => Duties;
}

/** By version: while old and new code run side by side, each folds its own. */
function dutyOf({ name, version }: AnyView): string {
  return `${name}@${version}`;
}

/** Starts what this process does beside answering requests, and stops it in the right order. */
export class Runtime {
  private readonly effects: Map<string, MakeFollower>;
  private readonly running = new Map<string, Follower>();
  private readonly followers: Follower[] = [];
  private folding: Duties | undefined;
  private acting: Duties | undefined;
  private started = false;
  private working = false;

  constructor(
    private readonly parts: RuntimeParts,
    private readonly roles: ReadonlySet<Role>,
    private readonly logger: Logger,
  ) {
    this.effects = new Map(Object.entries(parts.effects));
  }

  /** Before the start only. */
  addEndpoint(endpoint: WebhookEndpoint): void {
    this.effects.set(`webhook ${endpoint.id}`, this.parts.sender(endpoint));
  }

  /** Before the start only: runs in every process that acts, beside the duties that these share. */
  addFollower(follower: Follower): void {
    this.followers.push(follower);
  }

  /** A duty that comes while the service runs. Every process that acts has to hear of it. */
  async addEffect(name: string, make: MakeFollower): Promise<void> {
    this.effects.set(name, make);
    await this.acting?.add(name);
  }

  /** Ends a duty; what it has under way gets a moment to finish. */
  async removeEffect(name: string): Promise<void> {
    await this.acting?.remove(name);
    this.effects.delete(name);
  }

  async start(): Promise<void> {
    this.started = true;
    if (this.roles.has('projector')) await this.startFolding();
    if (this.roles.has('dispatcher')) await this.startActing();
    this.working = this.roles.has('worker');
    if (this.working) await this.parts.workers.start();
  }

  /** Everything that some process has to do, as far as this one knows of it, and what of it is done here. */
  duties(): readonly OwnDuty[] {
    const views = this.parts.projector.views.map((view) => ['projector', dutyOf(view), this.folding] as const);
    const effects = [...this.effects.keys()].map((name) => ['dispatcher', name, this.acting] as const);
    return [...views, ...effects].map(([role, name, duties]) => ({
      role,
      name,
      here: duties?.holds(name) ?? false,
      since: duties?.since(name) ?? null,
    }));
  }

  /** Whether the views that this process folds follow the log live. */
  ready(): boolean {
    return this.started && (!this.roles.has('projector') || this.parts.projector.ready());
  }

  /** First of all, so that what workers report last is still projected, sent and signed. */
  async stopWorkers(): Promise<void> {
    if (this.working) await this.parts.workers.close(JOB_GRACE_MS);
    this.working = false;
  }

  async stop(): Promise<void> {
    if (!this.started) return;
    this.started = false;
    await this.stopWorkers();
    if (this.acting) {
      await Promise.all(this.followers.map((follower) => follower.close()));
      await this.acting.close();
      await this.parts.notary.close();
    }
    if (this.folding) {
      await this.parts.operator.close();
      await this.parts.projector.close();
      await this.folding.close();
    }
    this.logger.info('stopped');
  }

  private async startFolding(): Promise<void> {
    const { projector, operator, share } = this.parts;
    const views = new Map(projector.views.map((view) => [dutyOf(view), view.name]));
    const nameOf = (duty: string): string => views.get(duty) ?? duty;
    await projector.start([]);
    operator.start();
    this.folding = share('projector', [...views.keys()], {
      take: (duty) => projector.take(nameOf(duty)),
      leave: async (duty) => projector.leave(nameOf(duty)),
    });
    await this.folding.start();
  }

  /** Every process signs for itself: of two that do, the log takes one. */
  private async startActing(): Promise<void> {
    const acting = this.parts.share('dispatcher', [...this.effects.keys()], {
      take: (name) => this.begin(name, () => acting.holds(name)),
      leave: (name) => this.end(name),
    });
    this.acting = acting;
    await Promise.all([acting.start(), this.parts.notary.start()]);
    for (const follower of this.followers) await follower.start();
  }

  private async begin(name: string, mayAct: () => boolean): Promise<void> {
    const make = this.effects.get(name);
    if (!make) throw new Error(`No effect is called ${name}`);
    const follower = make(mayAct);
    this.running.set(name, follower);
    await follower.start();
  }

  private async end(name: string): Promise<void> {
    const follower = this.running.get(name);
    this.running.delete(name);
    await follower?.close();
  }
}
