import type { Tier } from '../../../../contracts/hypershift/workspace.events.js';

const RUNS_A_MONTH = { free: 10, pro: 1_000 } as const satisfies Record<Tier, number>;

/** HyperShift API, "Usage": how many runs a tier allows in a calendar month, UTC. */
export function monthlyLimit(tier: Tier): number {
  return RUNS_A_MONTH[tier];
}

export function isTier(value: unknown): value is Tier {
  return value === 'free' || value === 'pro';
}
