import type { ApiKeyEvent } from '../../../../contracts/hypershift/workspace.events.js';
import type { Decider } from '../../../kernel/decider.js';
import { Refused } from '../../../kernel/errors.js';

export type ApiKeyCommand =
  | {
      readonly type: 'create';
      readonly tenant: string;
      readonly keyId: string;
      readonly prefix: string;
      readonly hash: string;
      readonly name: string;
    }
  | { readonly type: 'revoke'; readonly tenant: string };

export type ApiKeyState =
  | { readonly status: 'absent' }
  | {
      readonly status: 'active' | 'revoked';
      readonly tenant: string;
      readonly keyId: string;
      readonly prefix: string;
      readonly hash: string;
      readonly createdAt: string;
    };

export const apiKeyDecider: Decider<ApiKeyState, ApiKeyCommand, ApiKeyEvent> = {
  initial: { status: 'absent' },

  decide(command, state) {
    switch (command.type) {
      case 'create': {
        const { type: _type, ...key } = command;
        if (state.status === 'absent') return [{ type: 'api_key.created', data: { system: 'hypershift', ...key } }];
        if (state.status === 'active' && state.hash === command.hash) return [];
        throw new Refused('conflict', 'API key prefix is taken, try again');
      }
      case 'revoke': {
        if (state.status !== 'active' || state.tenant !== command.tenant) {
          throw new Refused('not_found', 'API key not found');
        }
        const { tenant, keyId, prefix } = state;
        return [{ type: 'api_key.revoked', data: { system: 'hypershift', tenant, keyId, prefix } }];
      }
    }
  },

  evolve(state, event, at) {
    switch (event.type) {
      case 'api_key.created': {
        const { tenant, keyId, prefix, hash } = event.data;
        return { status: 'active', tenant, keyId, prefix, hash, createdAt: at };
      }
      case 'api_key.revoked':
        return state.status === 'absent' ? state : { ...state, status: 'revoked' };
    }
  },
};
