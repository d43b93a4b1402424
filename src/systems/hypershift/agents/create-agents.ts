import { architectAgent } from './architect.js';
import { Builder } from './builder.js';
import { finopsAgent } from './finops.js';
import { HttpAgent, agentConnections } from './http-agent.js';
import { Sentinel } from './sentinel.js';
import { Sre } from './sre.js';
import { type StepAgent, type StepAgents, type StepName, stepNames } from './step-agent.js';

export interface AgentsOptions {
  /** Base URLs of foreign agents. A step without one (or with an empty one) is done by the built-in agent. */
  readonly urls: Readonly<Partial<Record<StepName, string>>>;
  /** Limit of one call of a foreign agent, in ms. */
  readonly timeoutMs: number;
  /** Where the builder makes its work folders. */
  readonly buildDir: string;
}

/** Chooses who carries out each step. */
export function createAgents({ urls, timeoutMs, buildDir }: AgentsOptions): StepAgents {
  const builtIn: StepAgents = {
    architect: architectAgent,
    builder: new Builder({ baseDir: buildDir }),
    sentinel: new Sentinel({ baseDir: buildDir }),
    sre: new Sre(),
    finops: finopsAgent,
  };
  const dispatcher = agentConnections();
  const chosen = stepNames.map((name): readonly [StepName, StepAgent] => {
    const url = urls[name];
    return [name, url ? new HttpAgent({ name, url, timeoutMs, dispatcher }) : builtIn[name]];
  });
  return Object.fromEntries(chosen) as Record<StepName, StepAgent>;
}
