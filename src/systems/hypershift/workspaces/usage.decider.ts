import type { RunRequest } from '../../../../contracts/hypershift/run.events.js';
import type { UsageEvent } from '../../../../contracts/hypershift/workspace.events.js';
import type { Decider } from '../../../kernel/decider.js';
import { Refused } from '../../../kernel/errors.js';

export type UsageCommand =
  | {
      readonly type: 'reserve';
      readonly tenant: string;
      readonly period: string;
      readonly runId: string;
      /** How many runs the workspace's tier allows in a month. */
      readonly limit: number;
      readonly run: RunRequest;
    }
  | { readonly type: 'recordDeploy'; readonly tenant: string; readonly period: string; readonly runId: string };

export interface UsageState {
  /** Number of each run that was let through this month, by its id. */
  readonly reserved: ReadonlyMap<string, number>;
  readonly deployed: ReadonlySet<string>;
}

/** The arbiter of one workspace's month: its stream lets exactly as many runs through as the tier allows. */
export const usageDecider: Decider<UsageState, UsageCommand, UsageEvent> = {
  initial: { reserved: new Map(), deployed: new Set() },

  decide(command, { reserved, deployed }) {
    const { tenant, period, runId } = command;
    const scope = { system: 'hypershift', tenant, period, runId } as const;
    switch (command.type) {
      case 'reserve': {
        if (reserved.has(runId)) return [];
        const { limit, run } = command;
        const current = reserved.size;
        if (current >= limit) {
          throw new Refused('limit_exceeded', 'Run limit exceeded for this period', { current, limit, period });
        }
        return [{ type: 'usage.run_reserved', data: { ...scope, number: current + 1, run } }];
      }
      case 'recordDeploy':
        return deployed.has(runId) ? [] : [{ type: 'usage.deploy_recorded', data: scope }];
    }
  },

  evolve(state, event) {
    const { runId } = event.data;
    switch (event.type) {
      case 'usage.run_reserved':
        return { ...state, reserved: new Map(state.reserved).set(runId, event.data.number) };
      case 'usage.deploy_recorded':
        return { ...state, deployed: new Set(state.deployed).add(runId) };
    }
  },
};
