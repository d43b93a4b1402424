import type { RunEvent, RunRequest } from '../../contracts/hypershift/run.events.js';
import { BEFORE } from './given.js';
import type { DomainEvent, Recorded } from '../../src/kernel/event-catalog.js';
import type { View } from '../../src/kernel/views/view.js';

type DataOf<Type extends RunEvent['type']> = Extract<RunEvent, { type: Type }>['data'];

export const scope = { system: 'hypershift', tenant: 'ws-acme', runId: 'req-abc-12345678' } as const;

/** What a run is asked for with. */
export function runRequest(changes: Partial<RunRequest> = {}): RunRequest {
  return {
    userIntent: { description: 'Deploy a Next.js app' },
    codename: null,
    tags: [],
    requireApproval: false,
    createdBy: null,
    replayOf: null,
    ...changes,
  };
}

const defaults: { readonly [Type in RunEvent['type']]: Omit<DataOf<Type>, keyof typeof scope> } = {
  'run.created': { ...runRequest(), number: 1 },
  'run.started': { by: null },
  'step.offered': { step: 'architect', index: 1 },
  'step.returned': { step: 'architect', index: 1 },
  'step.started': { step: 'architect', index: 1, attempt: 1 },
  'step.completed': { step: 'architect', index: 1, output: { plan: 'small' } },
  'run.awaiting_approval': {},
  'run.approved': { by: 'ann' },
  'run.rejected': { by: 'ann', durationMs: 1_500 },
  'run.blocked': { reason: 'sentinel_veto', findings: 1, durationMs: 1_500 },
  'deploy.published': { url: 'http://host/deployments/req-abc-12345678/' },
  'run.completed': { deploymentUrl: 'http://host/deployments/req-abc-12345678/', durationMs: 1_500 },
  'deploy.succeeded': { deploymentUrl: 'http://host/deployments/req-abc-12345678/' },
  'run.failed': { error: 'Agent /builder returned 500', failedStep: 'builder', durationMs: 1_500 },
  'rollback.executed': { by: null },
  'feedback.recorded': {},
};

/** An event of one run, true to the contract; a test names only what it is about. */
export function runEvent<Type extends RunEvent['type']>(
  type: Type,
  changes: Partial<DataOf<Type>> = {},
): Extract<RunEvent, { type: Type }> {
  return { type, data: { ...scope, ...defaults[type], ...changes } } as unknown as Extract<RunEvent, { type: Type }>;
}

/** Events as the log has them: one stream, one second apart. */
export function recorded<Event extends DomainEvent>(
  events: readonly Event[],
  { actor = null }: { readonly actor?: string | null } = {},
): Recorded<Event>[] {
  return events.map((event, revision) => ({
    id: `01900000-0000-7000-8000-${String(revision).padStart(12, '0')}`,
    stream: 'hypershift.run-req-abc-12345678',
    revision,
    position: revision + 1,
    event,
    at: at(revision),
    actor,
    correlationId: 'a-test',
  }));
}

/** When the event with that index was recorded. */
export function at(index: number): string {
  return new Date(Date.parse(BEFORE) + index * 1_000).toISOString();
}

/** The documents of a view after these events, in the order in which they first appeared. */
export function project<Doc extends object, Event extends DomainEvent>(
  view: View<Doc, Event>,
  log: readonly Recorded<Event>[],
): Doc[] {
  const documents = new Map<string, Doc | undefined>();
  for (const each of log) {
    if (!view.types.includes(each.event.type)) continue;
    for (const key of view.keys(each)) {
      documents.set(key, view.evolve(documents.get(key), each, key) ?? undefined);
    }
  }
  return [...documents.values()].filter((doc) => doc !== undefined);
}
