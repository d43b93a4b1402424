import { join } from 'node:path';
import { withoutEmpty, type Settings } from '../../kernel/settings.js';
import { stepNames, type StepName } from './agents/step-agent.js';

/** HyperShift's own variables, under the names of its API document. */
export interface HypershiftSettings {
  /** Asked of the routes for tiers and API keys, when set. */
  readonly tierUpdateSecret: string | undefined;
  readonly webhookUrl: string | undefined;
  readonly webhookSecrets: readonly string[];
  readonly agentUrls: Partial<Record<StepName, string>>;
  readonly agentTimeoutMs: number;
  readonly stepDelayMs: number;
  /** Told by `GET /status` as it stands. */
  readonly lastDeployTime: string | undefined;
  readonly deployTarget: 'local' | 'none';
  readonly buildDir: string;
  /** Prefix of deployment URLs, without a trailing slash. Default: where the server listens. */
  readonly publicUrl: string | undefined;
}

const AGENT_TIMEOUT_MS = 60_000;

export function readHypershiftSettings(env: NodeJS.ProcessEnv, settings: Settings): HypershiftSettings {
  const given = withoutEmpty(env);
  const publicUrl = given['HYPERSHIFT_PUBLIC_URL'] ?? (settings.publicUrl && `${settings.publicUrl}/hypershift`);
  return {
    tierUpdateSecret: given['WORKSPACE_TIER_UPDATE_SECRET'],
    webhookUrl: given['WEBHOOK_URL'] ?? given['HYPERSHIFT_WEBHOOK_URL'],
    webhookSecrets: settings.webhookSecrets,
    agentUrls: agentUrls(given),
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
    const url = given[`${step.toUpperCase()}_AGENT_URL`];
    if (url !== undefined) urls[step] = url;
  }
  return urls;
}

/** HyperShift takes its default where a number is none, or not above zero. */
function positive(value: string | undefined): number | undefined {
  const number = Number(value);
  return Number.isFinite(number) && number > 0 ? number : undefined;
}
