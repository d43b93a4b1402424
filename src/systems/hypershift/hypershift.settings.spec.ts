import { describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { readSettings } from '../../kernel/settings.js';
import { readHypershiftSettings, type HypershiftSettings } from './hypershift.settings.js';

function settings(env: NodeJS.ProcessEnv = {}): HypershiftSettings {
  const all = { RUNLEDGER_DATA_DIR: '/data', ...env };
  return readHypershiftSettings(all, readSettings(all, ['hypershift']));
}

const DEFAULTS: HypershiftSettings = {
  tierUpdateSecret: undefined,
  webhookUrl: undefined,
  webhookSecrets: [],
  agentUrls: {},
  workerSteps: [],
  agentTimeoutMs: 60_000,
  stepDelayMs: 0,
  lastDeployTime: undefined,
  deployTarget: 'local',
  buildDir: join('/data', 'hypershift', 'builds'),
  publicUrl: undefined,
};

describe("HyperShift's settings", () => {
  it('have these defaults', () => {
    expect(settings()).toEqual(DEFAULTS);
  });

  it('take an empty variable as unset, every one of them', () => {
    const names = [
      'WORKSPACE_TIER_UPDATE_SECRET',
      'WEBHOOK_URL',
      'HYPERSHIFT_WEBHOOK_URL',
      'ARCHITECT_AGENT_URL',
      'BUILDER_AGENT_URL',
      'SENTINEL_AGENT_URL',
      'SRE_AGENT_URL',
      'FINOPS_AGENT_URL',
      'AGENT_TIMEOUT_MS',
      'PIPELINE_STEP_DELAY_MS',
      'LAST_DEPLOY_TIME',
      'HYPERSHIFT_DEPLOY_TARGET',
      'DEPLOY_BUILD_BASE_DIR',
      'HYPERSHIFT_PUBLIC_URL',
    ];
    expect(settings(Object.fromEntries(names.map((name) => [name, ''])))).toEqual(DEFAULTS);
    expect(settings({ WEBHOOK_URL: '', HYPERSHIFT_WEBHOOK_URL: 'http://b/' }).webhookUrl).toBe('http://b/');
  });

  it('prefer WEBHOOK_URL', () => {
    expect(settings({ WEBHOOK_URL: 'http://a/', HYPERSHIFT_WEBHOOK_URL: 'http://b/' }).webhookUrl).toBe('http://a/');
  });

  it.each(['0', '-1', 'soon', 'NaN', 'Infinity', ' '])('take the default for %j milliseconds', (value) => {
    const { agentTimeoutMs, stepDelayMs } = settings({ AGENT_TIMEOUT_MS: value, PIPELINE_STEP_DELAY_MS: value });
    expect([agentTimeoutMs, stepDelayMs]).toEqual([60_000, 0]);
  });

  it('take numbers as they are', () => {
    expect(settings({ AGENT_TIMEOUT_MS: '1500', PIPELINE_STEP_DELAY_MS: '2500' })).toMatchObject({
      agentTimeoutMs: 1_500,
      stepDelayMs: 2_500,
    });
  });

  it('drop the slash after the public URL', () => {
    expect(settings({ HYPERSHIFT_PUBLIC_URL: 'https://runs.example/hs/' }).publicUrl).toBe('https://runs.example/hs');
    expect(settings({ RUNLEDGER_PUBLIC_URL: 'https://runs.example/' }).publicUrl).toBe(
      'https://runs.example/hypershift',
    );
  });

  it('publish nothing for `none`, and locally for anything else', () => {
    expect(settings({ HYPERSHIFT_DEPLOY_TARGET: 'none' }).deployTarget).toBe('none');
    expect(settings({ HYPERSHIFT_DEPLOY_TARGET: 'vercel' }).deployTarget).toBe('local');
  });

  it("bear the original's variables that mean nothing here", () => {
    const env = { ORCHESTRATOR_DATABASE_PATH: 'x', DATABASE_PATH: 'x', REDIS_URL: 'x', VERCEL_TOKEN: 'x' };
    expect(settings({ ...env, ORCHESTRATOR_PORT: 'x', HYPERSHIFT_REDIS_URL: 'x' })).toEqual(DEFAULTS);
  });
});
