import { Injectable, type OnModuleInit } from '@nestjs/common';
import { hash } from 'node:crypto';
import { webhookHealthView, type WebhookHealthDoc } from '../../../projections/runledger/webhook-health.view.js';
import { Refused, Unavailable } from '../../kernel/errors.js';
import { Kernel } from '../../kernel/kernel.js';
import { currentContext } from '../../kernel/request-context.js';
import type { Caller } from '../access/caller.js';
import {
  endpointDecider,
  endpointNotFound,
  ENDPOINTS_STREAM,
  type Endpoint,
  type EndpointCommand,
} from './endpoint.decider.js';
import { EndpointWatcher } from './endpoint-watcher.js';
import { DEFAULT_OVERLAP_MS } from './schedule.js';
import { WebhookSecrets } from './webhook-secrets.js';
import type * as dto from './webhooks.dto.js';

const ID_CHARACTERS = 16;

/** The endpoints of `/ledger/webhooks`: setting them up, and answering what they are. */
@Injectable()
export class Webhooks implements OnModuleInit {
  private readonly secrets: WebhookSecrets;

  constructor(private readonly kernel: Kernel) {
    this.secrets = new WebhookSecrets(kernel.signingKey);
  }

  /** Before the runtime starts. */
  onModuleInit(): void {
    this.kernel.runtime.addFollower(new EndpointWatcher(this.kernel, this.secrets));
  }

  async create(body: dto.CreateWebhookBody, caller: Caller): Promise<dto.WebhookWithSecretBody> {
    const { ports } = this.kernel;
    const tenant = tenantOf(body.tenant, caller);
    const { url, description = '', types, systems = null } = body;
    const target = { url, description, types, systems };
    this.assertTarget(target);
    const head = await ports.log.head();
    const { after = head } = body;
    if (after > head) throw new Refused('invalid', `after: the log ends at ${head}`);
    const id = this.newId();
    const secret = this.secrets.make(id, body.secret);
    const endpoint = await this.transact({ type: 'create', id, tenant, target, secret, after });
    return this.withSecret(endpoint);
  }

  async list(caller: Caller, tenant?: string): Promise<dto.WebhookListBody> {
    const { endpoints } = await this.kernel.streams.read(endpointDecider, ENDPOINTS_STREAM);
    const own = [...endpoints.values()].filter(
      (endpoint) => caller.sees(endpoint.tenant) && (tenant === undefined || endpoint.tenant === tenant),
    );
    const health = new Map((await this.healthOf(own)).map((doc) => [doc.endpoint, doc]));
    return { webhooks: own.map((endpoint) => describe(endpoint, health.get(endpoint.id))) };
  }

  async show(id: string, caller: Caller): Promise<dto.WebhookBody> {
    return this.described(await this.find(id, caller));
  }

  async update(id: string, body: dto.UpdateWebhookBody, caller: Caller): Promise<dto.WebhookBody> {
    const present = await this.find(id, caller);
    const { url, description, types, systems } = body;
    const target = {
      ...(url === undefined ? {} : { url }),
      ...(description === undefined ? {} : { description }),
      ...(types === undefined ? {} : { types }),
      ...(systems === undefined ? {} : { systems }),
    };
    this.assertTarget({ ...present, ...target });
    return this.described(await this.transact({ type: 'update', id, target }));
  }

  async rotate(id: string, body: dto.RotateSecretBody, caller: Caller): Promise<dto.WebhookWithSecretBody> {
    await this.find(id, caller);
    const { overlapMs = DEFAULT_OVERLAP_MS } = body;
    const formerUntil = new Date(this.kernel.ports.clock.now() + overlapMs).toISOString();
    const secret = this.secrets.make(id, body.secret);
    return this.withSecret(await this.transact({ type: 'rotate', id, secret, formerUntil }));
  }

  async enable(id: string, { after }: dto.EnableWebhookBody, caller: Caller): Promise<dto.WebhookBody> {
    await this.find(id, caller);
    const head = await this.kernel.ports.log.head();
    if (after !== undefined && after > head) throw new Refused('invalid', `after: the log ends at ${head}`);
    return this.described(await this.transact({ type: 'enable', id, after: after ?? null }));
  }

  async disable(id: string, caller: Caller): Promise<dto.WebhookBody> {
    await this.find(id, caller);
    return this.described(await this.transact({ type: 'disable', id, reason: 'operator' }));
  }

  async delete(id: string, caller: Caller): Promise<void> {
    await this.find(id, caller);
    await this.kernel.streams.transact(endpointDecider, ENDPOINTS_STREAM, { type: 'delete', id });
  }

  /** @throws Refused `not_found`, also for what belongs to a tenant that the caller does not see. */
  async find(id: string, caller: Caller): Promise<Endpoint> {
    const { endpoints } = await this.kernel.streams.read(endpointDecider, ENDPOINTS_STREAM);
    const endpoint = endpoints.get(id);
    if (!endpoint || !caller.sees(endpoint.tenant)) throw endpointNotFound();
    return endpoint;
  }

  private async transact(command: EndpointCommand): Promise<Endpoint> {
    const { state } = await this.kernel.streams.transact(endpointDecider, ENDPOINTS_STREAM, command);
    const endpoint = state.endpoints.get(command.id);
    if (!endpoint) throw endpointNotFound();
    return endpoint;
  }

  /** A repeated request gets the id of its first attempt. */
  private newId(): string {
    const { commandId } = currentContext();
    if (commandId === undefined) return `we_${this.kernel.ports.ids.token(ID_CHARACTERS)}`;
    return `we_${BigInt(`0x${hash('sha256', commandId)}`)
      .toString(36)
      .slice(0, ID_CHARACTERS)}`;
  }

  private assertTarget({ url, systems }: Pick<Endpoint, 'url' | 'systems'>): void {
    const parsed = URL.parse(url);
    if (!parsed || !['http:', 'https:'].includes(parsed.protocol)) {
      throw new Refused('invalid', 'url: an http or https address');
    }
    if (parsed.username !== '' || parsed.password !== '') {
      throw new Refused('invalid', 'url: without a user name and password');
    }
    const known = this.kernel.systems.map(({ name }) => name);
    if (systems?.some((system) => !known.includes(system))) {
      throw new Refused('invalid', `systems: of ${known.join(', ')}`);
    }
  }

  /** The newest secret, as the log has it: what a repeated request made anew is not what signs. */
  private async withSecret(endpoint: Endpoint): Promise<dto.WebhookWithSecretBody> {
    const secret = this.secrets.open(endpoint.id, endpoint.secrets[0]?.sealed ?? '');
    if (secret === undefined) throw new Error('A secret that was just sealed cannot be opened');
    return Object.assign(await this.described(endpoint), { secret });
  }

  private async described(endpoint: Endpoint): Promise<dto.WebhookBody> {
    const [health] = await this.healthOf([endpoint]);
    return describe(endpoint, health);
  }

  private async healthOf(endpoints: readonly Endpoint[]): Promise<WebhookHealthDoc[]> {
    const { views } = this.kernel;
    try {
      const docs = await Promise.all(endpoints.map(({ id, tenant }) => views.get(webhookHealthView, id, tenant)));
      return docs.filter((doc) => doc !== undefined);
    } catch (error) {
      // What an endpoint is does not depend on the view that says how it does.
      if (error instanceof Unavailable) return [];
      throw error;
    }
  }
}

function tenantOf(asked: string | undefined, caller: Caller): string {
  const own = caller.tenants === null ? [] : [...caller.tenants];
  const tenant = asked ?? (own.length === 1 ? own[0] : undefined);
  if (tenant === undefined) throw new Refused('invalid', 'tenant: say whose events are to be told');
  if (!caller.sees(tenant)) throw new Refused('forbidden', `The token ${caller.name} is not for that tenant`);
  return tenant;
}

function describe(endpoint: Endpoint, health: WebhookHealthDoc | undefined): dto.WebhookBody {
  const { id, tenant, url, description, types, systems, after, disabled, secrets, createdAt, updatedAt } = endpoint;
  return {
    id,
    tenant,
    url,
    description,
    types: [...types],
    systems: systems && [...systems],
    after,
    status: disabled ? 'disabled' : 'enabled',
    disabled,
    secrets: secrets.map(({ until }) => ({ until })),
    health: health ? healthBody(health) : null,
    createdAt,
    updatedAt,
  };
}

function healthBody({ endpoint: _endpoint, ...health }: WebhookHealthDoc): dto.WebhookHealthBody {
  return health;
}
