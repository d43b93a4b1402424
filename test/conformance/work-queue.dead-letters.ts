import { expect, it } from '@jest/globals';
import { unique } from '../support/unique.js';
import { LONG_MS, drain, toolsOf, type Context } from './work-queue.support.js';

/** Jobs that were given up, and the ways back and out. */
export function describeDeadLetters(context: Context): void {
  const { buried, job, take, lease, jobs, statsOf } = toolsOf(context);

  it('lie apart with their attempt and error, oldest first', async () => {
    const first = await buried({ payload: { n: 1 } }, 'first: "ünï" \n\u0000');
    const second = job();
    await context.queue.put([second]);
    await context.queue.retry(await take(), 0);
    await context.queue.bury(await take(), '');
    const third = await buried();
    await buried({ kind: `${context.kind}.other` });
    expect(await context.queue.deadJobs(context.kind)).toMatchObject([
      { job: first, attempt: 1, error: 'first: "ünï" \n\u0000' },
      { job: second, attempt: 2, error: '' },
      { job: third, attempt: 1, error: 'broken' },
    ]);
    expect(await lease()).toEqual([]);
  });

  it('are given up to the limit, 100 when there is none', async () => {
    await context.queue.put(jobs(105));
    for (const taken of await drain(() => lease({ limit: 200 }))) await context.queue.bury(taken, 'broken');
    expect(await context.queue.deadJobs(context.kind)).toHaveLength(100);
    expect(await context.queue.deadJobs(context.kind, 3)).toHaveLength(3);
    expect(await context.queue.deadJobs(context.kind, 1_000)).toHaveLength(105);
  });

  it('are none of a kind that has none', async () => {
    await context.queue.put([job()]);
    expect(await context.queue.deadJobs(context.kind)).toEqual([]);
    expect(await context.queue.deadJobs(`${context.kind}.unknown`)).toEqual([]);
  });

  it('become ready again, their attempts counted anew', async () => {
    const put = job();
    await context.queue.put([put]);
    await context.queue.retry(await take(), 0);
    await context.queue.bury(await take(), 'broken');
    expect(await context.queue.requeue(put.id)).toBe(true);
    expect(await context.queue.deadJobs(context.kind)).toEqual([]);
    expect(await take()).toMatchObject({ job: put, attempt: 1 });
  });

  it('are removed for good', async () => {
    const dead = await buried();
    expect(await context.queue.discard(dead.id)).toBe(true);
    expect(await context.queue.deadJobs(context.kind)).toEqual([]);
    expect(await context.queue.holds([dead.id])).toEqual(new Set());
    expect(await context.queue.discard(dead.id)).toBe(false);
    expect(await context.queue.requeue(dead.id)).toBe(false);
  });

  it('are not what waits, is put off or leased: requeue and discard leave those alone', async () => {
    const [leased, waiting, delayed] = [job(), job(), job({ delayMs: LONG_MS })];
    await context.queue.put([leased]);
    const taken = await take();
    await context.queue.put([waiting, delayed]);
    for (const id of [leased.id, waiting.id, delayed.id, unique('unknown')]) {
      expect([await context.queue.requeue(id), await context.queue.discard(id)]).toEqual([false, false]);
    }
    expect(await statsOf(context.kind)).toMatchObject({ waiting: 1, delayed: 1, leased: 1, dead: 0 });
    expect(await context.queue.complete(taken)).toBe(true);
  });
}
