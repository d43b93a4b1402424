import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { Luck, report, scaled } from '../support/fault-scale.js';
import type { Ask } from '../support/hypershift-client.js';
import type { Backend } from './backends.js';
import { Fleet, type FleetAccount } from './fleet.js';
import { Load } from './load.js';

/** Longer than a lease, and in full longer than any patience of the adapters. */
const AWAY_MS = scaled(2_500, 30_000);
const CUTS = scaled(3, 30);
const COMMANDS = scaled(12, 40);
/** However many wait for the same stream. */
const DEADLINE_MS = 30_000;
const times = <Item>(count: number, make: (n: number) => Item): Item[] =>
  Array.from({ length: count }, (_, n) => make(n));
const SERVERS = ['eventStore', 'mongo', 'nats', 's3'] as const;

describe('outages of the servers under a load of runs', () => {
  const luck = new Luck();
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.open();
  }, 120_000);
  afterAll(() => fleet.close(), 60_000);

  function tell(what: string, account: FleetAccount): void {
    const { problems, ...counted } = account;
    report(11, { what, seed: luck.seed, ...counted, problems: problems.length });
  }

  const away = async (server: Backend): Promise<void> => {
    await server.stop();
    // Not to wait for something: this is how long the server is away.
    await pause(AWAY_MS);
    await server.start();
  };

  const frozen = async (server: Backend): Promise<void> => {
    server.freeze();
    await pause(AWAY_MS);
    server.thaw();
  };

  const cut = async (server: Backend): Promise<void> => {
    for (let time = 0; time < CUTS; time++) {
      server.cut();
      await pause(luck.number(300));
    }
  };

  const unheard = async (server: Backend): Promise<void> => {
    for (let time = 0; time < CUTS; time++) await server.loseAnswers();
  };

  const faults = { away, frozen, cut, unheard };

  it.each(SERVERS)(
    '%s is stopped and started, frozen, cut off and not heard: nothing is lost, nothing done twice',
    async (name) => {
      const server = fleet.backends[name];
      // Only deployments store artifacts.
      const options = name === 's3' ? { descriptions: ['deploy a page'] } : {};
      const load = new Load(fleet.client, luck, name.toLowerCase(), options);
      for (const [fault, spoil] of Object.entries(faults)) {
        await load.goesOn(`before ${name} is ${fault}`);
        await spoil(server);
        await load.goesOn(`after ${name} was ${fault}`);
      }
      await load.stop();
      const account = await fleet.settle();
      tell(`${name}: ${Object.keys(faults).join(', ')}`, account);
      expect(account.problems).toEqual([]);
      // No sender has died: a delivery that was taken is not sent again, whatever the log and the views do meanwhile.
      if (name !== 'mongo') expect(account.repeated).toBe(repeated);
      repeated = account.repeated;
    },
    600_000,
  );

  /** POSTs that repeated a delivery, up to the test before. */
  let repeated = 0;

  it('commands to a frozen EventStoreDB are answered with 503 in time, reads go on, and so does all after the thaw', async () => {
    const { client, backends } = fleet;
    const run = { workspace: 'ws-frozen', description: 'plain' };
    const runId = await client.create({ ...run, codename: 'frozen', key: 'create frozen' });
    const asks: Ask[] = [
      // Of one run, so that they wait for each other; of many; and with keys, which are looked up first.
      ...times(COMMANDS, () => ({ method: 'POST', path: `/runs/${runId}/start` }) as const),
      ...times(COMMANDS, (n) => ({ method: 'POST', path: '/runs', body: { description: `frozen ${n}` } }) as const),
      ...times(COMMANDS, (n) => ({ method: 'POST', path: `/runs/${runId}/start`, key: `start frozen ${n}` }) as const),
    ];
    backends.eventStore.freeze();
    // A request that is not answered by its deadline rejects.
    const answers = Promise.all(asks.map((ask) => client.once(ask, 1, DEADLINE_MS)));
    const read = await client.once({ method: 'GET', path: `/runs/${runId}` }, 1, DEADLINE_MS);
    const statuses = await answers.finally(() => backends.eventStore.thaw());
    const load = new Load(client, luck, 'thawed');
    await load.goesOn('after the thaw');
    await load.stop();
    const account = await fleet.settle();
    tell(`commands to a frozen log: ${asks.length}`, account);
    expect(read.status).toBe(200);
    expect(statuses.map(({ status }) => status)).toEqual(asks.map(() => 503));
    expect(statuses.every(({ retryAfterMs }) => retryAfterMs > 0)).toBe(true);
    expect(account.problems).toEqual([]);
  }, 300_000);

  it('at the end every process stops in peace, and its checkpoints vouch for the whole log', async () => {
    const account = await fleet.end();
    tell('all of these', account);
    expect(account.problems).toEqual([]);
    expect(account.checkpoints).toBeGreaterThan(0);
  }, 120_000);
});
