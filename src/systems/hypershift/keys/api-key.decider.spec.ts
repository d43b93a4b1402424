import { describe, it } from '@jest/globals';
import type { ApiKeyEvent } from '../../../../contracts/hypershift/workspace.events.js';
import { given } from '../../../../test/support/given.js';
import { apiKeyDecider, type ApiKeyCommand } from './api-key.decider.js';

const key = { tenant: 'ws-acme', keyId: 'key_0f3a9c21', prefix: '0f3a9c21', hash: 'a'.repeat(64), name: 'CI' };
const create: ApiKeyCommand = { type: 'create', ...key };
const created: ApiKeyEvent = { type: 'api_key.created', data: { system: 'hypershift', ...key } };
const revoked: ApiKeyEvent = {
  type: 'api_key.revoked',
  data: { system: 'hypershift', tenant: 'ws-acme', keyId: 'key_0f3a9c21', prefix: '0f3a9c21' },
};

describe('an API key', () => {
  it('is created, and once more for the same request', () => {
    given(apiKeyDecider).when(create).gives(created);
    given(apiKeyDecider, created).when(create).changesNothing();
  });

  it('leaves its prefix to no other key, also when it is revoked', () => {
    const other: ApiKeyCommand = { ...create, hash: 'b'.repeat(64) };
    given(apiKeyDecider, created).when(other).refuses('conflict');
    given(apiKeyDecider, created, revoked).when(other).refuses('conflict');
    given(apiKeyDecider, created, revoked).when(create).refuses('conflict');
  });

  it('is revoked once', () => {
    given(apiKeyDecider, created).when({ type: 'revoke', tenant: 'ws-acme' }).gives(revoked);
    given(apiKeyDecider, created, revoked)
      .when({ type: 'revoke', tenant: 'ws-acme' })
      .refuses('not_found', 'API key not found');
  });

  it('is unknown to other workspaces, and before it exists', () => {
    given(apiKeyDecider, created)
      .when({ type: 'revoke', tenant: 'ws-other' })
      .refuses('not_found', 'API key not found');
    given(apiKeyDecider).when({ type: 'revoke', tenant: 'ws-acme' }).refuses('not_found', 'API key not found');
  });
});
