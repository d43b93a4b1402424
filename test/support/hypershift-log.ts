import fc from 'fast-check';
import { stepNames } from '../../contracts/hypershift/run.events.js';
import type { EventCatalog } from '../../src/kernel/event-catalog.js';
import type { StoredEvent } from '../../src/kernel/ports/event-log.js';
import {
  apiKeyStream,
  periodOf,
  runStream,
  usageStream,
  workspaceStream,
} from '../../src/systems/hypershift/hypershift.streams.js';
import { apiKeyDecider } from '../../src/systems/hypershift/keys/api-key.decider.js';
import { runDecider, type RunCommand } from '../../src/systems/hypershift/runs/run.decider.js';
import { usageDecider } from '../../src/systems/hypershift/workspaces/usage.decider.js';
import { workspaceDecider } from '../../src/systems/hypershift/workspaces/workspace.decider.js';
import { GeneratedLog } from './generated-log.js';

const tenant = fc.constantFrom('ws-default', '$ws', 'ws ü/1');
const runId = fc.constantFrom('req-1-aaaaaaaa', 'req-2-bbbbbbbb', 'req-3-cccccccc');
const text = fc.string({ maxLength: 8 });

const request = fc.record({
  userIntent: fc.record({ description: text, target: text, constraints: text }, { requiredKeys: ['description'] }),
  codename: fc.option(text),
  tags: fc.uniqueArray(text, { maxLength: 3 }),
  requireApproval: fc.boolean(),
  createdBy: fc.option(text),
  replayOf: fc.option(fc.constant('req-0-00000000')),
});
const output = fc.oneof(
  fc.record({ veto: fc.boolean(), findings: fc.array(fc.jsonValue({ maxDepth: 1 }), { maxLength: 2 }) }),
  fc.jsonValue({ maxDepth: 2 }),
);

/** One thing that somebody or something does. */
const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('ask' as const), tenant, runId, run: request }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('start' as const), runId }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('work' as const),
      runId,
      output,
      thenBegin: fc.boolean(),
      outside: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('approve' as const, 'reject' as const), runId, by: text }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('fail' as const, 'publish' as const, 'rollBack' as const),
      runId,
      text,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('feedback' as const), runId, useful: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('workspace' as const), tenant, name: text }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('tier' as const),
      tenant,
      tier: fc.constantFrom('free' as const, 'pro' as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('key' as const, 'revoke' as const),
      tenant,
      prefix: fc.constantFrom('hs_a', 'hs_b'),
    }),
  },
);
type Action = typeof action extends fc.Arbitrary<infer Value> ? Value : never;

/** A log as HyperShift could have written it: any order of actions, as far as they are accepted. */
export function hypershiftLog(catalog: EventCatalog): fc.Arbitrary<readonly StoredEvent[]> {
  const step = fc.record({ action, pauseMs: fc.nat(3_600_000 * 12) });
  return fc.array(step, { minLength: 1, maxLength: 120, size: 'max' }).map((steps) => {
    const log = new GeneratedLog(catalog);
    for (const { action: next, pauseMs } of steps) {
      log.pass(pauseMs);
      carryOut(log, next);
    }
    return log.events;
  });
}

function carryOut(log: GeneratedLog, next: Action): void {
  const period = periodOf(Date.parse(log.at));
  const change = (id: string, command: RunCommand): boolean => log.command(runDecider, runStream(id), command);
  switch (next.do) {
    case 'ask': {
      const reserve = {
        type: 'reserve',
        tenant: next.tenant,
        period,
        runId: next.runId,
        limit: 3,
        run: next.run,
      } as const;
      if (!log.command(usageDecider, usageStream(next.tenant, period), reserve)) return;
      const number = numberOf(log, usageStream(next.tenant, period), next.runId);
      const scope = { system: 'hypershift', tenant: next.tenant, runId: next.runId } as const;
      change(next.runId, { type: 'create', scope, number, run: next.run });
      return;
    }
    case 'start':
      change(next.runId, { type: 'start' });
      return;
    case 'work':
      work(log, next);
      return;
    case 'approve':
    case 'reject':
      change(next.runId, { type: next.do, by: next.by });
      return;
    case 'fail':
    case 'publish': {
      const state = log.state(runDecider, runStream(next.runId));
      const { attempt, step } =
        state.status === 'absent'
          ? { attempt: 1, step: undefined }
          : { attempt: state.attempt, step: stepNames[state.index - 1] };
      const failing = step === undefined || step === 'sre' ? 'deploy' : step;
      if (next.do === 'fail') change(next.runId, { type: 'failStep', step: failing, attempt, error: next.text });
      else change(next.runId, { type: 'publish', attempt, url: `http://host/${encodeURIComponent(next.text)}` });
      return;
    }
    case 'rollBack':
      change(next.runId, { type: 'rollBack', by: next.text });
      return;
    case 'feedback':
      change(next.runId, { type: 'giveFeedback', useful: next.useful });
      return;
    case 'workspace':
      log.command(workspaceDecider, workspaceStream(next.tenant), {
        type: 'create',
        tenant: next.tenant,
        name: next.name,
        implicit: false,
      });
      return;
    case 'tier':
      log.command(workspaceDecider, workspaceStream(next.tenant), { type: 'changeTier', tier: next.tier });
      return;
    case 'key': {
      const key = { tenant: next.tenant, keyId: `id-${next.prefix}`, prefix: next.prefix, hash: 'h', name: 'n' };
      log.command(apiKeyDecider, apiKeyStream(next.prefix), { type: 'create', ...key });
      return;
    }
    case 'revoke':
      log.command(apiKeyDecider, apiKeyStream(next.prefix), { type: 'revoke', tenant: next.tenant });
      return;
  }
}

/** What a worker does next: it begins the step in hand, or reports it; a deployment that came through is counted. */
function work(log: GeneratedLog, { runId: id, output: result, ...how }: Extract<Action, { do: 'work' }>): void {
  const { thenBegin, outside } = how;
  const stream = runStream(id);
  const state = log.state(runDecider, stream);
  if (state.status === 'absent') return;
  const step = stepNames[state.index - 1];
  const offers = outside && step ? [step] : [];
  if (state.offered && step && (outside || state.attempt === 0))
    log.command(runDecider, stream, { type: 'takeStep', step, index: state.index });
  else if (state.attempt === 0 || !step) log.command(runDecider, stream, { type: 'beginStep', offers });
  else {
    if (step === 'sre' && thenBegin)
      log.command(runDecider, stream, { type: 'publish', attempt: state.attempt, url: 'http://host/site' });
    const report = { type: 'completeStep', step, attempt: state.attempt, output: result, thenBegin, offers } as const;
    log.command(runDecider, stream, report);
  }
  const after = log.state(runDecider, stream);
  if (after.status !== 'over' || !after.completed) return;
  const { tenant: owner } = after.scope;
  const period = periodOf(Date.parse(log.at));
  log.command(usageDecider, usageStream(owner, period), { type: 'recordDeploy', tenant: owner, period, runId: id });
}

/** The number that the month's arbiter gave a run. */
function numberOf({ events }: GeneratedLog, stream: string, id: string): number {
  const reserved = events.filter((event) => event.stream === stream && event.type === 'usage.run_reserved');
  return reserved.findIndex(({ data }) => (JSON.parse(data) as { runId: string }).runId === id) + 1;
}
