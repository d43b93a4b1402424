import { Command } from '@nestjs/cqrs';
import type { RunRequest } from '../../../../contracts/hypershift/run.events.js';
import type { RunChange } from './run.decider.js';

/** Asks for a run in a workspace. Gives its id. */
export class CreateRun extends Command<{ runId: string }> {
  constructor(
    readonly tenant: string,
    readonly run: RunRequest,
  ) {
    super();
  }
}

/** Asks for a run like another, started at once. `tenant` undefined: in the other run's workspace. */
export class ReplayRun extends Command<{ runId: string }> {
  constructor(
    readonly runId: string,
    readonly tenant: string | undefined,
    readonly createdBy: string | null,
  ) {
    super();
  }
}

/** Anything that happens to one run. `tenant` undefined: whatever workspace it belongs to. */
export class ChangeRun extends Command<void> {
  constructor(
    readonly runId: string,
    readonly tenant: string | undefined,
    readonly command: RunChange,
  ) {
    super();
  }
}
