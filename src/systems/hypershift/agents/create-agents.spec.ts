import { describe, expect, it } from '@jest/globals';
import { createAgents } from './create-agents.js';
import { HttpAgent } from './http-agent.js';
import { stepNames } from './step-agent.js';
import { context, withFolder, withServer } from './test-support.js';

describe('the agents of a pipeline', () => {
  it('are named after their steps', () => {
    const agents = createAgents({ urls: { sre: 'http://sre.test' }, timeoutMs: 1_000, buildDir: 'unused' });
    expect(Object.keys(agents)).toEqual(stepNames);
    for (const name of stepNames) expect(agents[name].name).toBe(name);
  });

  it('are foreign where a URL is set, and built in elsewhere', () => {
    const urls = { architect: '', sentinel: 'http://sentinel.test' };
    const agents = createAgents({ urls, timeoutMs: 1_000, buildDir: 'unused' });
    expect(stepNames.filter((name) => agents[name] instanceof HttpAgent)).toEqual(['sentinel']);
  });

  it('carry a run from intent to costs', () =>
    withFolder((buildDir) =>
      withServer(
        (_, response) => response.end('{"rollbackAction":"none","incidents":[]}'),
        async (url) => {
          const agents = createAgents({ urls: { sre: url }, timeoutMs: 60_000, buildDir });
          const userIntent = { description: 'Blog with a database' };
          const blueprint = await agents.architect.run({ userIntent }, context());
          const buildPlan = await agents.builder.run({ userIntent, blueprint }, context());
          const inputs = { userIntent, blueprint, buildPlan, deploymentUrl: null };
          expect(await agents.sentinel.run(inputs, context())).toEqual({ veto: false, findings: [] });
          expect(await agents.sre.run(inputs, context())).toEqual({ rollbackAction: 'none', incidents: [] });
          expect(await agents.finops.run(inputs, context())).toMatchObject({ estimatedMonthlyCost: 45 });
        },
      ),
    ));
});
