import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FaultyViewStore } from '../../test/support/faulty-view-store.js';
import { TestLedger } from '../../test/support/test-ledger.js';
import { OwnDuties, SharedDuties } from './duties.js';
import type { ViewStore } from './ports/view-store.js';

const LEASE_MS = 8_000;
const names = ['a', 'b', 'c', 'd', 'e', 'f'];

let ledger: TestLedger;
let members: Member[];

beforeEach(async () => {
  ledger = await TestLedger.open();
  members = [];
});
afterEach(async () => {
  for (const member of members) await ledger.whileTimePasses(member.close());
  await ledger.close();
});

/** A process of the role, and what it does at the moment. */
class Member {
  readonly doing = new Set<string>();
  readonly story: string[] = [];
  failures = 0;
  /** What begins and what ends waits for it. */
  gate: Promise<void> = Promise.resolve();
  readonly duties: SharedDuties;
  private gone = false;

  constructor(name: string, store: ViewStore = ledger.store.views) {
    const options = { role: 'projector', names, member: name, leaseMs: LEASE_MS };
    this.duties = new SharedDuties(store, ledger.clock, ledger.logger, options, {
      take: async (duty) => {
        await this.gate;
        if (this.failures-- > 0) throw new Error('The duty cannot be begun');
        this.story.push(`take ${duty}`);
        this.doing.add(duty);
      },
      leave: async (duty) => {
        await this.gate;
        this.story.push(`leave ${duty}`);
        this.doing.delete(duty);
      },
    });
  }

  static async start(name: string, store?: ViewStore): Promise<Member> {
    const member = new Member(name, store);
    members.push(member);
    await member.duties.start();
    return member;
  }

  /** On which it may act. */
  get holds(): string[] {
    return names.filter((duty) => this.duties.holds(duty));
  }

  async close(): Promise<void> {
    if (this.gone) return;
    this.gone = true;
    await this.duties.close();
  }
}

const until = (look: () => boolean): Promise<void> =>
  ledger.whileTimePasses(
    (async () => {
      while (!look()) await ledger.clock.sleep(10);
    })(),
  );
const sizes = (...of: Member[]): number[] => of.map(({ doing }) => doing.size);
const isShared = (...of: Member[]): boolean =>
  names.every((duty) => of.filter(({ doing }) => doing.has(duty)).length === 1);

describe('duties of one process', () => {
  it('are all its own from the start to the end', async () => {
    const story: string[] = [];
    const duties = new OwnDuties(
      ['a', 'b'],
      {
        take: async (duty) => void story.push(`take ${duty}`),
        leave: async (duty) => void story.push(`leave ${duty}`),
      },
      ledger.clock,
    );
    await duties.start();
    expect([duties.holds('a'), duties.holds('z')]).toEqual([true, false]);
    await duties.close();
    expect(story).toEqual(['take a', 'take b', 'leave a', 'leave b']);
  });

  it('come and go while it runs, each once', async () => {
    const story: string[] = [];
    const duties = new OwnDuties(
      ['a'],
      {
        take: async (duty) => void story.push(`take ${duty}`),
        leave: async (duty) => void story.push(`leave ${duty}`),
      },
      ledger.clock,
    );
    await duties.add('early');
    await duties.start();
    await Promise.all([duties.add('b'), duties.add('b')]);
    expect(duties.holds('b')).toBe(true);
    await duties.remove('a');
    await duties.remove('a');
    expect(duties.holds('a')).toBe(false);
    await duties.close();
    expect(story).toEqual(['take a', 'take early', 'take b', 'leave a', 'leave early', 'leave b']);
  });

  it('are tried again where they could not be begun', async () => {
    let failures = 1;
    const duties = new OwnDuties(
      [],
      {
        take: async () => {
          if (failures-- > 0) throw new Error('not now');
        },
        leave: async () => undefined,
      },
      ledger.clock,
    );
    await duties.start();
    await expect(duties.add('a')).rejects.toThrow('not now');
    await duties.add('a');
    expect([duties.holds('a'), failures]).toEqual([true, -1]);
  });
});

describe('shared duties', () => {
  it('are all taken at once by the first process', async () => {
    const first = await Member.start('first');
    expect([...first.doing]).toEqual(names);
    expect(first.holds).toEqual(names);
  });

  it('are divided when others come, each done by one process', async () => {
    const first = await Member.start('first');
    const second = await Member.start('second');
    expect(second.doing.size).toBe(0);
    await until(() => second.doing.size === 3);
    const third = await Member.start('third');
    await until(() => third.doing.size === 2);
    expect(sizes(first, second, third)).toEqual([2, 2, 2]);
    expect(isShared(first, second, third)).toBe(true);
  });

  it('are kept for as long as the process lives', async () => {
    const [first, second] = [await Member.start('first'), await Member.start('second')];
    await until(() => second.doing.size === 3);
    const before = [[...first.story], [...second.story]];
    for (let passed = 0; passed < 10 * LEASE_MS; passed += 500) await ledger.pass(500);
    expect([first.story, second.story]).toEqual(before);
  });

  it('are kept while they take longer to begin, or to end, than a lease lasts', async () => {
    const slow = new Member('slow');
    members.push(slow);
    const begin = Promise.withResolvers<void>();
    slow.gate = begin.promise;
    const started = slow.duties.start();
    for (let passed = 0; passed < 3 * LEASE_MS; passed += 500) await ledger.pass(500);
    expect(slow.holds).toEqual(names);
    begin.resolve();
    await ledger.whileTimePasses(started);
    expect(slow.story).toEqual(names.map((duty) => `take ${duty}`));

    const end = Promise.withResolvers<void>();
    slow.gate = end.promise;
    const other = await Member.start('other');
    for (let passed = 0; passed < 3 * LEASE_MS; passed += 500) await ledger.pass(500);
    // What it keeps it acts on, and what it leaves others have when the lease has ended.
    expect(slow.holds).toHaveLength(3);
    expect(other.holds).toHaveLength(3);
    end.resolve();
    await until(() => slow.doing.size === 3);
    expect(isShared(slow, other)).toBe(true);
  });

  it('come and go while the processes run', async () => {
    const [first, second] = [await Member.start('first'), await Member.start('second')];
    await until(() => second.doing.size === 3);
    for (const { duties } of [first, second]) for (const name of ['g', 'h']) await duties.add(name);
    const of = (name: string): number => [first, second].filter(({ doing }) => doing.has(name)).length;
    await until(() => of('g') === 1 && of('h') === 1);
    expect(sizes(first, second)).toEqual([4, 4]);
    for (const { duties } of [first, second]) await duties.remove('g');
    expect([of('g'), first.duties.holds('g'), second.duties.holds('g')]).toEqual([0, false, false]);
    // What was left can be taken up again, by anybody.
    for (const { duties } of [first, second]) await duties.add('g');
    await until(() => of('g') === 1);
    expect(isShared(first, second)).toBe(true);
  });

  it('are free at once when a process stops', async () => {
    const [first, second] = [await Member.start('first'), await Member.start('second')];
    await until(() => second.doing.size === 3);
    await ledger.whileTimePasses(first.close());
    expect(first.doing.size).toBe(0);
    const stopped = ledger.clock.steady();
    await until(() => second.doing.size === 6);
    expect(ledger.clock.steady() - stopped).toBeLessThan(LEASE_MS);
  });

  it('of a process that was silent for a lease are taken by others, and it knows before it acts again', async () => {
    const store = new FaultyViewStore(ledger.store.views);
    const [first, second] = [await Member.start('first', store), await Member.start('second')];
    await until(() => second.doing.size === 3);
    store.fault = () => 'lost';
    await until(() => second.doing.size === 6);
    expect(first.holds).toEqual([]);
    await until(() => first.doing.size === 0);
    store.fault = () => 'none';
    await until(() => first.doing.size === 3);
    expect(isShared(first, second)).toBe(true);
  });

  it('are never acted upon by two at a time, whoever loses the store for a while', async () => {
    const stores = [1, 2, 3].map(() => new FaultyViewStore(ledger.store.views));
    const all: Member[] = [];
    for (const [index, store] of stores.entries()) all.push(await Member.start(`member ${index}`, store));
    for (let round = 0; round < 120; round++) {
      // Each is cut off for ten rounds of thirty, and the turns overlap by none.
      stores.forEach((store, index) => (store.fault = () => (Math.floor(round / 10) % 3 === index ? 'lost' : 'none')));
      await ledger.pass(1_000);
      for (const duty of names) {
        expect(all.filter(({ holds }) => holds.includes(duty)).length).toBeLessThanOrEqual(1);
      }
    }
  });

  it('survive the loss of their collection', async () => {
    const [first, second] = [await Member.start('first'), await Member.start('second')];
    await until(() => second.doing.size === 3);
    await ledger.store.views.drop('runledger.duties');
    for (let passed = 0; passed < 2 * LEASE_MS; passed += 500) await ledger.pass(500);
    expect(isShared(first, second)).toBe(true);
    expect(sizes(first, second)).toEqual([3, 3]);
  });

  it('that cannot be begun are tried again', async () => {
    const first = new Member('first');
    first.failures = 4;
    members.push(first);
    await first.duties.start();
    await until(() => first.doing.size === 6);
    expect(first.holds).toEqual(names);
  });

  it('cannot be taken while the store is away', async () => {
    const store = new FaultyViewStore(ledger.store.views);
    store.fault = () => 'lost';
    const member = new Member('first', store);
    await expect(member.duties.start()).rejects.toThrow('The write is lost');
    expect(member.doing.size).toBe(0);
  });
});
