import { CommandHandler, type ICommandHandler } from '@nestjs/cqrs';
import { Kernel } from '../../../kernel/kernel.js';
import { runStream } from '../hypershift.streams.js';
import { ChangeRun } from './run.commands.js';
import { runDecider } from './run.decider.js';

/** Carries out a command on one run. */
@CommandHandler(ChangeRun)
export class ChangeRunHandler implements ICommandHandler<ChangeRun> {
  constructor(private readonly kernel: Kernel) {}

  async execute({ runId, tenant, command }: ChangeRun): Promise<void> {
    await this.kernel.streams.transact(runDecider, runStream(runId), { ...command, within: tenant });
  }
}
