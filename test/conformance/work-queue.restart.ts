import { expect, it } from '@jest/globals';
import { whileTimePasses } from '../support/passing-time.js';
import { LONG_MS, SHORT_MS, drain, toolsOf, type Context } from './work-queue.support.js';

/** What a queue knows after it was closed and opened again. */
export function describeRestart(context: Context): void {
  const { buried, job, take, reopen, lease, jobs, takeEach } = toolsOf(context);

  it('keeps what waits, is put off or lies dead', async () => {
    const dead = await buried({ payload: { n: 1 } }, 'why');
    const [waiting, delayed] = [job({ payload: { n: 2 } }), job({ delayMs: SHORT_MS })];
    await context.queue.put([waiting]);
    await context.queue.retry(await take(), 0);
    await context.queue.put([delayed]);
    await reopen();
    expect(await context.queue.holds([dead.id, waiting.id, delayed.id])).toEqual(
      new Set([dead.id, waiting.id, delayed.id]),
    );
    expect(await context.queue.deadJobs(context.kind)).toMatchObject([{ job: dead, attempt: 1, error: 'why' }]);
    await context.queue.put([waiting, delayed, dead]);
    expect(await take()).toMatchObject({ job: waiting, attempt: 2 });
    expect(await lease()).toEqual([]);
    await context.harness.clock.advance(SHORT_MS + 100);
    expect(await whileTimePasses(context.harness.clock, take())).toMatchObject({ job: { id: delayed.id }, attempt: 1 });
  });

  it('leaves leases as they are, and lets a worker give back what its former self held', async () => {
    await context.queue.put(jobs(3));
    await takeEach(2);
    const third = await take({ worker: 'another' });
    await reopen();
    expect(await lease({ limit: 10 })).toEqual([]);
    expect(await context.queue.heartbeat(third, LONG_MS)).toBe(true);
    expect(await context.queue.abandon(context.worker)).toBe(2);
    const again = await drain(() => lease({ limit: 10 }));
    expect(again.map(({ attempt }) => attempt)).toEqual([2, 2]);
    expect(await context.queue.complete(third)).toBe(true);
  });

  it('hands out again what a worker took and never came back for', async () => {
    await context.queue.put([job()]);
    const lost = await take({ leaseMs: SHORT_MS });
    await reopen();
    await context.harness.clock.advance(SHORT_MS + 100);
    const again = await whileTimePasses(context.harness.clock, take({ worker: 'another' }));
    expect(again.attempt).toBe(2);
    expect(again.token).not.toBe(lost.token);
    expect(await context.queue.complete(lost)).toBe(false);
    expect(await context.queue.complete(again)).toBe(true);
  });

  it('gives no token again', async () => {
    const tokens: string[] = [];
    for (let count = 0; count < 3; count++) {
      await context.queue.put([job()]);
      tokens.push((await take()).token);
      await reopen();
    }
    expect(new Set(tokens).size).toBe(3);
  });
}
