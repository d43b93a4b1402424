import { Command, CommandHandler, Query, QueryHandler, type ICommandHandler, type IQueryHandler } from '@nestjs/cqrs';
import { hash } from 'node:crypto';
import type { Tier } from '../../../../contracts/hypershift/workspace.events.js';
import { apiKeyView, type ApiKeyDoc } from '../../../../projections/hypershift/api-key.view.js';
import { workspaceKey, workspaceView, type WorkspaceDoc } from '../../../../projections/hypershift/workspace.view.js';
import { Kernel } from '../../../kernel/kernel.js';
import { currentContext } from '../../../kernel/request-context.js';
import { workspaceNotFound } from '../hypershift.dialect.js';
import { workspaceStream } from '../hypershift.streams.js';
import { ApiKeys, type NewApiKey } from '../keys/api-keys.js';
import { workspaceDecider, type WorkspaceState } from './workspace.decider.js';

const RANDOM_PART = 6;

/** Makes a workspace. An empty name stands for its id. */
export class CreateWorkspace extends Command<WorkspaceDoc> {
  constructor(readonly name: string) {
    super();
  }
}

export class ChangeTier extends Command<WorkspaceDoc> {
  constructor(
    readonly id: string,
    readonly tier: Tier,
  ) {
    super();
  }
}

export class CreateApiKey extends Command<NewApiKey> {
  constructor(
    readonly workspaceId: string,
    readonly name: string,
  ) {
    super();
  }
}

export class RevokeApiKey extends Command<void> {
  constructor(
    readonly workspaceId: string,
    readonly keyId: string,
  ) {
    super();
  }
}

export class GetWorkspace extends Query<WorkspaceDoc> {
  constructor(readonly id: string) {
    super();
  }
}

/** A workspace's API keys that are not revoked, newest first. */
export class ListApiKeys extends Query<ApiKeyDoc[]> {
  constructor(readonly workspaceId: string) {
    super();
  }
}

@CommandHandler(CreateWorkspace)
export class CreateWorkspaceHandler implements ICommandHandler<CreateWorkspace> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ name }: CreateWorkspace): Promise<WorkspaceDoc> {
    const id = this.newId();
    const command = { type: 'create', tenant: id, name: name === '' ? id : name, implicit: false } as const;
    const { state } = await this.kernel.streams.transact(workspaceDecider, workspaceStream(id), command);
    return toDoc(state);
  }

  /** `ws-<time>-<random>`; a repeated request gets the id of its first attempt. */
  private newId(): string {
    const { commandId } = currentContext();
    const { clock, ids } = this.kernel.ports;
    if (commandId === undefined) return `ws-${clock.now().toString(36)}-${ids.token(RANDOM_PART)}`;
    const time = Number.parseInt(commandId.replaceAll('-', '').slice(0, 12), 16).toString(36);
    return `ws-${time}-${BigInt(`0x${hash('sha256', commandId)}`)
      .toString(36)
      .slice(0, RANDOM_PART)}`;
  }
}

@CommandHandler(ChangeTier)
export class ChangeTierHandler implements ICommandHandler<ChangeTier> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ id, tier }: ChangeTier): Promise<WorkspaceDoc> {
    const command = { type: 'changeTier', tier } as const;
    const { state } = await this.kernel.streams.transact(workspaceDecider, workspaceStream(id), command);
    return toDoc(state);
  }
}

@CommandHandler(CreateApiKey)
export class CreateApiKeyHandler implements ICommandHandler<CreateApiKey> {
  constructor(
    private readonly kernel: Kernel,
    private readonly keys: ApiKeys,
  ) {}

  async execute({ workspaceId, name }: CreateApiKey): Promise<NewApiKey> {
    await existing(this.kernel, workspaceId);
    return this.keys.create(workspaceId, name);
  }
}

@CommandHandler(RevokeApiKey)
export class RevokeApiKeyHandler implements ICommandHandler<RevokeApiKey> {
  constructor(private readonly keys: ApiKeys) {}

  async execute({ workspaceId, keyId }: RevokeApiKey): Promise<void> {
    await this.keys.revoke(workspaceId, keyId);
  }
}

@QueryHandler(GetWorkspace)
export class GetWorkspaceHandler implements IQueryHandler<GetWorkspace> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ id }: GetWorkspace): Promise<WorkspaceDoc> {
    const workspace = await this.kernel.views.get(workspaceView, workspaceKey(id), id);
    if (!workspace) throw workspaceNotFound();
    return workspace;
  }
}

@QueryHandler(ListApiKeys)
export class ListApiKeysHandler implements IQueryHandler<ListApiKeys> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ workspaceId: tenant }: ListApiKeys): Promise<ApiKeyDoc[]> {
    await existing(this.kernel, tenant);
    return this.kernel.views.findAll(
      apiKeyView,
      { where: { tenant }, orderBy: ['createdAt'], descending: true },
      tenant,
    );
  }
}

/** @throws Refused `not_found` */
async function existing({ streams }: Kernel, id: string): Promise<void> {
  toDoc(await streams.read(workspaceDecider, workspaceStream(id)));
}

/** @throws Refused `not_found` */
function toDoc(state: WorkspaceState): WorkspaceDoc {
  if (state.status === 'absent') throw workspaceNotFound();
  const { tenant: id, name, tier, createdAt } = state;
  return { id, name, tier, createdAt };
}
