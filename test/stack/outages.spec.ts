import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { Luck, report, scaled } from '../support/fault-scale.js';
import type { Backend } from './backends.js';
import { Fleet, type FleetAccount } from './fleet.js';
import { Load } from './load.js';

/** Longer than a lease, and in full longer than any patience of the adapters. */
const AWAY_MS = scaled(2_500, 30_000);
const CUTS = scaled(3, 30);
const SERVERS = ['eventStore', 'mongo', 'nats', 's3'] as const;

describe('outages of the servers under a load of runs', () => {
  const luck = new Luck();
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.open();
  }, 120_000);
  afterAll(() => fleet.close(), 60_000);

  /** Spoils something under load, heals it, and waits until runs end again. */
  async function through(
    name: string,
    spoil: (server: Backend) => Promise<void>,
    server: Backend,
  ): Promise<FleetAccount> {
    // Only deployments store artifacts.
    const options = server === fleet.backends.s3 ? { descriptions: ['deploy a page'] } : {};
    const load = new Load(fleet.client, luck, `${name}-${server.name.toLowerCase()}`, options);
    await load.goesOn();
    await spoil(server);
    await load.goesOn();
    await load.stop();
    return fleet.settle();
  }

  function tell(what: string, account: FleetAccount): void {
    const { problems, ...counted } = account;
    report(11, { what: `${what}:`, ...counted, problems: problems.length });
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

  describe.each(SERVERS)('of %s', (server) => {
    it.each([
      ['stopped and started again', away],
      ['frozen for a while', frozen],
      ['reached by connections that break', cut],
      ['whose answers get lost', unheard],
    ])(
      '%s: nothing is lost, nothing done twice',
      async (what, spoil) => {
        const account = await through(what.split(' ')[0] ?? '', spoil, fleet.backends[server]);
        tell(`${server} ${what}`, account);
        expect(account.problems).toEqual([]);
      },
      300_000,
    );
  });

  it('at the end every process stops in peace, and its checkpoints vouch for the whole log', async () => {
    const account = await fleet.end();
    tell('all of these', account);
    expect(account.problems).toEqual([]);
    expect(account.checkpoints).toBeGreaterThan(0);
  }, 120_000);
});
