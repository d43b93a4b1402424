import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Luck, report, scaled } from '../support/fault-scale.js';
import type { ServerProcess } from '../support/server-process.js';
import { until } from '../support/until.js';
import { WebhookApi } from '../support/webhook-api.js';
import { Fleet } from './fleet.js';
import { Load } from './load.js';
import { CONCURRENCY, Subscriber } from './subscriber.js';

const KILLS = scaled(1, 20);
/** What is sent is counted: no lease may end because a busy machine is late. */
const LEASE_MS = 6_000;
/** A deployment is checked through an API process, and takes its time: there is enough to tell without. */
const DESCRIPTIONS = ['slow 20', 'slow 50', 'veto', 'plain'];

describe('endpoints of /ledger/webhooks that two dispatchers share, under a load of runs', () => {
  const luck = new Luck();
  const subscribers: Subscriber[] = [];
  /** Endpoints that a process was telling when it was killed: it could not say that it ended. */
  const killed: string[] = [];
  /** What each process had logged when it was killed last: the next one begins after that. */
  const born = new Map<ServerProcess, number>();
  const tenants: string[] = [];
  let fleet: Fleet;
  let api: WebhookApi;
  let load: Load | undefined;
  beforeAll(async () => {
    const env = { WEBHOOK_ALLOW_CIDRS: '127.0.0.1', RUNLEDGER_LOG_LEVEL: 'info' };
    fleet = await Fleet.open({ leaseMs: LEASE_MS, env });
    api = new WebhookApi(fleet.processes.api[0]?.origin ?? '');
    for (const name of ['one', 'two']) {
      const { json } = await fleet.client.send({ method: 'POST', path: '/workspaces', body: { name } });
      tenants.push((json as { id: string }).id);
      const path = `/workspaces/${tenants.at(-1)}/tier`;
      expect((await fleet.client.send({ method: 'PATCH', path, body: { tier: 'pro' } })).status).toBe(200);
    }
    load = new Load(fleet.client, luck, 'told', { workspaces: tenants, descriptions: DESCRIPTIONS });
  }, 120_000);
  afterAll(async () => {
    await load?.stop().catch(() => undefined);
    for (const subscriber of subscribers) await subscriber.close();
    await fleet.close();
  }, 180_000);

  const join = async (tenant: string | undefined, ...types: string[]): Promise<Subscriber> => {
    const subscriber = await Subscriber.join(api, { tenant: tenant ?? '', types });
    subscribers.push(subscriber);
    return subscriber;
  };

  /** What a process says of a duty since it was started last, in order. */
  const said = (process: ServerProcess, { duty }: Subscriber): string[] =>
    process.lines
      .slice(born.get(process) ?? 0)
      .filter((line) => line.includes(`"duty":"${duty}"`))
      .flatMap((line) => /"msg":"duty (taken|left)"/.exec(line)?.[1] ?? []);

  /** The processes that hold the duty, as they see it themselves. */
  const holders = (subscriber: Subscriber): ServerProcess[] =>
    fleet.processes.dispatcher.filter((process) => said(process, subscriber).at(-1) === 'taken');

  const holderOf = (subscriber: Subscriber): Promise<ServerProcess> =>
    until('one process tells it', () => {
      const [holder, ...others] = holders(subscriber);
      return others.length === 0 && holder;
    });

  const ends = ({ duty, id }: Subscriber): number => {
    const left = fleet.processes.dispatcher
      .flatMap(({ lines }) => lines)
      .filter((line) => line.includes(`"duty":"${duty}"`) && line.includes('"msg":"duty left"'));
    return left.length + killed.filter((each) => each === id).length;
  };

  const goesOn = async (subscriber: Subscriber, when: string, more = 5): Promise<void> => {
    const goal = subscriber.arrived.length + more;
    await until(`${more} more deliveries come ${when}`, () => subscriber.arrived.length >= goal, 90_000);
  };

  it('are told as soon as they are created, each by one process', async () => {
    await load?.goesOn('before there are endpoints', 2);
    await join(tenants[0], 'run.*');
    await join(tenants[1], '*');
    await load?.goesOn('with two endpoints', 2);
    await join(tenants[0], '*');
    await join(tenants[1], 'step.*', 'run.*');
    for (const subscriber of subscribers) {
      await goesOn(subscriber, 'at first');
      await holderOf(subscriber);
      // Each event once, unless it was handed over from one process to another while it was being sent.
      if (ends(subscriber) === 0) expect([subscriber.id, subscriber.repeats]).toEqual([subscriber.id, 0]);
    }
  }, 300_000);

  it('kill -9 of who tells them, with deliveries under way, loses nothing: those come again', async () => {
    for (let round = 0; round < KILLS; round++) {
      const subscriber = luck.pick(subscribers);
      const victim = await holderOf(subscriber);
      await victim.ready();
      subscriber.hold();
      const before = subscriber.arrived.length;
      await until('something is under way', () => subscriber.arrived.length > before, 90_000);
      // Nobody has answered these: as far as the log knows, they were never sent.
      const cutOff = subscriber.arrived.slice(before).map(({ id }) => id);
      killed.push(...subscribers.filter((each) => holders(each).includes(victim)).map(({ id }) => id));
      await victim.kill();
      born.set(victim, victim.lines.length);
      subscriber.answer();
      const arrivals = (id: string): number => subscriber.arrived.filter((each) => each.id === id).length;
      await until('they come again', () => cutOff.every((id) => arrivals(id) > 1), 90_000);
      await goesOn(subscriber, 'after the kill');
      await holderOf(subscriber);
    }
  }, 600_000);

  it('a frozen process that wakes up tells nothing that another has told', async () => {
    const subscriber = luck.pick(subscribers);
    const victim = await holderOf(subscriber);
    fleet.freeze(victim);
    const others = fleet.processes.dispatcher.filter((process) => process !== victim);
    await until('the other takes it over', () => holders(subscriber).some((process) => others.includes(process)));
    await goesOn(subscriber, 'while its former teller is frozen');
    fleet.thaw(victim);
    await until('who was frozen sees that it has lost it', () => said(victim, subscriber).at(-1) === 'left');
    await goesOn(subscriber, 'after it has woken up');
  }, 300_000);

  it('secrets are rotated while it goes on: old and new sign together, until the old is given up', async () => {
    const signed = (subscriber: Subscriber, from: number): number[][] =>
      subscriber.arrived.slice(from).map((hook) => subscriber.signedWith(hook));
    for (const subscriber of subscribers) {
      await subscriber.rotate();
      const from = subscriber.arrived.length;
      await until('both sign', () => signed(subscriber, from).some((places) => places.join() === '0,1'), 90_000);
      // Whoever still has the old secret alone has missed nothing.
      expect(signed(subscriber, from).filter((places) => !places.includes(0))).toEqual([]);
      await subscriber.rotate(0);
      await until(
        'the newest signs alone',
        () => signed(subscriber, from).some((places) => places.join() === '2'),
        90_000,
      );
      const since = signed(subscriber, from).findIndex((places) => places.join() === '2') + from;
      await goesOn(subscriber, 'after the old ones were given up');
      // Who knows the new secret has known it since: only what was under way just then was signed before.
      const late = signed(subscriber, since).filter((places) => places.join() !== '2');
      expect(late.length).toBeLessThan(CONCURRENCY);
    }
  }, 300_000);

  it('at the end each was told every event of its tenant, in order, and the log knows it exactly once', async () => {
    await load?.stop();
    const { problems, ...account } = await fleet.settle();
    const watch = await fleet.watch();
    await until(
      'every delivery has come and is on record',
      async () => {
        const events = await watch.events();
        return subscribers.every((subscriber) => subscriber.missing(events) === 0);
      },
      90_000,
    );
    const events = await watch.events();
    const told = subscribers.map((subscriber) => subscriber.expected(events).size);
    report(2, {
      what: 'endpoints',
      seed: luck.seed,
      runs: account.runs,
      told: told.join(' '),
      repeats: subscribers.map(({ repeats }) => repeats).join(' '),
      ends: subscribers.map(ends).join(' '),
      problems: problems.length,
    });
    expect(problems).toEqual([]);
    expect(subscribers.flatMap((subscriber) => subscriber.problems(events, ends(subscriber)))).toEqual([]);
    for (const count of told) expect(count).toBeGreaterThan(20);
    for (const subscriber of subscribers) await holderOf(subscriber);
  }, 300_000);
});
