import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { hash } from 'node:crypto';
import type { RunRequest } from '../../../../contracts/hypershift/run.events.js';
import { Kernel } from '../../../kernel/kernel.js';
import { currentContext } from '../../../kernel/request-context.js';
import { runNotFound } from '../hypershift.dialect.js';
import { periodOf, runStream, usageStream, workspaceStream } from '../hypershift.streams.js';
import { monthlyLimit } from '../workspaces/tiers.js';
import { usageDecider } from '../workspaces/usage.decider.js';
import { workspaceDecider } from '../workspaces/workspace.decider.js';
import { CreateRun, ReplayRun } from './run.commands.js';
import { runDecider } from './run.decider.js';

const RANDOM_PART = 8;

/**
 * Lets a run through and creates it. Refused with `limit_exceeded` when the workspace has used up its month.
 *
 * Over three streams, in an order that makes it harmless to begin again from the top: the month's arbiter first, which
 * knows the run by its id, then the workspace and the run itself.
 */
@CommandHandler(CreateRun)
export class CreateRunHandler implements ICommandHandler<CreateRun> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ tenant, run }: CreateRun): Promise<{ runId: string }> {
    const { streams } = this.kernel;
    const { runId, period } = this.newRun();
    const workspace = await streams.read(workspaceDecider, workspaceStream(tenant));
    const limit = monthlyLimit(workspace.status === 'active' ? workspace.tier : 'free');
    const reserve = { type: 'reserve', tenant, period, runId, limit, run } as const;
    const { state } = await streams.transact(usageDecider, usageStream(tenant, period), reserve);
    await createReserved(this.kernel, { tenant, runId, run, number: state.reserved.indexOf(runId) + 1 });
    return { runId };
  }

  /** `req-<time>-<random>`. A repeated request gets the id of its first attempt, and is counted in the same month. */
  private newRun(): { runId: string; period: string } {
    const { ids, clock } = this.kernel.ports;
    const { commandId } = currentContext();
    const ms = commandId === undefined ? clock.now() : timeOf(commandId);
    const random = commandId === undefined ? ids.token(RANDOM_PART) : tokenOf(commandId);
    return { runId: `req-${ms.toString(36)}-${random}`, period: periodOf(ms) };
  }
}

/** Creates a run that the month's arbiter has let through; a second time nothing happens. */
export async function createReserved(
  { streams }: Kernel,
  reserved: { readonly tenant: string; readonly runId: string; readonly run: RunRequest; readonly number: number },
): Promise<void> {
  const { tenant, runId, run, number } = reserved;
  const implicit = { type: 'create', tenant, name: tenant, implicit: true } as const;
  const workspace = await streams.read(workspaceDecider, workspaceStream(tenant));
  if (workspace.status === 'absent') await streams.transact(workspaceDecider, workspaceStream(tenant), implicit);
  const scope = { system: 'hypershift', tenant, runId } as const;
  await streams.transact(runDecider, runStream(runId), { type: 'create', scope, number, run }, { isNew: true });
}

/** Creates a run from another's intent. HyperShift API, "Replay run": it counts, and it starts at once. */
@CommandHandler(ReplayRun)
export class ReplayRunHandler implements ICommandHandler<ReplayRun> {
  private readonly creation: CreateRunHandler;

  constructor(private readonly kernel: Kernel) {
    this.creation = new CreateRunHandler(kernel);
  }

  async execute({ runId, tenant, createdBy }: ReplayRun): Promise<{ runId: string }> {
    const original = await this.kernel.streams.read(runDecider, runStream(runId));
    if (original.status === 'absent' || (tenant !== undefined && original.scope.tenant !== tenant)) throw runNotFound();
    const run = { ...original.run, createdBy, replayOf: runId };
    return this.creation.execute(new CreateRun(original.scope.tenant, run));
  }
}

/** The first 48 bits of a UUIDv7 are its time. */
function timeOf(uuid: string): number {
  return Number.parseInt(uuid.replaceAll('-', '').slice(0, 12), 16);
}

function tokenOf(commandId: string): string {
  return BigInt(`0x${hash('sha256', commandId)}`)
    .toString(36)
    .slice(0, RANDOM_PART);
}
