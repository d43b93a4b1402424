import { type Component, componentsOf } from './blueprint.js';
import type { StepAgent } from './step-agent.js';

export type RiskLevel = 'low' | 'medium' | 'high';

/** Amounts are whole USD per month. */
export interface CostReport {
  readonly estimatedMonthlyCost: number;
  readonly currency: 'USD';
  readonly riskLevel: RiskLevel;
  /** One entry per component, apps first, in the blueprint's order. */
  readonly breakdown: readonly { readonly id: string; readonly monthlyCost: number }[];
}

const APP_PRICE = 20;
const INFRA_PRICES: ReadonlyMap<string, number> = new Map([
  ['supabase-postgres', 25],
  ['supabase-auth', 0],
  ['supabase-realtime', 10],
]);
const OTHER_INFRA_PRICE = 15;

/**
 * Prices a blueprint of any architect; what cannot be read as a component costs nothing.
 *
 * @throws StepFailed when the blueprint is too large.
 */
export function finops(blueprint: unknown): CostReport {
  const { appPlan, infra } = componentsOf(blueprint);
  const breakdown = [
    ...appPlan.map((app) => ({ id: app.id, monthlyCost: appPrice(app) })),
    ...infra.map((service) => ({ id: service.id, monthlyCost: infraPrice(service) })),
  ];
  const estimatedMonthlyCost = breakdown.reduce((sum, { monthlyCost }) => sum + monthlyCost, 0);
  const exposesSecret = [...appPlan, ...infra].some(({ config }) => Boolean(config.injectSecret));
  return {
    estimatedMonthlyCost,
    currency: 'USD',
    riskLevel: riskOf(estimatedMonthlyCost, exposesSecret, infra.length > 0),
    breakdown,
  };
}

export const finopsAgent: StepAgent = {
  name: 'finops',
  run: async ({ blueprint }) => finops(blueprint),
};

function appPrice({ type, config }: Component): number {
  return type === 'demo' || config.minimal === true || config.plan === 'free' ? 0 : APP_PRICE;
}

function infraPrice({ type, config }: Component): number {
  return config.plan === 'free' ? 0 : (INFRA_PRICES.get(type) ?? OTHER_INFRA_PRICE);
}

function riskOf(cost: number, exposesSecret: boolean, needsInfra: boolean): RiskLevel {
  if (exposesSecret || cost > 100) return 'high';
  return needsInfra || cost > 40 ? 'medium' : 'low';
}
