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
  /** The runs that were let through this month, in order: a run's number is its place, from 1. */
  readonly reserved: readonly string[];
  readonly deployed: ReadonlySet<string>;
}

/** The arbiter of one workspace's month: its stream lets exactly as many runs through as the tier allows. */
export const usageDecider: Decider<UsageState, UsageCommand, UsageEvent> = {
  initial: { reserved: [], deployed: new Set() },

  decide(command, { reserved, deployed }) {
    const { tenant, period, runId } = command;
    const scope = { system: 'hypershift', tenant, period, runId } as const;
    switch (command.type) {
      case 'reserve': {
        if (reserved.includes(runId)) return [];
        const { limit, run } = command;
        const current = reserved.length;
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
        return { ...state, reserved: [...state.reserved, runId] };
      case 'usage.deploy_recorded':
        return { ...state, deployed: new Set(state.deployed).add(runId) };
    }
  },
};
