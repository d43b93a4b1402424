import type { StepAgents } from './agents/step-agent.js';
import type { HypershiftSettings } from './hypershift.settings.js';

/** What the module was started with: the settings, and the agents of the five steps. */
export class HypershiftOptions {
  constructor(
    readonly settings: HypershiftSettings,
    readonly agents: StepAgents,
  ) {}
}
