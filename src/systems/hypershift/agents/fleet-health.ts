import { probeHealth } from './http-agent.js';
import { type StepName, stepNames } from './step-agent.js';

/** How the agents are, all asked at once. A step without a URL is built in, and always `ok`. */
export async function fleetHealth(
  urls: Readonly<Partial<Record<StepName, string>>>,
  timeoutMs?: number,
): Promise<Readonly<Record<StepName, 'ok' | 'down'>>> {
  const health = await Promise.all(
    stepNames.map(async (name) => [name, urls[name] ? await probeHealth(urls[name], timeoutMs) : 'ok'] as const),
  );
  return Object.fromEntries(health) as Record<StepName, 'ok' | 'down'>;
}
