import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { roles, type Role } from '../../src/kernel/settings.js';
import { REFUSED_FIRST } from '../faults/scenarios.js';
import { Luck, report } from '../support/fault-scale.js';
import { Fleet } from './fleet.js';
import { Load } from './load.js';

const HOUR_MS = 3_600_000;
const LEASE_MS = 6_000;
/** Of the second process of each role; the first one has the true time. */
const SKEWS: readonly number[] = [HOUR_MS, -HOUR_MS, 0];

describe('fault 17: clocks that differ by an hour, and jump', () => {
  const luck = new Luck();
  let fleet: Fleet;
  beforeAll(async () => {
    // Attempts are counted: no lease may end because a busy machine is late.
    fleet = await Fleet.open({ leaseMs: LEASE_MS });
  }, 120_000);
  afterAll(() => fleet.close(), 60_000);

  const durations = (text: string): number[] =>
    Array.from(text.matchAll(/"(?:durationMs|duration_ms)":(-?[\d.]+)/g), ([, number]) => Number(number));

  it('in one process of each role change no order, end no lease early, and give no negative duration', async () => {
    const descriptions = ['slow 20', 'veto', 'deploy a page', REFUSED_FIRST];
    const load = new Load(fleet.client, luck, 'skewed', { descriptions });
    let jumps = 0;
    for (const skew of SKEWS) {
      for (const role of roles) {
        // Each role jumps while the others stand: what one has written the others read.
        await load.goesOn(`before ${role} jumps to ${skew} ms`, 2);
        await fleet.processes[role][1]?.shift(role === 'projector' || role === 'worker' ? -skew : skew);
        jumps += 1;
      }
      await load.goesOn(`with all of them at ${skew} ms`, 8);
      // Who takes over reads what the others have written by their clocks: when to send again, what has been open for long.
      for (const role of ['dispatcher', 'worker'] satisfies Role[]) await fleet.processes[role][jumps % 2]?.kill();
    }
    await load.stop();
    const account = await fleet.settle({ timed: false });
    const events = await (await fleet.watch()).events();
    const attempts = events.filter(({ type, data }) => type === 'step.started' && !data.includes('"attempt":1'));
    const negative = [...events.map(({ data }) => data), ...fleet.receiver.received.map(({ body }) => body)]
      .flatMap(durations)
      .filter((duration) => duration < 0);
    const { problems, ...counted } = account;
    report(17, {
      seed: luck.seed,
      jumps,
      'lease ms': LEASE_MS,
      ...counted,
      'steps begun again': attempts.length,
      problems: problems.length,
    });
    expect(problems).toEqual([]);
    expect(negative).toEqual([]);
    // A lease that ended early would give a step to a second worker; only those of workers that died are begun again.
    const busyWhenKilled = SKEWS.length * 4;
    expect(attempts.length).toBeLessThanOrEqual(busyWhenKilled);
    expect(events.some(({ type }) => type === 'webhook.attempt_failed')).toBe(true);
  }, 300_000);
});
