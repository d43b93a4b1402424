import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import type { RunEvent } from '../../contracts/hypershift/run.events.js';
import type { Job } from '../../src/kernel/ports/work-queue.js';
import { roles } from '../../src/kernel/settings.js';
import { Luck, report, scaled } from '../support/fault-scale.js';
import { Fleet, LEASE_MS, type FleetAccount } from './fleet.js';
import { Load } from './load.js';

const KILLS = scaled(1, 20);
/** Much longer than a lease: whoever sleeps so long has lost all that it held. */
const FROZEN_MS = scaled(3 * LEASE_MS, 60_000);
/** A client that is not answered by then asks elsewhere; what it asked first may still be carried out. */
const ANSWER_LIMIT_MS = 4_000;
const PIPELINE = 'hypershift.pipeline';
/** A deployment is checked through an API process, and one that is frozen does not answer. */
const WITHOUT_DEPLOYMENTS = ['slow 20', 'slow 50', 'veto', 'plain'];

describe('processes of a fleet under a load of runs', () => {
  const luck = new Luck();
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.open({ answerLimitMs: ANSWER_LIMIT_MS });
  }, 120_000);
  afterAll(() => fleet.close(), 60_000);

  function tell(fault: number, what: string, account: FleetAccount): void {
    const { problems, ...counted } = account;
    report(fault, { what: `${what},`, seed: luck.seed, ...counted, problems: problems.length });
  }

  const deaths = (): number => fleet.all.reduce((sum, process) => sum + process.deaths, 0);

  it('kill -9 of processes of each role at any moment loses nothing, and does nothing twice', async () => {
    const load = new Load(fleet.client, luck, 'kill');
    for (let round = 0; round < KILLS; round++) {
      for (const role of roles) {
        await load.goesOn(`before a kill of ${role}`, 2);
        const victim = luck.pick(fleet.processes[role]);
        await victim.ready();
        // Not to wait for something, but to fail at any moment.
        await pause(luck.number(300));
        await victim.kill();
        await load.goesOn(`after a kill of ${role}`, 2);
      }
    }
    await load.stop();
    const account = await fleet.settle();
    tell(1, `kills ${deaths()}`, account);
    expect(account.problems).toEqual([]);
    expect(deaths()).toBe(KILLS * roles.length);
  }, 600_000);

  it('kill -9 of all processes at once loses nothing, and does nothing twice', async () => {
    const before = deaths();
    const load = new Load(fleet.client, luck, 'kill-all');
    await load.goesOn('before all are killed');
    await Promise.all(fleet.all.map((process) => process.kill()));
    await load.goesOn('after all were killed');
    await load.stop();
    const account = await fleet.settle();
    tell(1, `kills of all processes ${deaths() - before}`, account);
    expect(account.problems).toEqual([]);
    expect(deaths() - before).toBe(fleet.all.length);
  }, 300_000);

  it('a frozen process of any role that wakes up after its leases have ended does no harm', async () => {
    const load = new Load(fleet.client, luck, 'freeze', { descriptions: WITHOUT_DEPLOYMENTS });
    for (const role of roles) {
      await load.goesOn(`before a freeze of ${role}`, 2);
      const victim = luck.pick(fleet.processes[role]);
      fleet.freeze(victim);
      // Not to wait for something: this is how long it is frozen.
      await pause(FROZEN_MS);
      await load.goesOn(`while ${role} is frozen`);
      fleet.thaw(victim);
      await load.goesOn(`after ${role} has woken up`);
    }
    await load.stop();
    // A worker may have begun a step just when it froze, and executes it although another has done so meanwhile.
    const account = await fleet.settle({ timed: false });
    tell(2, `freezes ${roles.length}`, account);
    expect(account.problems).toEqual([]);
  }, 600_000);

  it('jobs that are delivered two to five times, in any order, before and after their time, do what one does', async () => {
    const watch = await fleet.watch();
    const { queue } = watch.ports;
    let deliveries = 0;
    const jobs: Job[] = [];
    let looked = (await watch.events()).length;
    /** Puts further jobs for every run that was created, started or approved since the last look, in any order. */
    const deliver = async (): Promise<void> => {
      const events = await watch.events();
      const copies: Job[] = [];
      for (const event of events.slice(looked)) {
        if (!['run.created', 'run.started', 'run.approved'].includes(event.type)) continue;
        const { runId: group } = JSON.parse(event.data) as RunEvent['data'];
        const job = { id: event.id, kind: PIPELINE, group, payload: {} };
        if (event.type !== 'run.created') jobs.push(job);
        for (let copy = luck.whole(1, 4); copy > 0; copy--) copies.push({ ...job, id: `${event.id} again ${copy}` });
      }
      looked = events.length;
      deliveries += copies.length;
      await queue.put(luck.sample(copies, copies.length).sort(() => luck.number(2) - 1));
    };
    const load = new Load(fleet.client, luck, 'again');
    const until = load.done + scaled(12, 200);
    while (load.done < until) {
      await load.goesOn('with jobs delivered again', 1);
      await deliver();
    }
    await load.stop();
    await deliver();
    const first = await fleet.settle({ timed: false });
    // The queue has forgotten them by now, as a real one does after a while: each comes once more, the last one first.
    await queue.put(jobs.toReversed());
    deliveries += jobs.length;
    const account = await fleet.settle({ timed: false });
    tell(6, `jobs ${jobs.length}, deliveries beside them ${deliveries}`, account);
    expect(first.problems).toEqual([]);
    expect(account.problems).toEqual([]);
    expect(account.runs).toBe(first.runs);
    expect(account.executions).toBe(first.executions);
    expect(deliveries).toBeGreaterThan(jobs.length);
  }, 300_000);

  it('at the end every process stops in peace, and its checkpoints vouch for the whole log', async () => {
    const account = await fleet.end({ timed: false });
    tell(19, 'all of these', account);
    expect(account.problems).toEqual([]);
    expect(account.checkpoints).toBeGreaterThan(0);
  }, 120_000);
});
