import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { UsageEvent } from '../../../../contracts/hypershift/workspace.events.js';
import { BEFORE, given } from '../../../../test/support/given.js';
import { runRequest } from '../../../../test/support/hypershift-events.js';
import { Refused } from '../../../kernel/errors.js';
import { usageDecider, type UsageCommand } from './usage.decider.js';

const period = '2026-01-01';
const scope = { system: 'hypershift', tenant: 'ws-acme', period } as const;
const reserved = (number: number): UsageEvent => ({
  type: 'usage.run_reserved',
  data: { ...scope, runId: `req-${number}`, number, run: runRequest() },
});
const reserve = (runId: string, limit = 10): UsageCommand => ({
  type: 'reserve',
  tenant: 'ws-acme',
  period,
  runId,
  limit,
  run: runRequest(),
});
const deploy: UsageCommand = { type: 'recordDeploy', tenant: 'ws-acme', period, runId: 'req-1' };
const deployed: UsageEvent = { type: 'usage.deploy_recorded', data: { ...scope, runId: 'req-1' } };
const ten = Array.from({ length: 10 }, (_, index) => reserved(index + 1));

describe("a workspace's month", () => {
  it('numbers the runs that it lets through', () => {
    given(usageDecider).when(reserve('req-1')).gives(reserved(1));
    given(usageDecider, reserved(1)).when(reserve('req-2')).gives(reserved(2));
  });

  it('refuses an eleventh run, and says how many there were and are allowed', () => {
    given(usageDecider, ...ten)
      .when(reserve('req-11'))
      .refuses('limit_exceeded', 'Run limit exceeded for this period', { current: 10, limit: 10, period });
  });

  it('goes by the limit of the moment: more after an upgrade, none after a downgrade', () => {
    given(usageDecider, ...ten)
      .when(reserve('req-11', 1_000))
      .gives(reserved(11));
    given(usageDecider, ...ten, reserved(11))
      .when(reserve('req-12', 10))
      .refuses('limit_exceeded', undefined, { current: 11, limit: 10, period });
  });

  it('lets a run through again that it has let through, also when the month is full', () => {
    given(usageDecider, ...ten)
      .when(reserve('req-3'))
      .changesNothing();
  });

  it('counts a deployment once', () => {
    given(usageDecider, reserved(1)).when(deploy).gives(deployed);
    given(usageDecider, reserved(1), deployed).when(deploy).changesNothing();
  });

  it('lets exactly as many different runs through as are allowed, whatever is asked and asked again', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(15), { maxLength: 60 }), fc.integer({ min: 1, max: 10 }), (asked, limit) => {
        let state = usageDecider.initial;
        for (const run of asked) {
          try {
            const events = usageDecider.decide(reserve(`req-${run}`, limit), state, BEFORE);
            for (const event of events) state = usageDecider.evolve(state, event, BEFORE);
          } catch (error) {
            if (!(error instanceof Refused)) throw error;
          }
        }
        expect(state.reserved).toHaveLength(Math.min(limit, new Set(asked).size));
        expect(new Set(state.reserved).size).toBe(state.reserved.length);
      }),
    );
  });
});
