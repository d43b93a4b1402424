import { describe, expect, it } from '@jest/globals';
import type { ApiKeyEvent } from '../../contracts/hypershift/workspace.events.js';
import { at, project, recorded } from '../../test/support/hypershift-events.js';
import { apiKeyView } from './api-key.view.js';

const acme = { system: 'hypershift', tenant: 'acme' } as const;

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
