import { isJsonObject } from './json.js';
import { type StepAgents, type StepContext, StepFailed, type UserIntent } from './step-agent.js';

/** Answer of `POST /what-if`, as on the wire. */
export interface WhatIf {
  /** Per month, in `currency`. */
  readonly estimatedMonthlyCost: number;
  readonly currency: string;
  readonly riskLevel: string;
  /** For people; repeats the description and the addition. */
  readonly message: string;
}

/**
 * What a run of this intent would cost: the architect's plan, priced by finops. Records nothing.
 *
 * @param addition Appended to the description, in both the estimate and the message.
 * @returns Cost 0 and risk `low`, with the reason in the message, when an agent fails.
 */
export async function estimate(
  agents: Pick<StepAgents, 'architect' | 'finops'>,
  intent: UserIntent,
  addition?: string,
  signal: AbortSignal = new AbortController().signal,
): Promise<WhatIf> {
  const userIntent = addition ? { ...intent, description: `${intent.description} ${addition}` } : intent;
  const subject = addition ? `"${intent.description}" with "${addition}"` : `"${intent.description}"`;
  const context: StepContext = { runId: 'what-if', codename: null, signal };
  try {
    const blueprint = await agents.architect.run({ userIntent }, context);
    const figures = figuresOf(await agents.finops.run({ userIntent, blueprint }, context));
    const { estimatedMonthlyCost, currency, riskLevel } = figures;
    return { ...figures, message: `${subject}: about ${estimatedMonthlyCost} ${currency} a month, risk ${riskLevel}.` };
  } catch (error) {
    if (!(error instanceof StepFailed)) throw error;
    return { ...figuresOf(null), message: `No estimate for ${subject}: ${error.message}` };
  }
}

function figuresOf(answer: unknown): Omit<WhatIf, 'message'> {
  const { estimatedMonthlyCost, currency, riskLevel } = isJsonObject(answer) ? answer : {};
  return {
    estimatedMonthlyCost: typeof estimatedMonthlyCost === 'number' ? estimatedMonthlyCost : 0,
    currency: typeof currency === 'string' ? currency : 'USD',
    riskLevel: typeof riskLevel === 'string' ? riskLevel : 'low',
  };
}
