import { describe, expect, it } from '@jest/globals';
import { architect, architectAgent } from './architect.js';
import { finops, finopsAgent } from './finops.js';
import { HttpAgent } from './http-agent.js';
import type { StepAgent } from './step-agent.js';
import { withServer } from './test-support.js';
import { estimate } from './what-if.js';

const builtIn = { architect: architectAgent, finops: finopsAgent };
const landingPage = { description: 'Deploy a simple Next.js landing page' };

describe('what if', () => {
  it('estimates an intent', async () => {
    expect(await estimate(builtIn, landingPage)).toEqual({
      estimatedMonthlyCost: 0,
      currency: 'USD',
      riskLevel: 'low',
      message: expect.stringContaining(landingPage.description),
    });
  });

  it('estimates an intent with an addition', async () => {
    const { message, ...figures } = await estimate(builtIn, landingPage, 'add a postgres database');
    expect(figures).toEqual({ estimatedMonthlyCost: 45, currency: 'USD', riskLevel: 'medium' });
    expect(message).toContain(landingPage.description);
    expect(message).toContain('add a postgres database');
  });

  it('gives the figures of a run of the same intent', async () => {
    const intent = { description: 'Admin dashboard with chat', target: 'react', constraints: 'with login' };
    const { estimatedMonthlyCost, riskLevel } = finops(architect(intent));
    expect(await estimate(builtIn, intent)).toMatchObject({ estimatedMonthlyCost, riskLevel });
  });

  it('fills in what a foreign finops leaves out', async () => {
    const answering = (value: unknown): StepAgent => ({ name: 'finops', run: async () => value });
    for (const nothing of [null, [], 'x', {}, { estimatedMonthlyCost: '7', riskLevel: 1 }]) {
      expect(await estimate({ ...builtIn, finops: answering(nothing) }, landingPage)).toMatchObject({
        estimatedMonthlyCost: 0,
        currency: 'USD',
        riskLevel: 'low',
      });
    }
  });

  it('tells the failure of an agent in the message', () =>
    withServer(
      (_, response) => response.writeHead(500).end(),
      async (url) => {
        const failing = new HttpAgent({ name: 'architect', url, timeoutMs: 60_000 });
        const { message, ...figures } = await estimate({ ...builtIn, architect: failing }, landingPage, 'more');
        expect(figures).toEqual({ estimatedMonthlyCost: 0, currency: 'USD', riskLevel: 'low' });
        for (const part of ['Agent /architect returned 500', landingPage.description, 'more']) {
          expect(message).toContain(part);
        }
      },
    ));

  it('does not hide a bug', async () => {
    const broken: StepAgent = { name: 'finops', run: () => Promise.reject(new TypeError('oops')) };
    await expect(estimate({ ...builtIn, finops: broken }, landingPage)).rejects.toThrow('oops');
  });
});
