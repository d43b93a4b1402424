import { describe, expect, it } from '@jest/globals';
import type { WorkspaceEvent } from '../../contracts/hypershift/workspace.events.js';
import { at, project, recorded } from '../../test/support/hypershift-events.js';
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
