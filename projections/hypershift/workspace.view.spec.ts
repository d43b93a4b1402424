import { describe, expect, it } from '@jest/globals';
import type { ApiKeyEvent, UsageEvent, WorkspaceEvent } from '../../contracts/hypershift/workspace.events.js';
import { at, project, recorded, runEvent, runRequest } from '../../test/support/hypershift-events.js';
import { apiKeyView } from './api-key.view.js';
import { lastDeployView } from './last-deploy.view.js';
import { usageKey, usageView } from './usage.view.js';
import { workspaceKey, workspaceView } from './workspace.view.js';

const acme = { system: 'hypershift', tenant: 'acme' } as const;

describe('the workspace view', () => {
  it('shows the newest tier', () => {
    const events: WorkspaceEvent[] = [
      { type: 'workspace.created', data: { ...acme, name: 'Acme', tier: 'free', implicit: false } },
      { type: 'workspace.tier_changed', data: { ...acme, from: 'free', to: 'pro' } },
    ];
    expect(project(workspaceView, recorded(events))).toEqual([
      { id: 'acme', name: 'Acme', tier: 'pro', createdAt: at(0) },
    ]);
  });

  it('keeps workspaces apart whose ids look like keys of the kernel', () => {
    expect(workspaceKey('$serving')).not.toMatch(/^\$/);
  });
});

describe('the usage view', () => {
  const reserved = (runId: string, period: string, tenant = 'acme'): UsageEvent => ({
    type: 'usage.run_reserved',
    data: { system: 'hypershift', tenant, period, runId, number: 1, run: runRequest() },
  });

  it('counts runs and deployments by workspace and month', () => {
    const events: UsageEvent[] = [
      reserved('req-1', '2026-01-01'),
      reserved('req-2', '2026-01-01'),
      { type: 'usage.deploy_recorded', data: { ...acme, period: '2026-01-01', runId: 'req-1' } },
      reserved('req-3', '2026-02-01'),
      reserved('req-4', '2026-01-01', 'other'),
    ];
    expect(project(usageView, recorded(events))).toEqual([
      { tenant: 'acme', period: '2026-01-01', runs: 2, deploys: 1 },
      { tenant: 'acme', period: '2026-02-01', runs: 1, deploys: 0 },
      { tenant: 'other', period: '2026-01-01', runs: 1, deploys: 0 },
    ]);
  });

  it('has one document per workspace and month', () => {
    expect(usageKey('a', '2026-01-01')).not.toBe(usageKey('a', '2026-02-01'));
    expect(usageKey('a', '2026-01-01')).not.toBe(usageKey('b', '2026-01-01'));
  });
});

describe('the API key view', () => {
  const key = { ...acme, keyId: 'key_0f3a9c21', prefix: '0f3a9c21' };
  const created: ApiKeyEvent = { type: 'api_key.created', data: { ...key, hash: 'f'.repeat(64), name: 'CI' } };

  it('shows a key without its hash', () => {
    expect(project(apiKeyView, recorded([created]))).toEqual([
      { id: 'key_0f3a9c21', tenant: 'acme', name: 'CI', prefix: '0f3a9c21', createdAt: at(0) },
    ]);
  });

  it('forgets a revoked one', () => {
    expect(project(apiKeyView, recorded([created, { type: 'api_key.revoked', data: key }]))).toEqual([]);
  });
});

describe('the last deployment', () => {
  it('is the newest that succeeded', () => {
    const events = [runEvent('deploy.succeeded'), runEvent('run.failed'), runEvent('deploy.succeeded')];
    expect(project(lastDeployView, recorded(events))).toEqual([{ at: at(2) }]);
  });

  it('does not go back when the clock did', () => {
    const [late, early] = recorded([runEvent('deploy.succeeded'), runEvent('deploy.succeeded')]);
    if (!late || !early) throw new Error('Nothing was recorded');
    expect(project(lastDeployView, [{ ...late, at: at(9) }, early])).toEqual([{ at: at(9) }]);
  });
});
