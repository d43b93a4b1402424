import { z } from 'zod';
import { defineEvent, type EventOf } from '../define-event.js';
import { runRequest } from './run.events.js';

const scope = z.object({ system: z.literal('hypershift'), tenant: z.string() });

export const tier = z.enum(['free', 'pro']);
export type Tier = z.infer<typeof tier>;

/** A workspace exists. `implicit` when a run was created in it before anybody created it. */
export const workspaceCreated = defineEvent('workspace.created', {
  version: 1,
  data: scope.extend({ name: z.string(), tier, implicit: z.boolean() }),
});

export const workspaceTierChanged = defineEvent('workspace.tier_changed', {
  version: 1,
  data: scope.extend({ from: tier, to: tier }),
});

export const workspaceEvents = [workspaceCreated, workspaceTierChanged] as const;
export type WorkspaceEvent = EventOf<(typeof workspaceEvents)[number]>;

/**
 * One of the workspace's runs of the month was given away, as its `number`th. `run` is what it will be created from,
 * so that a run that was let through always comes to be.
 */
export const usageRunReserved = defineEvent('usage.run_reserved', {
  version: 1,
  data: scope.extend({
    /** First day of the month, `YYYY-MM-01`, UTC. */
    period: z.string(),
    runId: z.string(),
    number: z.number().int().min(1),
    run: runRequest,
  }),
});

/** A deployment was counted. */
export const usageDeployRecorded = defineEvent('usage.deploy_recorded', {
  version: 1,
  data: scope.extend({ period: z.string(), runId: z.string() }),
});

export const usageEvents = [usageRunReserved, usageDeployRecorded] as const;
export type UsageEvent = EventOf<(typeof usageEvents)[number]>;

/** A key selects its workspace. Only a SHA-256 of it is kept. */
export const apiKeyCreated = defineEvent('api_key.created', {
  version: 1,
  data: scope.extend({ keyId: z.string(), prefix: z.string(), hash: z.string(), name: z.string() }),
});

export const apiKeyRevoked = defineEvent('api_key.revoked', {
  version: 1,
  data: scope.extend({ keyId: z.string(), prefix: z.string() }),
});

export const apiKeyEvents = [apiKeyCreated, apiKeyRevoked] as const;
export type ApiKeyEvent = EventOf<(typeof apiKeyEvents)[number]>;
