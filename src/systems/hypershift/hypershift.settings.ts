import { join } from 'node:path';
import { InvalidSettings } from '../../kernel/errors.js';
import { withoutEmpty, type Settings } from '../../kernel/settings.js';
import { stepNames, type StepName } from './agents/step-agent.js';

/** HyperShift's own variables, under the names of its API document. */
export interface HypershiftSettings {
  /** Asked of the routes for tiers and API keys, when set. */
  readonly tierUpdateSecret: string | undefined;
  readonly webhookUrl: string | undefined;
  readonly webhookSecrets: readonly string[];
  readonly agentUrls: Partial<Record<StepName, string>>;
  /** Steps that are left to workers from outside. */
  readonly workerSteps: readonly StepName[];
  readonly agentTimeoutMs: number;
  readonly stepDelayMs: number;
  /** Told by `GET /status` as it stands. */
  readonly lastDeployTime: string | undefined;
  readonly deployTarget: 'local' | 'none';
  readonly buildDir: string;
  /** Prefix of deployment URLs, without a trailing slash. Default: where the server listens. */
  readonly publicUrl: string | undefined;
}

/** In the place of an agent's URL: workers claim the step from the queue. */
const BY_WORKERS = 'work:';
const AGENT_TIMEOUT_MS = 60_000;

/** @throws InvalidSettings */
export function readHypershiftSettings(env: NodeJS.ProcessEnv, settings: Settings): HypershiftSettings {
  const given = withoutEmpty(env);
  const publicUrl = given['HYPERSHIFT_PUBLIC_URL'] ?? (settings.publicUrl && `${settings.publicUrl}/hypershift`);
  return {
    tierUpdateSecret: given['WORKSPACE_TIER_UPDATE_SECRET'],
    webhookUrl: given['WEBHOOK_URL'] ?? given['HYPERSHIFT_WEBHOOK_URL'],
    webhookSecrets: settings.webhookSecrets,
    agentUrls: agentUrls(given),
    workerSteps: workerSteps(given),
    agentTimeoutMs: positive(given['AGENT_TIMEOUT_MS']) ?? AGENT_TIMEOUT_MS,
    stepDelayMs: positive(given['PIPELINE_STEP_DELAY_MS']) ?? 0,
    lastDeployTime: given['LAST_DEPLOY_TIME'],
    deployTarget: given['HYPERSHIFT_DEPLOY_TARGET'] === 'none' ? 'none' : 'local',
    buildDir: given['DEPLOY_BUILD_BASE_DIR'] ?? join(settings.dataDir, 'hypershift', 'builds'),
    publicUrl: publicUrl?.replace(/\/+$/, ''),
  };
}

function agentUrls(given: Record<string, string>): Partial<Record<StepName, string>> {
  const urls: Partial<Record<StepName, string>> = {};
  for (const step of stepNames) {
    const url = given[settingOf(step)];
    if (url !== undefined && url !== BY_WORKERS) urls[step] = url;
  }
  return urls;
}

function workerSteps(given: Record<string, string>): StepName[] {
  const steps = stepNames.filter((step) => given[settingOf(step)] === BY_WORKERS);
  if (steps.includes('sre'))
    throw new InvalidSettings('Setting SRE_AGENT_URL: the service publishes the build in this step, it needs a URL');
  return steps;
}

function settingOf(step: StepName): string {
  return `${step.toUpperCase()}_AGENT_URL`;
}

/** HyperShift takes its default where a number is none, or not above zero. */
function positive(value: string | undefined): number | undefined {
  const number = Number(value);
  return Number.isFinite(number) && number > 0 ? number : undefined;
}
