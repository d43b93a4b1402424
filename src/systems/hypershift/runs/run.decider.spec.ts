import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { RunEvent } from '../../../../contracts/hypershift/run.events.js';
import { BEFORE, given } from '../../../../test/support/given.js';
import { runEvent, runRequest, scope } from '../../../../test/support/hypershift-events.js';
import { Refused } from '../../../kernel/errors.js';
import { stepNames } from '../agents/step-agent.js';
import { runDecider, type RunCommand, type RunState } from './run.decider.js';

const created = runEvent('run.created');
const gated = runEvent('run.created', { requireApproval: true });
const started = runEvent('run.started');

/** What the log holds after the first `count` steps, each tried once. */
function steps(count: number): RunEvent[] {
  return stepNames.slice(0, count).flatMap((step, before) => {
    const index = before + 1;
    return [
      runEvent('step.started', { step, index }),
      runEvent('step.completed', { step, index, output: step === 'sentinel' ? { veto: false } : { by: step } }),
    ];
  });
}

/** The first step, left to workers from outside. */
const offer = runEvent('step.offered');
const begun = (count: number): RunEvent =>
  runEvent('step.started', { step: stepNames[count - 1] ?? 'finops', index: count });
const report = (step: (typeof stepNames)[number], output: unknown = {}, attempt = 1): RunCommand => ({
  type: 'completeStep',
  step,
  attempt,
  output,
  thenBegin: false,
});

const waiting = [gated, started, ...steps(3), runEvent('run.awaiting_approval')];
const approved = [...waiting, runEvent('run.approved')];

describe('a run', () => {
  it('is created once', () => {
    const create: RunCommand = { type: 'create', scope, number: 1, run: runRequest() };
    given(runDecider).when(create).gives(created);
    given(runDecider, created).when(create).changesNothing();
  });

  it('that repeats another starts as it is created, in the name of who asked', () => {
    const run = runRequest({ replayOf: 'req-old-1', createdBy: 'ann' });
    given(runDecider)
      .when({ type: 'create', scope, number: 3, run })
      .gives(runEvent('run.created', { ...run, number: 3 }), runEvent('run.started', { by: 'ann' }));
  });

  it('is started in the name of its creator', () => {
    given(runDecider, runEvent('run.created', { createdBy: 'ann' }))
      .when({ type: 'start' })
      .gives(runEvent('run.started', { by: 'ann' }));
  });
});

describe('a step that is left to workers from outside', () => {
  const offers = ['builder'] as const;

  it('is offered where it would have been begun', () => {
    given(runDecider, created, started, ...steps(1))
      .when({ type: 'beginStep', offers })
      .gives(runEvent('step.offered', { step: 'builder', index: 2 }));
    given(runDecider, created, started, begun(1))
      .when({ ...report('architect'), thenBegin: true, offers } as RunCommand)
      .givesTypes('step.completed', 'step.offered');
  });

  it('is another attempt each time that it is taken, and the latest alone is heard', () => {
    const again = runEvent('step.started', { step: 'architect', index: 1, attempt: 2 });
    given(runDecider, created, started, offer, begun(1))
      .when({ type: 'takeStep', step: 'architect', index: 1 })
      .gives(again);
    const taken = given(runDecider, created, started, offer, begun(1), again);
    taken.when(report('architect', {}, 1)).changesNothing();
    taken.when(report('architect', {}, 2)).givesTypes('step.completed', 'step.returned');
  });

  it('cannot be taken once the run has gone on', () => {
    given(runDecider, created, started, offer, ...steps(1), runEvent('step.offered', { step: 'builder', index: 2 }))
      .when({ type: 'takeStep', step: 'architect', index: 1 })
      .changesNothing();
  });
});

describe('a running run', () => {
  it('counts the tries at a step', () => {
    const running = given(runDecider, created, started);
    running.when({ type: 'beginStep' }).gives(begun(1));
    given(runDecider, created, started, begun(1))
      .when({ type: 'beginStep' })
      .gives(runEvent('step.started', { attempt: 2 }));
  });

  it('goes on to the next step with the same worker when that is wanted', () => {
    const command = { ...report('architect', { plan: 1 }), thenBegin: true } as RunCommand;
    given(runDecider, created, started, begun(1))
      .when(command)
      .gives(runEvent('step.completed', { output: { plan: 1 } }), begun(2));
  });

  it('ignores reports of an attempt that was given up, of another step, and of a step nobody began', () => {
    const second = given(runDecider, created, started, begun(1), runEvent('step.started', { attempt: 2 }));
    second.when(report('architect')).changesNothing();
    second.when({ type: 'failStep', step: 'architect', attempt: 1, error: 'late' }).changesNothing();
    second.when({ type: 'publish', attempt: 1, url: 'http://late/' }).changesNothing();
    second.when(report('builder', {}, 2)).changesNothing();
    given(runDecider, created, started)
      .when(report('architect', {}, 0))
      .changesNothing();
  });

  it('ignores what a given-up attempt of an earlier step tells, though the step in hand has an attempt of that number', () => {
    const next = given(runDecider, created, started, ...steps(2), begun(3));
    next.when({ type: 'failStep', step: 'builder', attempt: 1, error: 'late' }).changesNothing();
    next.when({ type: 'failStep', step: 'deploy', attempt: 1, error: 'late' }).changesNothing();
    next.when({ type: 'publish', attempt: 1, url: 'http://late/' }).changesNothing();
    given(runDecider, created, started, ...steps(4), begun(5))
      .when({ type: 'publish', attempt: 1, url: 'http://late/' })
      .changesNothing();
  });

  it('fails in the step in hand, with the time since its start', () => {
    given(runDecider, created, started, ...steps(3), begun(4))
      .when({ type: 'failStep', step: 'deploy', attempt: 1, error: 'The build lacks out/index.html' })
      .gives(
        runEvent('run.failed', { failedStep: 'deploy', error: 'The build lacks out/index.html', durationMs: 1_500 }),
      );
  });

  it('has a duration of zero when the clock was set back', () => {
    given(runDecider, created, started, begun(1))
      .when({ type: 'failStep', step: 'architect', attempt: 1, error: 'x' }, '2025-12-31T23:00:00.000Z')
      .gives(runEvent('run.failed', { failedStep: 'architect', error: 'x', durationMs: 0 }));
  });
});

describe('the gate behind Sentinel', () => {
  const judged = (veto: unknown): RunCommand => report('sentinel', { veto, findings: [{}, {}] });

  it('is shut by a veto, whether approval is needed or not', () => {
    for (const first of [created, gated]) {
      given(runDecider, first, started, ...steps(2), begun(3))
        .when(judged(true))
        .gives(
          runEvent('step.completed', { step: 'sentinel', index: 3, output: { veto: true, findings: [{}, {}] } }),
          runEvent('run.blocked', { findings: 2 }),
        );
    }
  });

  it('is shut by true alone: nothing that only looks like it vetoes', () => {
    for (const veto of [false, 'true', 1, null, undefined]) {
      given(runDecider, created, started, ...steps(2), begun(3))
        .when(judged(veto))
        .givesTypes('step.completed');
    }
    for (const output of ['veto', null, [true], 7]) {
      given(runDecider, created, started, ...steps(2), begun(3))
        .when(report('sentinel', output))
        .givesTypes('step.completed');
    }
  });

  it('waits for a human where that was asked for', () => {
    given(runDecider, gated, started, ...steps(2), begun(3))
      .when({ ...judged(false), thenBegin: true } as RunCommand)
      .givesTypes('step.completed', 'run.awaiting_approval');
  });

  it('opens once, by whoever comes first', () => {
    given(runDecider, ...waiting)
      .when({ type: 'approve', by: 'bob' })
      .gives(runEvent('run.approved', { by: 'bob' }));
    const open = given(runDecider, ...approved);
    open.when({ type: 'approve', by: 'cid' }).refuses('conflict', 'Run is not awaiting approval');
    open.when({ type: 'reject', by: 'cid' }).refuses('conflict', 'Run is not awaiting approval');
  });

  it('is shut for good by a rejection, and the waiting counts', () => {
    given(runDecider, ...waiting)
      .when({ type: 'reject', by: 'bob' })
      .gives(runEvent('run.rejected', { by: 'bob', durationMs: 1_500 }));
  });

  it('lets the pipeline go on at SRE', () => {
    given(runDecider, ...approved)
      .when({ type: 'beginStep' })
      .gives(begun(4));
  });
});

describe('the end of a run', () => {
  const last = [created, started, ...steps(3), begun(4)];

  it('names the deployment, which succeeded with it', () => {
    const published = [
      ...last,
      runEvent('deploy.published', { url: 'http://host/d/' }),
      ...steps(4).slice(-1),
      begun(5),
    ];
    given(runDecider, ...published)
      .when(report('finops', { cost: 1 }))
      .gives(
        runEvent('step.completed', { step: 'finops', index: 5, output: { cost: 1 } }),
        runEvent('run.completed', { deploymentUrl: 'http://host/d/', durationMs: 1_500 }),
        runEvent('deploy.succeeded', { deploymentUrl: 'http://host/d/' }),
      );
  });

  it('tells of no deployment where there is none', () => {
    given(runDecider, created, started, ...steps(4), begun(5))
      .when(report('finops', { cost: 1 }))
      .gives(
        runEvent('step.completed', { step: 'finops', index: 5, output: { cost: 1 } }),
        runEvent('run.completed', { deploymentUrl: null, durationMs: 1_500 }),
      );
  });

  it('has one deployment, whoever publishes again', () => {
    given(runDecider, ...last, runEvent('deploy.published'))
      .when({ type: 'publish', attempt: 1, url: 'http://other/' })
      .changesNothing();
  });
});

/** HyperShift API, state machines: a refusal's text, the events' types, or nothing. */
const NOT_FOUND = 'Run not found';
const NOT_PENDING = 'Run is not pending';
const NOT_WAITING = 'Run is not awaiting approval';
const NOTHING: string[] = [];
const COMPLETED = [...steps(5), runEvent('run.completed')];
const states: Record<string, RunEvent[]> = {
  absent: [],
  pending: [created],
  running: [created, started, begun(1)],
  waiting,
  'approved, before SRE': approved,
  'approved, in SRE': [...approved, begun(4)],
  rejected: [...waiting, runEvent('run.rejected')],
  offered: [created, started, offer],
  'offered, and taken': [created, started, offer, begun(1)],
  vetoed: [gated, started, ...steps(3), runEvent('run.blocked')],
  failed: [created, started, begun(1), runEvent('run.failed')],
  completed: [created, started, ...COMPLETED],
};
const running = { start: NOT_PENDING, approve: NOT_WAITING, reject: NOT_WAITING, takeStep: NOTHING };
const over = { ...running, beginStep: NOTHING, completeStep: NOTHING, failStep: NOTHING, publish: NOTHING };
const table: Record<string, Partial<Record<RunCommand['type'], string | string[]>>> = {
  absent: {
    create: ['run.created'],
    start: NOT_FOUND,
    approve: NOT_FOUND,
    reject: NOT_FOUND,
    beginStep: NOT_FOUND,
    takeStep: NOT_FOUND,
    completeStep: NOT_FOUND,
    failStep: NOT_FOUND,
    publish: NOT_FOUND,
    rollBack: NOT_FOUND,
    giveFeedback: NOT_FOUND,
  },
  pending: { ...over, start: ['run.started'] },
  running: {
    ...running,
    beginStep: ['step.started'],
    completeStep: ['step.completed'],
    failStep: ['run.failed'],
    publish: NOTHING,
  },
  waiting: { ...over, approve: ['run.approved'], reject: ['run.rejected'] },
  'approved, before SRE': { ...over, beginStep: ['step.started'] },
  'approved, in SRE': {
    ...running,
    beginStep: ['step.started'],
    completeStep: ['step.completed'],
    failStep: ['run.failed'],
    publish: ['deploy.published'],
  },
  offered: { ...over, takeStep: ['step.started'] },
  'offered, and taken': {
    ...running,
    beginStep: NOTHING,
    takeStep: ['step.started'],
    completeStep: ['step.completed', 'step.returned'],
    failStep: ['run.failed'],
    publish: NOTHING,
  },
  rejected: over,
  vetoed: over,
  failed: over,
  completed: over,
};

/** Every kind of command, as the step in hand would send it. */
function commandsIn(state: RunState): RunCommand[] {
  const index = state.status === 'absent' ? 1 : Math.max(1, state.index);
  const step = stepNames[index - 1] ?? 'finops';
  return [
    { type: 'create', scope, number: 1, run: runRequest() },
    { type: 'start' },
    { type: 'approve', by: 'ann' },
    { type: 'reject', by: 'ann' },
    { type: 'beginStep' },
    { type: 'takeStep', step, index },
    report(step),
    { type: 'failStep', step, attempt: 1, error: 'x' },
    { type: 'publish', attempt: 1, url: 'http://host/' },
    { type: 'rollBack', by: null },
    { type: 'giveFeedback', useful: true },
  ];
}

describe.each(Object.keys(states))('every command on a run that is %s', (name) => {
  const before = given(runDecider, ...(states[name] ?? []));
  const always = { create: NOTHING, rollBack: ['rollback.executed'], giveFeedback: ['feedback.recorded'] };

  it.each(commandsIn(before.state).map((command) => [command.type, command] as const))('%s', (type, command) => {
    const expected = { ...always, ...table[name] }[type];
    const answer = before.when(command);
    if (typeof expected === 'string') {
      answer.refuses(expected === NOT_FOUND ? 'not_found' : 'conflict', expected);
      return;
    }
    expect(expected).toBeDefined();
    answer.givesTypes(...(expected ?? []));
  });
});

describe('any history', () => {
  const anyCommand = fc.oneof(
    fc.boolean().map((requireApproval): RunCommand => {
      return { type: 'create', scope, number: 1, run: runRequest({ requireApproval }) };
    }),
    fc.constantFrom<RunCommand>(
      { type: 'start' },
      { type: 'beginStep' },
      { type: 'beginStep', offers: ['architect', 'sentinel', 'finops'] },
      { type: 'takeStep', step: 'architect', index: 1 },
      { type: 'approve', by: 'ann' },
      { type: 'reject', by: 'bob' },
      { type: 'rollBack', by: null },
      { type: 'giveFeedback', useful: false },
      { type: 'publish', attempt: 1, url: 'http://host/' },
    ),
    fc.record({
      type: fc.constant('completeStep' as const),
      step: fc.constantFrom(...stepNames),
      attempt: fc.integer({ min: 1, max: 2 }),
      output: fc.oneof(fc.jsonValue(), fc.record({ veto: fc.boolean() })),
      thenBegin: fc.boolean(),
    }),
    fc.record({
      type: fc.constant('failStep' as const),
      step: fc.constantFrom(...stepNames),
      attempt: fc.integer({ min: 1, max: 2 }),
      error: fc.string(),
    }),
  );

  it('replays from its JSON to the state that it produced, and ends at most once', () => {
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 60 }), (commands) => {
        const log: { event: RunEvent; at: string }[] = [];
        let state: RunState = runDecider.initial;
        commands.forEach((command, index) => {
          const at = new Date(Date.parse(BEFORE) + index * 10).toISOString();
          try {
            for (const event of runDecider.decide(command, state, at)) {
              state = runDecider.evolve(state, event, at);
              log.push({ event, at });
            }
          } catch (error) {
            if (!(error instanceof Refused)) throw error;
          }
        });
        const stored = JSON.parse(JSON.stringify(log)) as typeof log;
        const replayed = stored.reduce<RunState>(
          (before, { event, at }) => runDecider.evolve(before, event, at),
          runDecider.initial,
        );
        expect(replayed).toEqual(JSON.parse(JSON.stringify(state)));
        const ends = log.filter(({ event }) =>
          ['run.completed', 'run.failed', 'run.blocked', 'run.rejected'].includes(event.type),
        );
        expect(ends.length).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('knows when it was started', () => {
    const { state } = given(runDecider, created, started);
    expect(state).toMatchObject({ status: 'running', startedAt: BEFORE, index: 1, attempt: 0 });
  });
});
