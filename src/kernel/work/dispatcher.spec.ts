import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { counterDecider, counterStream, type CounterEvent } from '../../../test/support/counter.js';
import { eventually } from '../../../test/support/eventually.js';
import { Projecting } from '../../../test/support/projecting.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { Cursors } from '../cursors.js';
import type { Decider } from '../decider.js';
import { Unavailable } from '../errors.js';
import type { Recorded } from '../event-catalog.js';
import type { WorkQueue } from '../ports/work-queue.js';
import { ReadableEvents } from '../readable-events.js';
import { Dispatcher } from './dispatcher.js';
import type { WorkRules } from './executor.js';
import { openWorkView } from './open-work.view.js';

const KIND = 'sample.job';

/** Every addition opens a job of its counter; closing the counter ends and cancels them. */
const rules: WorkRules = {
  system: 'sample',
  types: ['counter.added', 'counter.closed'],
  opens(recorded) {
    const { event, id } = recorded as Recorded<CounterEvent>;
    const { counter } = event.data;
    return event.type === 'counter.added' && event.data.by > 0 ? [{ id, kind: KIND, group: counter, payload: {} }] : [];
  },
  expects(recorded) {
    const { event, id } = recorded as Recorded<CounterEvent>;
    const { counter } = event.data;
    return event.type === 'counter.added' && event.data.by < 0 ? [{ id, kind: KIND, group: counter, payload: {} }] : [];
  },
  ends: (recorded) => closed(recorded),
  cancels: (recorded) => closed(recorded),
};

function closed(recorded: Recorded): string | undefined {
  const { event } = recorded as Recorded<CounterEvent>;
  return event.type === 'counter.closed' ? event.data.counter : undefined;
}

const byName = new Map([['sample', rules]]);
const openWork = openWorkView(byName);

let ledger: TestLedger;
let views: Projecting;
let dispatcher: Dispatcher | undefined;

beforeEach(async () => {
  ledger = await TestLedger.open();
  dispatcher = undefined;
  views = await Projecting.start(ledger, [openWork]);
});
afterEach(async () => {
  await dispatcher?.close();
  await views.close();
  await ledger.close();
});

async function start(queue: WorkQueue = ledger.store.queue): Promise<Dispatcher> {
  const { log, catalog, metrics, logger, clock } = ledger;
  const events = new ReadableEvents(catalog, metrics, logger);
  const cursors = new Cursors(ledger.store.views);
  dispatcher = new Dispatcher(log, cursors, queue, views.views, events, clock, logger, byName, openWork);
  await dispatcher.start();
  return dispatcher;
}

async function stopAll(): Promise<void> {
  await dispatcher?.close();
  dispatcher = undefined;
  await views.close();
}

const close = (counter: string) =>
  ledger.streams().transact(counterDecider, counterStream(counter), { type: 'close', counter });
const waiting = async (): Promise<number> =>
  (await ledger.store.queue.stats()).reduce((sum, stats) => sum + stats.waiting, 0);
const until = (look: () => boolean | Promise<boolean>): Promise<true> => eventually(look, () => ledger.pass(50));
const untilWaiting = (count: number): Promise<true> => until(async () => (await waiting()) === count);
/** Takes every job that is ready, and leaves them leased. */
const leaseAll = () => ledger.store.queue.lease({ kinds: [KIND], worker: 'w', leaseMs: 600_000, limit: 100 });

/** Loses everything that is on the queue. */
async function loseQueue(): Promise<void> {
  await stopAll();
  await ledger.alter('DELETE FROM jobs', 'views.db');
  views = await Projecting.start(ledger, [openWork]);
}

describe('the dispatcher', () => {
  it('puts what the log opens on the queue, named by its event', async () => {
    await start();
    await ledger.count('a', 2);
    await untilWaiting(2);
    const leases = await leaseAll();
    expect(leases.map(({ job }) => job.id)).toEqual((await ledger.events()).map(({ id }) => id));
    expect(leases[0]?.job).toMatchObject({ kind: KIND, group: 'a', payload: {} });
  });

  it('takes the waiting work of what is cancelled off the queue, and no other', async () => {
    await start();
    await ledger.count('a', 2);
    await ledger.count('b', 1);
    await untilWaiting(3);
    await close('a');
    await untilWaiting(1);
    expect((await leaseAll()).map(({ job }) => job.group)).toEqual(['b']);
  });

  it('keeps the order of opening and cancelling, also within one batch', async () => {
    await start();
    const anew: Decider<null, null, CounterEvent> = {
      initial: null,
      decide: () => {
        const data = { system: 'sample', tenant: 'acme', counter: 'a' } as const;
        const added: CounterEvent = { type: 'counter.added', data: { ...data, by: 1 } };
        return [added, { type: 'counter.closed', data }, added];
      },
      evolve: () => null,
    };
    await ledger.streams().transact(anew, counterStream('a'), null);
    await ledger.count('b');
    // No time passes: what is put back by comparison would hide the mistake.
    await eventually(async () => (await waiting()) === 2);
    const [, , reopened] = await ledger.events();
    expect((await leaseAll()).map(({ job }) => job.id)).toContain(reopened?.id);
  });

  it('puts nothing on the queue twice over a restart', async () => {
    await start();
    await ledger.count('a', 3);
    await untilWaiting(3);
    await stopAll();
    await ledger.reopen();
    views = await Projecting.start(ledger, [openWork]);
    await start();
    await ledger.count('b');
    await untilWaiting(4);
    expect(new Set((await leaseAll()).map(({ job }) => job.id)).size).toBe(4);
  });

  it('tries again while the queue cannot be reached, and forgets nothing', async () => {
    let failures = 3;
    const queue = Object.create(ledger.store.queue, {
      put: {
        value: async (jobs: Parameters<WorkQueue['put']>[0]) => {
          if (jobs.length > 0 && failures-- > 0) throw new Unavailable('The queue is away');
          await ledger.store.queue.put(jobs);
        },
      },
    }) as WorkQueue;
    await start(queue);
    await ledger.count('a', 2);
    await untilWaiting(2);
    expect(failures).toBeLessThan(0);
  });
});

describe('a queue that has lost its work', () => {
  it('is filled at the start with all that is open, and nothing that has ended', async () => {
    await start();
    await ledger.count('a', 2);
    await ledger.count('b', 1);
    await close('b');
    await untilWaiting(2);
    await loseQueue();
    await ledger.clock.advance(1);
    await start();
    await untilWaiting(2);
    expect((await leaseAll()).map(({ job }) => job.group)).toEqual(['a', 'a']);
  });

  it('is filled while the service runs, by and by', async () => {
    await start();
    await ledger.count('a', 1);
    await untilWaiting(1);
    const [lease] = await leaseAll();
    await ledger.store.queue.complete(lease as NonNullable<typeof lease>);
    expect(await waiting()).toBe(0);
    await untilWaiting(1);
    expect((await leaseAll())[0]?.job.id).toBe(lease?.job.id);
  });
});

describe('comparing the log with the queue', () => {
  it('leaves alone what waits, what somebody holds, and what is among the dead', async () => {
    await ledger.count('a', 3);
    await views.caughtUp();
    await ledger.clock.advance(20_000);
    const running = await start();
    await untilWaiting(3);
    const [first, second] = await ledger.store.queue.lease({ kinds: [KIND], worker: 'w', leaseMs: 600_000, limit: 2 });
    await ledger.store.queue.bury(first as NonNullable<typeof first>, 'broken');
    expect(await running.reconcile(0)).toBe(0);
    expect(second?.attempt).toBe(1);
    expect(await ledger.store.queue.stats()).toMatchObject([{ waiting: 1, leased: 1, dead: 1 }]);
  });

  it('waits a while for what was opened just now', async () => {
    const running = await start();
    await until(async () => (await views.status(openWork)).state === 'live');
    await stopAll();
    views = await Projecting.start(ledger, [openWork]);
    await ledger.count('a', 1);
    await views.caughtUp();
    expect(await running.reconcile(60_000)).toBe(0);
    await ledger.clock.advance(60_001);
    expect(await running.reconcile(60_000)).toBe(1);
  });

  it('puts back what was opened by a process whose clock was ahead', async () => {
    const running = await start();
    await until(async () => (await views.status(openWork)).state === 'live');
    await stopAll();
    views = await Projecting.start(ledger, [openWork]);
    const now = ledger.clock.now();
    ledger.clock.set(now + 3_600_000);
    await ledger.count('a', 1);
    ledger.clock.set(now);
    await views.caughtUp();
    expect(await running.reconcile(60_000)).toBe(1);
    expect(await waiting()).toBe(1);
  });

  it('puts on the queue what a command was expected to go on with, and has not', async () => {
    await start();
    await ledger.streams().transact(counterDecider, counterStream('a'), { type: 'add', counter: 'a', by: -1 });
    await ledger.count('b');
    await untilWaiting(1);
    expect((await leaseAll()).map(({ job }) => job.group)).toEqual(['b']);
    await untilWaiting(1);
    expect((await leaseAll()).map(({ job }) => job.group)).toEqual(['a']);
  });

  it('covers more than a page', async () => {
    await ledger.fill(620, 1);
    await views.caughtUp();
    await ledger.clock.advance(1);
    await start();
    await untilWaiting(620);
    expect(await waiting()).toBe(620);
  });
});
