import type { UsageEvent } from '../../contracts/hypershift/workspace.events.js';
import type { View } from '../../src/kernel/views/view.js';

/** One document per workspace and month. */
export interface UsageDoc {
  readonly tenant: string;
  /** First day of the month, `YYYY-MM-01`, UTC. */
  readonly period: string;
  /** Runs created, replays included; never falls. */
  readonly runs: number;
  readonly deploys: number;
}

export function usageKey(tenant: string, period: string): string {
  return `${period}:${tenant}`;
}

export const usageView: View<UsageDoc, UsageEvent> = {
  name: 'hypershift.usage',
  version: 1,
  indexes: [],
  types: ['usage.run_reserved', 'usage.deploy_recorded'],
  keys: ({ event }) => [usageKey(event.data.tenant, event.data.period)],

  evolve(doc, { event }) {
    const { tenant, period } = event.data;
    const before = doc ?? { tenant, period, runs: 0, deploys: 0 };
    switch (event.type) {
      case 'usage.run_reserved':
        return { ...before, runs: before.runs + 1 };
      case 'usage.deploy_recorded':
        return { ...before, deploys: before.deploys + 1 };
    }
  },
};
