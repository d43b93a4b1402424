import type { ApiKeyEvent } from '../../contracts/hypershift/workspace.events.js';
import type { View } from '../../src/kernel/views/view.js';

/** One document per API key that has not been revoked. The key itself is nowhere. */
export interface ApiKeyDoc {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly prefix: string;
  /** ISO 8601 UTC. */
  readonly createdAt: string;
}

export const apiKeyView: View<ApiKeyDoc, ApiKeyEvent> = {
  name: 'hypershift.api-key',
  version: 1,
  indexes: [{ fields: ['tenant', 'createdAt'] }],
  types: ['api_key.created', 'api_key.revoked'],
  keys: ({ event }) => [event.data.keyId],

  evolve(_doc, { event, at }) {
    switch (event.type) {
      case 'api_key.created': {
        const { keyId: id, tenant, name, prefix } = event.data;
        return { id, tenant, name, prefix, createdAt: at };
      }
      case 'api_key.revoked':
        return null;
    }
  },
};
