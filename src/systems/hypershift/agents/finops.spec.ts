import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { architect } from './architect.js';
import { finops, finopsAgent } from './finops.js';
import { context } from './test-support.js';

const priced = (description: string, constraints?: string) =>
  finops(architect({ description, ...(constraints === undefined ? {} : { constraints }) }));

describe('finops', () => {
  it('prices a landing page at nothing', () => {
    expect(priced('Deploy a simple Next.js landing page')).toEqual({
      estimatedMonthlyCost: 0,
      currency: 'USD',
      riskLevel: 'low',
      breakdown: [{ id: 'web', monthlyCost: 0 }],
    });
  });

  it('prices a landing page with a database', () => {
    expect(priced('Deploy a simple Next.js landing page add a postgres database')).toEqual({
      estimatedMonthlyCost: 45,
      currency: 'USD',
      riskLevel: 'medium',
      breakdown: [
        { id: 'web', monthlyCost: 20 },
        { id: 'supabase-db', monthlyCost: 25 },
      ],
    });
  });

  it('prices a dashboard with everything, and the same on the free tier', () => {
    const description = 'Next.js admin dashboard with login, postgres and realtime chat';
    expect(priced(description)).toEqual({
      estimatedMonthlyCost: 75,
      currency: 'USD',
      riskLevel: 'medium',
      breakdown: [
        { id: 'web', monthlyCost: 20 },
        { id: 'admin', monthlyCost: 20 },
        { id: 'supabase-db', monthlyCost: 25 },
        { id: 'supabase-auth', monthlyCost: 0 },
        { id: 'supabase-realtime', monthlyCost: 10 },
      ],
    });
    expect(priced(description, 'free tier only')).toMatchObject({ estimatedMonthlyCost: 0, riskLevel: 'medium' });
  });

  it('sees a high risk in an injected secret, which itself costs nothing', () => {
    expect(priced('sabotage demo')).toMatchObject({ estimatedMonthlyCost: 20, riskLevel: 'high' });
  });

  it.each([
    [1, 20, 'low'],
    [2, 40, 'low'],
    [3, 60, 'medium'],
    [5, 100, 'medium'],
    [6, 120, 'high'],
  ])('rates %i apps at %i USD as %s', (count, estimatedMonthlyCost, riskLevel) => {
    expect(finops({ appPlan: Array(count).fill({ id: 'a' }) })).toMatchObject({ estimatedMonthlyCost, riskLevel });
  });

  it('prices services that it does not know', () => {
    expect(finops({ infra: [{ id: 'cache', type: 'redis' }] })).toMatchObject({
      breakdown: [{ id: 'cache', monthlyCost: 15 }],
      riskLevel: 'medium',
    });
  });

  it.each([null, undefined, 'text', 7, [], {}, { appPlan: 'x', infra: {} }, { appPlan: [null, 1, 'x', []] }])(
    'prices %j at nothing',
    (blueprint) =>
      expect(finops(blueprint)).toEqual({ estimatedMonthlyCost: 0, currency: 'USD', riskLevel: 'low', breakdown: [] }),
  );

  it('names components without an id after their place', () => {
    const { breakdown } = finops({ appPlan: [{ id: 7 }, { name: 'shop' }], infra: [null, { config: null }] });
    expect(breakdown.map(({ id }) => id)).toEqual(['app-1', 'shop', 'infra-2']);
  });

  it('always gives the sum of its breakdown, whatever an architect answers', () => {
    const component = fc.record(
      { id: fc.anything(), type: fc.anything(), config: fc.anything() },
      { requiredKeys: [] },
    );
    const lists = fc.record({ appPlan: fc.array(component), infra: fc.array(component) }, { requiredKeys: [] });
    fc.assert(
      fc.property(fc.oneof(lists, fc.anything()), (blueprint) => {
        const { estimatedMonthlyCost, breakdown } = finops(blueprint);
        expect(estimatedMonthlyCost).toBe(breakdown.reduce((sum, { monthlyCost }) => sum + monthlyCost, 0));
      }),
    );
  });

  it('refuses a blueprint that is too large', async () => {
    const blueprint = { appPlan: Array(1_001).fill({}) };
    await expect(finopsAgent.run({ userIntent: { description: '' }, blueprint }, context())).rejects.toThrow(
      'Blueprint has more than 1000 components',
    );
  });
});
