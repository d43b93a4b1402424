import { describe, expect, it } from '@jest/globals';
import type { WorkspaceEvent } from '../../../../contracts/hypershift/workspace.events.js';
import { BEFORE, given } from '../../../../test/support/given.js';
import { workspaceDecider } from './workspace.decider.js';

const scope = { system: 'hypershift', tenant: 'ws-acme' } as const;
const created: WorkspaceEvent = {
  type: 'workspace.created',
  data: { ...scope, name: 'Acme', tier: 'free', implicit: false },
};
const upgraded: WorkspaceEvent = { type: 'workspace.tier_changed', data: { ...scope, from: 'free', to: 'pro' } };

describe('a workspace', () => {
  it('begins free', () => {
    given(workspaceDecider).when({ type: 'create', tenant: 'ws-acme', name: 'Acme', implicit: false }).gives(created);
  });

  it('keeps its name when a run would have created it', () => {
    given(workspaceDecider, created)
      .when({ type: 'create', tenant: 'ws-acme', name: 'ws-acme', implicit: true })
      .changesNothing();
  });

  it('changes its tier to and fro', () => {
    given(workspaceDecider, created).when({ type: 'changeTier', tier: 'pro' }).gives(upgraded);
    given(workspaceDecider, created, upgraded)
      .when({ type: 'changeTier', tier: 'free' })
      .gives({ type: 'workspace.tier_changed', data: { ...scope, from: 'pro', to: 'free' } });
  });

  it('has nothing to tell of a tier that it has already', () => {
    given(workspaceDecider, created).when({ type: 'changeTier', tier: 'free' }).changesNothing();
    given(workspaceDecider, created, upgraded).when({ type: 'changeTier', tier: 'pro' }).changesNothing();
  });

  it('has no tier to change before it exists', () => {
    given(workspaceDecider).when({ type: 'changeTier', tier: 'pro' }).refuses('not_found', 'Workspace not found');
  });

  it('knows what is shown of it', () => {
    expect(given(workspaceDecider, created, upgraded).state).toEqual({
      status: 'active',
      tenant: 'ws-acme',
      name: 'Acme',
      tier: 'pro',
      createdAt: BEFORE,
    });
  });
});
