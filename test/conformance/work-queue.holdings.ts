import { expect, it } from '@jest/globals';
import type { Lease } from '../../src/kernel/ports/work-queue.js';
import { unique } from '../support/unique.js';
import { LONG_MS, drain, toolsOf, type Context } from './work-queue.support.js';

/** What is taken out of a whole group. */
export function describeCancel(context: Context): void {
  const { buried, job, take, lease, jobs, takeEach, statsOf } = toolsOf(context);

  it('takes what waits or is put off of one group, and leaves what is leased, dead or of another', async () => {
    const dead = await buried();
    const leased = job();
    await context.queue.put([leased]);
    const taken = await take();
    const [waiting, delayed] = [job(), job({ delayMs: LONG_MS, kind: `${context.kind}.other` })];
    const other = job({ group: `${context.group}-2` });
    await context.queue.put([waiting, delayed, other]);
    expect(await context.queue.cancel(context.group)).toBe(2);
    expect(await context.queue.holds([dead.id, leased.id, waiting.id, delayed.id, other.id])).toEqual(
      new Set([dead.id, leased.id, other.id]),
    );
    expect(await context.queue.heartbeat(taken, LONG_MS)).toBe(true);
    expect(await context.queue.complete(taken)).toBe(true);
    expect((await drain(() => lease({ limit: 10 }))).map(({ job }) => job.id)).toEqual([other.id]);
  });

  it('takes a job that waits for another attempt', async () => {
    await context.queue.put(jobs(2));
    const [one, two] = (await takeEach(2)) as [Lease, Lease];
    await context.queue.retry(one, 0);
    await context.queue.retry(two, LONG_MS);
    expect(await context.queue.cancel(context.group)).toBe(2);
    expect(await statsOf(context.kind)).toBeUndefined();
  });

  it('takes nothing of a group that has nothing', async () => {
    expect(await context.queue.cancel(unique('unknown'))).toBe(0);
  });
}

/** What the queue says that it holds. */
export function describeHoldings(context: Context): void {
  const { buried, job, take, jobs, takeEach, statsOf } = toolsOf(context);

  it('names the ids that the queue still has: waiting, put off, leased or dead', async () => {
    const dead = await buried();
    const [leased, done] = [job(), job()];
    await context.queue.put([leased]);
    await take();
    await context.queue.put([done]);
    await context.queue.complete(await take());
    const [waiting, delayed] = [job(), job({ delayMs: LONG_MS })];
    await context.queue.put([waiting, delayed]);
    const held = [dead.id, leased.id, waiting.id, delayed.id];
    expect(await context.queue.holds([...held, done.id, unique('unknown')])).toEqual(new Set(held));
    expect(await context.queue.holds([waiting.id])).toEqual(new Set([waiting.id]));
    expect(await context.queue.holds([])).toEqual(new Set());
  });

  it('answers for thousands of ids', async () => {
    const put = jobs(500);
    await context.queue.put(put);
    const asked = [...put.map(({ id }) => id), ...Array.from({ length: 4_500 }, () => unique('unknown'))];
    expect((await context.queue.holds(asked)).size).toBe(500);
  });

  it('counts each kind that holds a job by what becomes of it', async () => {
    const other = `${context.kind}.other`;
    await buried();
    await context.queue.put(jobs(2));
    await takeEach(2);
    await context.queue.put([...jobs(3), ...jobs(4, { delayMs: LONG_MS }), job({ kind: other, delayMs: LONG_MS })]);
    expect(await statsOf(context.kind)).toEqual({
      kind: context.kind,
      waiting: 3,
      delayed: 4,
      leased: 2,
      dead: 1,
      oldestMs: expect.any(Number),
    });
    expect(await statsOf(other)).toEqual({
      kind: other,
      waiting: 0,
      delayed: 1,
      leased: 0,
      dead: 0,
      oldestMs: null,
    });
    expect(await statsOf(`${context.kind}.unknown`)).toBeUndefined();
  });

  it('tells the age of the oldest job that is ready', async () => {
    await context.queue.put([job()]);
    await context.harness.clock.advance(1_000);
    await context.queue.put([job()]);
    expect((await statsOf(context.kind))?.oldestMs).toBeGreaterThanOrEqual(1_000);
    const oldest = await take();
    expect((await statsOf(context.kind))?.oldestMs).toBeLessThan(1_000);
    await take();
    expect((await statsOf(context.kind))?.oldestMs).toBeNull();
    await context.queue.complete(oldest);
  });
}
