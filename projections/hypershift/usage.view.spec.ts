import { describe, expect, it } from '@jest/globals';
import type { UsageEvent } from '../../contracts/hypershift/workspace.events.js';
import { project, recorded, runRequest } from '../../test/support/hypershift-events.js';
import { usageKey, usageView } from './usage.view.js';

const acme = { system: 'hypershift', tenant: 'acme' } as const;

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
