import type { Tier, WorkspaceEvent } from '../../../../contracts/hypershift/workspace.events.js';
import type { Decider } from '../../../kernel/decider.js';
import { Refused } from '../../../kernel/errors.js';

export type WorkspaceCommand =
  | { readonly type: 'create'; readonly tenant: string; readonly name: string; readonly implicit: boolean }
  | { readonly type: 'changeTier'; readonly tier: Tier };

export type WorkspaceState =
  | { readonly status: 'absent' }
  | {
      readonly status: 'active';
      readonly tenant: string;
      readonly name: string;
      readonly tier: Tier;
      readonly createdAt: string;
    };

export const workspaceDecider: Decider<WorkspaceState, WorkspaceCommand, WorkspaceEvent> = {
  initial: { status: 'absent' },

  decide(command, state) {
    switch (command.type) {
      case 'create': {
        if (state.status === 'active') return [];
        const { tenant, name, implicit } = command;
        return [{ type: 'workspace.created', data: { system: 'hypershift', tenant, name, tier: 'free', implicit } }];
      }
      case 'changeTier': {
        if (state.status === 'absent') throw new Refused('not_found', 'Workspace not found');
        if (state.tier === command.tier) return [];
        const { tenant, tier: from } = state;
        return [{ type: 'workspace.tier_changed', data: { system: 'hypershift', tenant, from, to: command.tier } }];
      }
    }
  },

  evolve(state, event, at) {
    switch (event.type) {
      case 'workspace.created': {
        const { tenant, name, tier } = event.data;
        return { status: 'active', tenant, name, tier, createdAt: at };
      }
      case 'workspace.tier_changed':
        return state.status === 'absent' ? state : { ...state, tier: event.data.to };
    }
  },
};
