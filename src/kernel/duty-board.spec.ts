import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestLedger } from '../../test/support/test-ledger.js';
import { OwnDuties, SharedDuties, type Duties } from './duties.js';
import { DutyBoard, type DutyStatus } from './duty-board.js';
import type { OwnDuty } from './runtime.js';

const LEASE_MS = 8_000;
const NAMES = ['a', 'b'];
const handlers = { take: async () => undefined, leave: async () => undefined };

let ledger: TestLedger;
let running: Duties[];

beforeEach(async () => {
  ledger = await TestLedger.open();
  running = [];
});
afterEach(async () => {
  for (const duties of running) await ledger.whileTimePasses(duties.close());
  await ledger.close();
});

function shared(member: string): SharedDuties {
  const options = { role: 'projector', names: NAMES, member, leaseMs: LEASE_MS };
  const duties = new SharedDuties(ledger.store.views, ledger.clock, ledger.logger, options, handlers);
  running.push(duties);
  return duties;
}

/** What a process shows; without `duties`, one that has not the role. */
function board(member: string, duties?: Duties, isShared = true): DutyBoard {
  const own = (): OwnDuty[] =>
    NAMES.map((name) => ({
      role: 'projector',
      name,
      here: duties?.holds(name) ?? false,
      since: duties?.since(name) ?? null,
    }));
  return new DutyBoard({ duties: own }, ledger.clock, member, isShared ? ledger.store.views : undefined);
}
const told = (statuses: readonly DutyStatus[]): unknown[] =>
  statuses.map(({ name, state, holder, here }) => [name, state, holder, here]);

describe('the board of duties', () => {
  it('shows in every process who holds which, since when and until when', async () => {
    const began = ledger.clock.iso();
    const duties = shared('first');
    await duties.start();
    const until = new Date(ledger.clock.now() + LEASE_MS).toISOString();
    const held = { role: 'projector', state: 'held', holder: 'first', since: began, until };
    expect(await board('first', duties).list()).toEqual(NAMES.map((name) => ({ ...held, name, here: true })));
    expect(await board('other').list()).toEqual(NAMES.map((name) => ({ ...held, name, here: false })));
  });

  it('keeps since when a duty is held while its lease is renewed', async () => {
    const began = ledger.clock.iso();
    const duties = shared('first');
    await duties.start();
    await ledger.whileTimePasses(ledger.clock.sleep(LEASE_MS * 2));
    const [status] = await board('other').list();
    expect(status).toMatchObject({ state: 'held', since: began });
    expect((status?.until ?? '') > ledger.clock.iso()).toBe(true);
  });

  it('shows what nobody holds, and what the holder has given back', async () => {
    expect(told(await board('other').list())).toEqual(NAMES.map((name) => [name, 'free', null, false]));
    const duties = shared('first');
    await duties.start();
    await ledger.whileTimePasses(duties.close());
    expect(told(await board('other').list())).toEqual(NAMES.map((name) => [name, 'free', null, false]));
  });

  it('shows that a holder has been silent for longer than its lease lasts', async () => {
    const doc = { holder: 'dead', since: ledger.clock.iso(), until: ledger.clock.iso() };
    const documents = [{ key: 'projector duty a', position: 1, doc }];
    await ledger.store.views.write([{ collection: 'runledger.duties', documents }]);
    await ledger.clock.advance(1);
    expect(told(await board('other').list())).toEqual([
      ['a', 'silent', 'dead', false],
      ['b', 'free', null, false],
    ]);
  });

  it('believes a lease of older code, which does not say until when', async () => {
    const documents = [{ key: 'projector duty a', position: 1, doc: { holder: 'older' } }];
    await ledger.store.views.write([{ collection: 'runledger.duties', documents }]);
    const [status] = await board('other').list();
    expect(status).toMatchObject({ state: 'held', holder: 'older', since: null, until: null });
  });

  it('shows duties that others have told of', async () => {
    const statuses = await board('other').list([{ role: 'dispatcher', name: 'late' }]);
    expect(told(statuses)[0]).toEqual(['late', 'free', null, false]);
  });

  it('shows a process that shares nothing as the holder of all that it does', async () => {
    const duties = new OwnDuties(NAMES, handlers, ledger.clock);
    running.push(duties);
    const began = ledger.clock.iso();
    await duties.start();
    const held = { role: 'projector', state: 'held', holder: 'only', here: true, since: began, until: null };
    expect(await board('only', duties, false).list()).toEqual(NAMES.map((name) => ({ ...held, name })));
    expect(told(await board('idle', undefined, false).list())).toEqual(
      NAMES.map((name) => [name, 'free', null, false]),
    );
  });
});
