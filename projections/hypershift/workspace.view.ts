import type { Tier, WorkspaceEvent } from '../../contracts/hypershift/workspace.events.js';
import type { View } from '../../src/kernel/views/view.js';

/** One document per workspace. */
export interface WorkspaceDoc {
  readonly id: string;
  readonly name: string;
  readonly tier: Tier;
  /** ISO 8601 UTC. */
  readonly createdAt: string;
}

/** Any text may be a workspace's id, also one that begins like the keys that the kernel keeps for itself. */
export function workspaceKey(tenant: string): string {
  return `workspace:${tenant}`;
}

export const workspaceView: View<WorkspaceDoc, WorkspaceEvent> = {
  name: 'hypershift.workspace',
  version: 1,
  indexes: [],
  types: ['workspace.created', 'workspace.tier_changed'],
  keys: ({ event }) => [workspaceKey(event.data.tenant)],

  evolve(doc, { event, at }) {
    switch (event.type) {
      case 'workspace.created':
        return { id: event.data.tenant, name: event.data.name, tier: event.data.tier, createdAt: at };
      case 'workspace.tier_changed':
        return doc ? { ...doc, tier: event.data.to } : null;
    }
  },
};
