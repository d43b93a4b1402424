import { expect, it } from '@jest/globals';
import type { Lease } from '../../src/kernel/ports/work-queue.js';
import { whileTimePasses } from '../support/passing-time.js';
import { unique } from '../support/unique.js';
import { LONG_MS, SHORT_MS, drain, toolsOf, type Context } from './work-queue.support.js';

/** How a lease lasts, ends and is lost. */
export function describeLease(context: Context): void {
  const { job, take, lease, statsOf } = toolsOf(context);

  it('ends with the completion of its job, which leaves the queue', async () => {
    const put = job();
    await context.queue.put([put]);
    const taken = await take();
    expect(await context.queue.complete(taken)).toBe(true);
    expect(await context.queue.holds([put.id])).toEqual(new Set());
    expect(await lease()).toEqual([]);
    expect(await statsOf(context.kind)).toBeUndefined();
  });

  it('is lost once it has ended: completing, burying, retrying or prolonging it again is false', async () => {
    for (const end of [
      (taken: Lease) => context.queue.complete(taken),
      (taken: Lease) => context.queue.retry(taken, LONG_MS),
      (taken: Lease) => context.queue.bury(taken, 'broken'),
    ]) {
      await context.queue.put([job()]);
      const taken = await take();
      expect(await end(taken)).toBe(true);
      expect(await everyUse(taken)).toEqual([false, false, false, false]);
    }
  });

  it('is lost when its time passes without a heartbeat: the job goes to another as the next attempt', async () => {
    const put = job();
    await context.queue.put([put]);
    const first = await take({ leaseMs: SHORT_MS });
    await context.harness.clock.advance(SHORT_MS + 500);
    const second = await whileTimePasses(context.harness.clock, take({ worker: 'another' }));
    expect(second).toMatchObject({ job: put, attempt: 2, worker: 'another' });
    expect(second.token).not.toBe(first.token);
    expect(await everyUse(first)).toEqual([false, false, false, false]);
    expect(await context.queue.heartbeat(second, LONG_MS)).toBe(true);
    expect(await context.queue.complete(second)).toBe(true);
  });

  it('is lost to a later delivery to the same worker too', async () => {
    await context.queue.put([job()]);
    const first = await take();
    await context.queue.retry(first, 0);
    const second = await take();
    expect(second.token).not.toBe(first.token);
    expect(await everyUse(first)).toEqual([false, false, false, false]);
    expect(await context.queue.complete(second)).toBe(true);
  });

  it('lasts as long as heartbeats come', async () => {
    await context.queue.put([job()]);
    const taken = await take({ leaseMs: SHORT_MS });
    for (let beat = 0; beat < 4; beat++) {
      await context.harness.clock.advance(SHORT_MS / 2);
      expect(await context.queue.heartbeat(taken, SHORT_MS)).toBe(true);
      expect(await lease()).toEqual([]);
    }
    await context.harness.clock.advance(SHORT_MS + 500);
    expect(await whileTimePasses(context.harness.clock, take())).toMatchObject({ attempt: 2 });
    expect(await context.queue.heartbeat(taken, SHORT_MS)).toBe(false);
  });

  it('lasts as long as its last heartbeat says, longer or shorter than before', async () => {
    await context.queue.put([job()]);
    const taken = await take({ leaseMs: SHORT_MS });
    expect(await context.queue.heartbeat(taken, SHORT_MS * 3)).toBe(true);
    await context.harness.clock.advance(SHORT_MS * 1.5);
    expect(await lease()).toEqual([]);
    expect(await context.queue.heartbeat(taken, SHORT_MS / 2)).toBe(true);
    await context.harness.clock.advance(SHORT_MS);
    expect(await whileTimePasses(context.harness.clock, take())).toMatchObject({ attempt: 2 });
  });

  it('counts every delivery as an attempt', async () => {
    await context.queue.put([job()]);
    const attempts: number[] = [];
    for (let count = 0; count < 5; count++) {
      const taken = await take();
      attempts.push(taken.attempt);
      await context.queue.retry(taken, 0);
    }
    expect(attempts).toEqual([1, 2, 3, 4, 5]);
  });

  /** What heartbeat, complete, retry and bury say. */
  async function everyUse(taken: Lease): Promise<boolean[]> {
    return [
      await context.queue.heartbeat(taken, LONG_MS),
      await context.queue.complete(taken),
      await context.queue.retry(taken, 0),
      await context.queue.bury(taken, 'late'),
    ];
  }
}

/** What is put off comes when its time has come. */
export function describeDelay(context: Context): void {
  const { job, lease, statsOf, take } = toolsOf(context);

  it('keeps a new job back until it has passed', async () => {
    const put = job({ delayMs: SHORT_MS });
    await context.queue.put([put]);
    expect(await lease()).toEqual([]);
    expect(await statsOf(context.kind)).toMatchObject({ waiting: 0, delayed: 1, oldestMs: null });
    await context.harness.clock.advance(SHORT_MS / 2);
    expect(await lease()).toEqual([]);
    await context.harness.clock.advance(SHORT_MS / 2 + 100);
    expect(await whileTimePasses(context.harness.clock, take())).toMatchObject({ job: { id: put.id }, attempt: 1 });
  });

  it('of no time makes a job ready at once', async () => {
    await context.queue.put([job({ delayMs: 0 })]);
    expect(await take()).toMatchObject({ attempt: 1 });
  });

  it('keeps a job that is tried again back until it has passed', async () => {
    await context.queue.put([job()]);
    expect(await context.queue.retry(await take(), SHORT_MS)).toBe(true);
    expect(await lease()).toEqual([]);
    expect(await statsOf(context.kind)).toMatchObject({ waiting: 0, delayed: 1, leased: 0 });
    await context.harness.clock.advance(SHORT_MS + 100);
    expect(await whileTimePasses(context.harness.clock, take())).toMatchObject({ attempt: 2 });
  });

  it('holds up no other job', async () => {
    const [late, ready] = [job({ delayMs: LONG_MS }), job()];
    await context.queue.put([late, ready]);
    expect((await take()).job.id).toBe(ready.id);
    expect(await lease()).toEqual([]);
  });
}

/** A worker gives back what it holds. */
export function describeAbandon(context: Context): void {
  const { jobs, job, lease, take } = toolsOf(context);

  it('gives back at once what one worker holds, of every kind, and nothing of another', async () => {
    const other = `${context.kind}.other`;
    await context.queue.put([...jobs(2), job({ kind: other })]);
    const mine = await drain(() => lease({ kinds: [context.kind, other], limit: 10 }));
    await context.queue.put(jobs(1));
    const theirs = await take({ worker: `${context.worker}-2` });
    expect(await context.queue.abandon(context.worker)).toBe(3);
    for (const taken of mine) expect(await context.queue.heartbeat(taken, LONG_MS)).toBe(false);
    const again = await drain(() => lease({ kinds: [context.kind, other], limit: 10, worker: 'next' }));
    expect(again.map(({ job, attempt }) => [job.id, attempt]).sort()).toEqual(
      mine.map(({ job }) => [job.id, 2]).sort(),
    );
    expect(await context.queue.complete(theirs)).toBe(true);
  });

  it('gives back nothing of a worker that holds nothing', async () => {
    await context.queue.put([job()]);
    await context.queue.complete(await take());
    expect(await context.queue.abandon(context.worker)).toBe(0);
    expect(await context.queue.abandon(unique('unknown'))).toBe(0);
  });
}
