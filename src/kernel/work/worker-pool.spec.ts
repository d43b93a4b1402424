import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../../test/support/eventually.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { Unavailable } from '../errors.js';
import type { Job, Lease, WorkQueue } from '../ports/work-queue.js';
import { currentContext } from '../request-context.js';
import type { Executor, JobContext } from './executor.js';
import { WorkerPool, type WorkerOptions } from './worker-pool.js';

const KIND = 'sample.job';
const LEASE_MS = 3_000;
/** Does not end while a test lets time pass for something else. */
const LONG_MS = 3_600_000;

let ledger: TestLedger;
let queue: WorkQueue;
let pools: WorkerPool[];

beforeEach(async () => {
  ledger = await TestLedger.open();
  queue = ledger.store.queue;
  pools = [];
});
afterEach(async () => {
  for (const pool of pools) await ledger.whileTimePasses(pool.close(0));
  await ledger.close();
});

const job = (id: string): Job => ({ id, kind: KIND, group: 'g', payload: {} });
const until = (look: () => boolean | Promise<boolean>): Promise<true> => eventually(look);
const stats = async () => (await queue.stats())[0];
const elsewhere = (leaseMs = LONG_MS): Promise<readonly Lease[]> =>
  queue.lease({ kinds: [KIND], worker: 'other', leaseMs });

async function start(
  execute: (context: JobContext) => Promise<void>,
  options: Partial<WorkerOptions> & { queue?: WorkQueue; exhausted?: Executor['exhausted'] } = {},
): Promise<WorkerPool> {
  const { queue: from = queue, exhausted = async () => undefined, ...rest } = options;
  const { clock, ids, metrics, logger } = ledger;
  const pool = new WorkerPool(from, clock, ids, metrics, logger, { name: 'local', leaseMs: LEASE_MS, ...rest });
  pool.register({ kind: KIND, execute, exhausted });
  await pool.start();
  pools.push(pool);
  return pool;
}

async function stop(pool: WorkerPool, graceMs = 0): Promise<void> {
  pools = pools.filter((each) => each !== pool);
  await ledger.whileTimePasses(pool.close(graceMs));
}

/** Runs until its signal fires, as work does that can be cancelled. */
const untilAborted = ({ signal }: JobContext): Promise<void> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('Told to stop')));
  });

describe('a worker', () => {
  it('does each job once, and takes it off the queue', async () => {
    const done: string[] = [];
    await start(async ({ job: { id } }) => void done.push(id));
    await queue.put([job('1'), job('2'), job('3')]);
    await until(async () => (await queue.stats()).length === 0);
    expect(done.sort()).toEqual(['1', '2', '3']);
  });

  it('does so many at the same time and no more', async () => {
    let now = 0;
    let most = 0;
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    const work = async (): Promise<void> => {
      most = Math.max(most, (now += 1));
      await opened;
      now -= 1;
    };
    await start(work, { concurrency: 3 });
    await queue.put(Array.from({ length: 10 }, (_, at) => job(String(at))));
    await until(() => now === 3);
    expect(await stats()).toMatchObject({ leased: 3, waiting: 7 });
    open();
    await until(async () => (await queue.stats()).length === 0);
    expect(most).toBe(3);
  });

  it('works as part of what led to the job', async () => {
    const contexts: unknown[] = [];
    await start(async () => void contexts.push(currentContext()));
    await queue.put([{ ...job('1'), payload: { correlationId: 'c-7' } }]);
    await until(() => contexts.length === 1);
    expect(contexts[0]).toMatchObject({ correlationId: 'c-7', causationId: '1' });
  });

  it('takes no job of a kind that it has no executor for, and no two executors of one kind', async () => {
    const pool = await start(async () => undefined);
    await queue.put([{ ...job('x'), kind: 'sample.other' }, job('1')]);
    await until(async () => (await queue.stats()).length === 1);
    expect(await stats()).toMatchObject({ kind: 'sample.other', waiting: 1 });
    expect(() => pool.register({ kind: KIND, execute: untilAborted, exhausted: untilAborted as never })).toThrow(
      'Two executors claim sample.job',
    );
  });
});

describe('a job that fails', () => {
  it('is tried again after pauses that double, up to a minute', async () => {
    const pauses: number[] = [];
    const watched = Object.create(queue, {
      retry: {
        value: (lease: Lease, delayMs: number) => {
          pauses.push(delayMs);
          return queue.retry(lease, delayMs);
        },
      },
    }) as WorkQueue;
    const times: number[] = [];
    await start(
      async () => {
        times.push(ledger.clock.steady());
        throw new Error('not yet');
      },
      { queue: watched, leaseMs: LONG_MS },
    );
    await queue.put([job('1')]);
    await eventually(
      () => times.length === 11,
      () => ledger.pass(1_000),
    );
    expect(pauses.slice(0, 10)).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
    for (const [index, pauseMs] of pauses.slice(0, 10).entries()) {
      expect((times[index + 1] ?? 0) - (times[index] ?? 0)).toBeGreaterThanOrEqual(pauseMs);
    }
  });

  it('is buried after the last attempt, once its run has been told', async () => {
    const told: [string, string][] = [];
    await start(async () => Promise.reject(new Error('broken')), {
      maxAttempts: 3,
      leaseMs: LONG_MS,
      exhausted: async ({ id }, error) => void told.push([id, error]),
    });
    await queue.put([job('1')]);
    await eventually(
      async () => (await stats())?.dead === 1,
      () => ledger.pass(500),
    );
    expect(told).toEqual([['1', 'broken']]);
    expect(await queue.deadJobs(KIND)).toMatchObject([{ job: { id: '1' }, attempt: 3, error: 'broken' }]);
  });

  it('is not buried before its run could be told', async () => {
    let failures = 2;
    const told: string[] = [];
    await start(async () => Promise.reject(new Error('broken')), {
      maxAttempts: 1,
      leaseMs: LONG_MS,
      exhausted: async ({ id }) => {
        if (failures-- > 0) throw new Unavailable('The log is away');
        told.push(id);
      },
    });
    await queue.put([job('1')]);
    await eventually(
      async () => (await stats())?.dead === 1,
      () => ledger.pass(60_000),
    );
    expect(told).toEqual(['1']);
  });

  it('because its workers die one after the other is given up as well', async () => {
    await queue.put([job('1')]);
    for (let death = 0; death < 2; death++) {
      expect(await elsewhere(LEASE_MS)).toHaveLength(1);
      await ledger.clock.advance(LEASE_MS + 1);
    }
    const executed: number[] = [];
    const told: string[] = [];
    await start(async ({ attempt }) => void executed.push(attempt), {
      maxAttempts: 2,
      exhausted: async (_job, error) => void told.push(error),
    });
    await until(async () => (await stats())?.dead === 1);
    expect(executed).toEqual([]);
    expect(told).toEqual(['the worker was lost every time']);
  });
});

describe('a lease', () => {
  it('is kept by heartbeats for as long as the job runs', async () => {
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    let running = false;
    await start(async () => {
      running = true;
      await opened;
    });
    await queue.put([job('1')]);
    await until(() => running);
    for (let passed = 0; passed < 5 * LEASE_MS; passed += 500) {
      await ledger.pass(500);
      expect(await elsewhere()).toEqual([]);
    }
    open();
    await until(async () => (await queue.stats()).length === 0);
  });

  it('that was lost tells the job to stop, and nothing is reported', async () => {
    let aborted = false;
    let running = false;
    const execute = async (context: JobContext): Promise<void> => {
      running = true;
      await untilAborted(context).catch(() => (aborted = true));
    };
    // With no place left, the pool does not take the job again itself.
    await start(execute, { concurrency: 1 });
    await queue.put([job('1')]);
    await until(() => running);
    await queue.abandon('local');
    const [lease] = await elsewhere();
    expect(lease?.attempt).toBe(2);
    await eventually(
      () => aborted,
      () => ledger.pass(100),
    );
    expect(await queue.heartbeat(lease as Lease, LEASE_MS)).toBe(true);
    expect(await queue.complete(lease as Lease)).toBe(true);
  });

  it('that cannot be extended before it ends counts as lost, and not before', async () => {
    const away = Object.create(queue, {
      heartbeat: { value: () => Promise.reject(new Unavailable('The queue is away')) },
    }) as WorkQueue;
    let running = false;
    let abortedAt: number | undefined;
    await start(
      async (context) => {
        running = true;
        await untilAborted(context).catch(() => (abortedAt = ledger.clock.steady()));
      },
      { queue: away },
    );
    await queue.put([job('1')]);
    await until(() => running);
    const began = ledger.clock.steady();
    await eventually(
      () => abortedAt !== undefined,
      () => ledger.pass(100),
    );
    expect((abortedAt ?? 0) - began).toBe(LEASE_MS);
  });
});

describe('stopping', () => {
  it('lets a job finish that finishes in time', async () => {
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    let running = false;
    const pool = await start(async () => {
      running = true;
      await opened;
    });
    await queue.put([job('1'), job('2')]);
    await until(() => running);
    const closing = pool.close(3_000);
    pools = [];
    open();
    await closing;
    expect(await queue.stats()).toEqual([]);
  });

  it('tells the others to stop, and gives their jobs back at once', async () => {
    const pool = await start(untilAborted);
    await queue.put([job('1')]);
    await until(async () => (await stats())?.leased === 1);
    await stop(pool, 3_000);
    expect(await stats()).toMatchObject({ waiting: 1, leased: 0, delayed: 0 });
  });

  it('does not wait for a free place when all are taken', async () => {
    const pool = await start(untilAborted, { concurrency: 1 });
    await queue.put([job('1'), job('2')]);
    await until(async () => (await stats())?.leased === 1);
    await stop(pool, 3_000);
    expect(await stats()).toMatchObject({ waiting: 2, leased: 0 });
  });

  it('ends also when a job never does', async () => {
    const { promise: opened, resolve: open } = Promise.withResolvers<void>();
    const pool = await start(() => opened);
    await queue.put([job('1')]);
    await until(async () => (await stats())?.leased === 1);
    await stop(pool, 3_000);
    expect(await stats()).toMatchObject({ waiting: 1, leased: 0 });
    open();
  });

  it('leaves a process that died nothing to hold: the next of its name has the jobs at once', async () => {
    await queue.put([job('1')]);
    await queue.lease({ kinds: [KIND], worker: 'local', leaseMs: 600_000 });
    const attempts: number[] = [];
    await start(async ({ attempt }) => void attempts.push(attempt));
    await until(() => attempts.length === 1);
    expect(attempts).toEqual([2]);
  });
});

describe('a queue that cannot be reached', () => {
  it('is asked again until it can', async () => {
    let failures = 3;
    const flaky = Object.create(queue, {
      lease: {
        value: async (request: Parameters<WorkQueue['lease']>[0]) => {
          if (failures-- > 0) throw new Unavailable('The queue is away');
          return queue.lease(request);
        },
      },
    }) as WorkQueue;
    let done = false;
    await start(async () => void (done = true), { queue: flaky });
    await queue.put([job('1')]);
    await eventually(
      () => done,
      () => ledger.pass(500),
    );
    expect(failures).toBeLessThan(0);
  });
});
