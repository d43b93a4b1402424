import { expect, it } from '@jest/globals';
import { canonicalJson } from '../../src/kernel/canonical-json.js';
import type { Job } from '../../src/kernel/ports/work-queue.js';
import { unique } from '../support/unique.js';
import { LONG_MS, drain, toolsOf, type Context } from './work-queue.support.js';

/** What is put in comes out, once, to one worker. */
export function describePut(context: Context): void {
  const { job, take, lease, jobs, takeEach } = toolsOf(context);

  it('hands out what was put, as it was put', async () => {
    const put = job({ payload: { runId: 'r-1', nested: { list: [1, 'two', null, true, { a: [] }] } } });
    await context.queue.put([put]);
    const taken = await take();
    expect(taken).toMatchObject({ job: put, attempt: 1, worker: context.worker });
    expect(taken.token).not.toBe('');
  });

  it.each([
    ['Unicode and quotes', 'it\'s "ünï" 漢 😀'],
    ['dots, stars and brackets', 'a.*.>.b'],
    ['slashes, colons and per cent', 'events/1:2%20#?&='],
    ['white space', ' a  b\tc\n'],
    ['the name of a built-in property', '__proto__'],
  ])('takes ids, groups and payloads of %s', async (_, text) => {
    const id = `${text}${unique('')}`;
    const payload = JSON.parse(
      `{"__proto__":1,${JSON.stringify(text)}:${JSON.stringify(`${text}\u0000`)}}`,
    ) as Job['payload'];
    await context.queue.put([job({ id, group: `${text}${context.group}`, payload })]);
    expect(await context.queue.holds([id])).toEqual(new Set([id]));
    const taken = await take();
    expect(taken.job).toMatchObject({ id, group: `${text}${context.group}` });
    expect(canonicalJson(taken.job.payload)).toBe(canonicalJson(payload));
    expect(await context.queue.retry(taken, 0)).toBe(true);
    expect(await context.queue.cancel(`${text}${context.group}`)).toBe(1);
  });

  it('takes a payload of a megabyte', async () => {
    const put = job({ payload: { text: 'x'.repeat(900_000) } });
    await context.queue.put([put]);
    expect((await take()).job.payload).toEqual(put.payload);
  });

  it('takes an empty list of jobs', async () => {
    await expect(context.queue.put([])).resolves.toBeUndefined();
  });

  it('gives none, and no error, when nothing is there', async () => {
    expect(await lease()).toEqual([]);
    expect(await lease({ kinds: ['sample.nobody-ever-put-one'], limit: 10 })).toEqual([]);
  });

  it('gives a job to nobody else while it is leased', async () => {
    await context.queue.put([job()]);
    await take();
    expect(await lease({ worker: unique('other') })).toEqual([]);
    expect(await lease()).toEqual([]);
  });

  it('gives one job when no limit is given, and no more than the limit otherwise', async () => {
    await context.queue.put(jobs(10));
    expect(await lease()).toHaveLength(1);
    const four = await lease({ limit: 4, waitMs: LONG_MS });
    expect(four.length).toBeGreaterThan(0);
    expect(four.length).toBeLessThanOrEqual(4);
    const rest = await drain(() => lease({ limit: 100 }));
    expect(1 + four.length + rest.length).toBe(10);
  });

  it('gives the oldest first', async () => {
    const put = jobs(6);
    for (const one of put.slice(0, 3)) {
      await context.queue.put([one]);
      await context.harness.clock.advance(10);
    }
    await context.queue.put(put.slice(3));
    const taken = [...(await takeEach(2)), ...(await drain(() => lease({ limit: 3 })))];
    expect(taken.map(({ job }) => job.id)).toEqual(put.map(({ id }) => id));
  });

  it('gives only the kinds that were asked for', async () => {
    const kinds = [context.kind, `${context.kind}.sub`, `${context.kind}-sub`, `x${context.kind}`, `${context.kind}_`];
    await context.queue.put(kinds.map((name) => job({ kind: name })));
    expect((await drain(() => lease({ kinds: [context.kind], limit: 10 }))).map(({ job }) => job.kind)).toEqual([
      context.kind,
    ]);
    const others = await drain(() => lease({ kinds: [context.kind, ...kinds.slice(1, 3)], limit: 10 }));
    expect(others.map(({ job }) => job.kind).sort()).toEqual(kinds.slice(1, 3).sort());
    const rest = await drain(() => lease({ kinds, limit: 10 }));
    expect(rest.map(({ job }) => job.kind).sort()).toEqual(kinds.slice(3).sort());
  });

  it('never gives one job to two of twenty workers that ask at once', async () => {
    const put = jobs(10);
    await context.queue.put(put);
    const asked = Array.from({ length: 20 }, (_, index) =>
      lease({ worker: `${context.worker}-${index}`, leaseMs: LONG_MS }),
    );
    const taken = (await Promise.all(asked)).flat();
    taken.push(...(await drain(() => lease({ limit: 10 }))));
    expect(taken.map(({ job }) => job.id).sort()).toEqual(put.map(({ id }) => id).sort());
  });

  it('never gives one job to two of twenty workers that each ask for several', async () => {
    const put = jobs(50);
    await context.queue.put(put);
    const asked = Array.from({ length: 20 }, (_, index) => lease({ worker: `${context.worker}-${index}`, limit: 3 }));
    const taken = (await Promise.all(asked)).flat();
    taken.push(...(await drain(() => lease({ limit: 100 }))));
    expect(taken.map(({ job }) => job.id).sort()).toEqual(put.map(({ id }) => id).sort());
  });
}

/** A job that the queue has is not added a second time. */
export function describeRepeats(context: Context): void {
  const { job, statsOf, lease, take, buried } = toolsOf(context);

  it('adds nothing while it waits, and stays as it was', async () => {
    const first = job({ payload: { version: 1 } });
    await context.queue.put([first]);
    await context.queue.put([{ ...first, payload: { version: 2 } }]);
    expect(await statsOf(context.kind)).toMatchObject({ waiting: 1 });
    const taken = await drain(() => lease({ limit: 10 }));
    expect(taken.map(({ job }) => job.payload)).toEqual([{ version: 1 }]);
  });

  it('adds nothing when one call names it twice, or twenty calls at once', async () => {
    const [one, two] = [job(), job()];
    await context.queue.put([one, one, two]);
    await Promise.all(Array.from({ length: 20 }, () => context.queue.put([two, one])));
    expect(await drain(() => lease({ limit: 10 }))).toHaveLength(2);
  });

  it('is left out while the new jobs of the same call are added', async () => {
    const [known, fresh] = [job(), job()];
    await context.queue.put([known]);
    await context.queue.put([known, fresh]);
    const taken = await drain(() => lease({ limit: 10 }));
    expect(taken.map(({ job }) => job.id).sort()).toEqual([known.id, fresh.id].sort());
  });

  it('adds nothing while it is put off, and is not ready any sooner', async () => {
    const later = job({ delayMs: LONG_MS });
    await context.queue.put([later]);
    await context.queue.put([{ ...later, delayMs: 0 }]);
    expect(await lease()).toEqual([]);
    expect(await statsOf(context.kind)).toMatchObject({ waiting: 0, delayed: 1 });
  });

  it('adds nothing while it is leased, nor when it comes back', async () => {
    const put = job();
    await context.queue.put([put]);
    const taken = await take();
    await context.queue.put([put]);
    expect(await lease()).toEqual([]);
    await context.queue.retry(taken, 0);
    await context.queue.put([put]);
    expect(await drain(() => lease({ limit: 10 }))).toHaveLength(1);
  });

  it('adds nothing while it lies dead', async () => {
    const dead = await buried();
    await context.queue.put([dead]);
    expect(await lease()).toEqual([]);
    expect(await context.queue.deadJobs(context.kind)).toHaveLength(1);
  });

  it('is a new job once it has left the queue by completion, cancellation or discard', async () => {
    const put = job();
    await context.queue.put([put]);
    await context.queue.complete(await take());
    await context.queue.put([put]);
    expect(await context.queue.cancel(context.group)).toBe(1);
    await context.queue.put([put]);
    await context.queue.bury(await take(), 'broken');
    await context.queue.discard(put.id);
    await context.queue.put([put]);
    expect(await take()).toMatchObject({ job: { id: put.id }, attempt: 1 });
  });
}
