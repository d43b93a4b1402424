import { describe, expect, it } from '@jest/globals';
import type { WebhookEndpointEvent } from '../../../contracts/runledger/webhook.events.js';
import { BEFORE, given, NOW } from '../../../test/support/given.js';
import { endpointDecider, type EndpointCommand } from './endpoint.decider.js';

const target = { url: 'https://a.example/', description: '', types: ['run.*'], systems: null };
const scope = { system: 'runledger', tenant: 'acme', endpoint: 'we_1' } as const;
const create = { type: 'create', id: 'we_1', tenant: 'acme', target, secret: 'sealed', after: 7 } as const;
const created: WebhookEndpointEvent = {
  type: 'webhook_endpoint.created',
  data: { ...scope, ...target, secret: 'sealed', after: 7 },
};
const disabled: WebhookEndpointEvent = { type: 'webhook_endpoint.disabled', data: { ...scope, reason: 'gone' } };
const rotated = (secret: string, formerUntil: string): WebhookEndpointEvent => ({
  type: 'webhook_endpoint.secret_rotated',
  data: { ...scope, secret, formerUntil },
});

describe('an endpoint', () => {
  it('is created once', () => {
    given(endpointDecider).when(create).gives(created);
    given(endpointDecider, created).when(create).changesNothing();
  });

  it('is enabled, and begins where it was told to', () => {
    expect(given(endpointDecider, created).state.endpoints.get('we_1')).toEqual({
      id: 'we_1',
      tenant: 'acme',
      ...target,
      secrets: [{ sealed: 'sealed', until: null }],
      after: 7,
      disabled: null,
      enabledAt: BEFORE,
      createdAt: BEFORE,
      updatedAt: BEFORE,
    });
  });

  it('has to be there for everything else', () => {
    const others: EndpointCommand[] = [
      { type: 'update', id: 'we_1', target: {} },
      { type: 'rotate', id: 'we_1', secret: 's', formerUntil: NOW },
      { type: 'disable', id: 'we_1', reason: 'operator' },
      { type: 'enable', id: 'we_1', after: null },
      { type: 'delete', id: 'we_1' },
    ];
    const deleted: WebhookEndpointEvent = { type: 'webhook_endpoint.deleted', data: scope };
    for (const command of others) {
      given(endpointDecider).when(command).refuses('not_found');
      given(endpointDecider, created, deleted).when(command).refuses('not_found');
    }
  });

  it('is updated when something changes', () => {
    const updated = { ...scope, ...target, types: ['*'] };
    given(endpointDecider, created)
      .when({ type: 'update', id: 'we_1', target: { types: ['*'] } })
      .gives({ type: 'webhook_endpoint.updated', data: updated });
    given(endpointDecider, created)
      .when({ type: 'update', id: 'we_1', target: { url: target.url } })
      .changesNothing();
  });

  it('is disabled once, and enabled once', () => {
    const disable = { type: 'disable', id: 'we_1', reason: 'gone' } as const;
    const enable = { type: 'enable', id: 'we_1', after: null } as const;
    given(endpointDecider, created).when(disable).gives(disabled);
    given(endpointDecider, created, disabled).when(disable).changesNothing();
    given(endpointDecider, created).when(enable).changesNothing();
    given(endpointDecider, created, disabled).when(enable).givesTypes('webhook_endpoint.enabled');
  });

  it('goes on where it stopped, or later, and never goes back', () => {
    const after = (position: number | null): number | undefined => {
      const enabled = { type: 'webhook_endpoint.enabled', data: { ...scope, after: position } } as const;
      return given(endpointDecider, created, disabled, enabled).state.endpoints.get('we_1')?.after;
    };
    expect([after(null), after(3), after(90)]).toEqual([7, 7, 90]);
  });

  it('signs with former secrets for as long as they were given', () => {
    const later = '2026-01-02T00:00:00.000Z';
    const muchLater = '2026-01-03T00:00:00.000Z';
    const secrets = (...events: WebhookEndpointEvent[]) =>
      given(endpointDecider, created, ...events).state.endpoints.get('we_1')?.secrets;
    expect(secrets(rotated('b', later))).toEqual([
      { sealed: 'b', until: null },
      { sealed: 'sealed', until: later },
    ]);
    // A second rotation makes no former secret live longer.
    expect(secrets(rotated('b', later), rotated('c', muchLater))).toEqual([
      { sealed: 'c', until: null },
      { sealed: 'b', until: muchLater },
      { sealed: 'sealed', until: later },
    ]);
    // One that leaked takes all of them along.
    expect(secrets(rotated('b', later), rotated('c', BEFORE))).toEqual([{ sealed: 'c', until: null }]);
  });
});
