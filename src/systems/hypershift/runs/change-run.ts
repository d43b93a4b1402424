import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Kernel } from '../../../kernel/kernel.js';
import { runNotFound } from '../hypershift.dialect.js';
import { runStream } from '../hypershift.streams.js';
import { ChangeRun } from './run.commands.js';
import { runDecider } from './run.decider.js';

/** Carries out a command on one run. A run of another workspace than the one that was named does not exist. */
@CommandHandler(ChangeRun)
export class ChangeRunHandler implements ICommandHandler<ChangeRun> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ runId, tenant, command }: ChangeRun): Promise<void> {
    const { streams } = this.kernel;
    if (tenant !== undefined) {
      const state = await streams.read(runDecider, runStream(runId));
      if (state.status === 'absent' || state.scope.tenant !== tenant) throw runNotFound();
    }
    await streams.transact(runDecider, runStream(runId), command);
  }
}
