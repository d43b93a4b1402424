import { getEventListeners } from 'node:events';
import { expect, it } from '@jest/globals';
import { whileTimePasses } from '../support/passing-time.js';
import { LONG_MS, toolsOf, type Context } from './work-queue.support.js';

/** A worker that waits for a job, and what ends its waiting. */
export function describeWaiting(context: Context): void {
  const { job, take, jobs, lease } = toolsOf(context);

  it('ends with a job that is put meanwhile', async () => {
    const put = job();
    const waiting = take();
    await context.queue.put([put]);
    expect((await waiting).job.id).toBe(put.id);
  });

  it('ends for one of several workers with each job', async () => {
    const waiting = Array.from({ length: 5 }, (_, index) => take({ worker: `${context.worker}-${index}` }));
    const put = jobs(5);
    for (const one of put) await context.queue.put([one]);
    const taken = await Promise.all(waiting);
    expect(taken.map(({ job }) => job.id).sort()).toEqual(put.map(({ id }) => id).sort());
  });

  it('does not end with a job of another kind', async () => {
    const other = job({ kind: `${context.kind}.other` });
    const put = job();
    const waiting = take();
    await context.queue.put([other]);
    await context.queue.put([put]);
    expect((await waiting).job.id).toBe(put.id);
    expect(await context.queue.holds([other.id])).toEqual(new Set([other.id]));
  });

  it('ends with a job that is given back, tried again or brought back from the dead', async () => {
    await context.queue.put([job()]);
    let taken = await take();
    for (const giveBack of [
      () => context.queue.retry(taken, 0),
      () => context.queue.abandon(context.worker),
      async () => {
        await context.queue.bury(taken, 'broken');
        await context.queue.requeue(taken.job.id);
      },
    ]) {
      const waiting = take();
      await giveBack();
      taken = await waiting;
    }
    expect(taken.attempt).toBe(1);
  });

  it('ends with a job whose delay passes meanwhile', async () => {
    const put = job({ delayMs: 300 });
    await context.queue.put([put]);
    const taken = await whileTimePasses(context.harness.clock, take());
    expect(taken.job.id).toBe(put.id);
  });

  it('ends with a job whose lease is lost meanwhile', async () => {
    await context.queue.put([job()]);
    await take({ leaseMs: 500, worker: 'gone' });
    expect(await whileTimePasses(context.harness.clock, take())).toMatchObject({ attempt: 2, worker: context.worker });
  });

  it('ends with nothing when the time is over', async () => {
    expect(await whileTimePasses(context.harness.clock, lease({ waitMs: 300 }))).toEqual([]);
  });

  it('ends with nothing when the signal fires', async () => {
    const stop = new AbortController();
    const waiting = lease({ waitMs: LONG_MS, signal: stop.signal });
    await context.queue.stats();
    stop.abort();
    expect(await waiting).toEqual([]);
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  });

  it('leaves nothing on the signal when it ends with a job', async () => {
    const { signal } = new AbortController();
    const waiting = take({ signal });
    for (let count = 0; count < 5; count++) await context.queue.put([job({ kind: `${context.kind}.other` })]);
    await context.queue.put([job()]);
    await waiting;
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('does not begin when the signal has fired before', async () => {
    expect(await lease({ waitMs: LONG_MS, signal: AbortSignal.abort() })).toEqual([]);
  });

  it('takes no job with it that is put after the signal has fired', async () => {
    const stop = new AbortController();
    const waiting = Array.from({ length: 3 }, () => lease({ waitMs: LONG_MS, signal: stop.signal }));
    await context.queue.stats();
    stop.abort();
    await Promise.all(waiting);
    const put = job();
    await context.queue.put([put]);
    expect(await take()).toMatchObject({ job: { id: put.id }, attempt: 1 });
  });
}
