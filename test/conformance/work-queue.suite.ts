import { getEventListeners } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { canonicalJson } from '../../src/kernel/canonical-json.js';
import type { Job, Lease, LeaseRequest, QueueStats, WorkQueue } from '../../src/kernel/ports/work-queue.js';
import { whileTimePasses, type PassingTime } from '../support/passing-time.js';
import { unique } from '../support/unique.js';

/** A queue that may hold jobs of others, and the time that its leases and delays go by. */
export interface WorkQueueHarness {
  readonly queue: WorkQueue;
  readonly clock: PassingTime;
  /** Closes the queue and opens the same store again, as a restart would. */
  reopen(): Promise<WorkQueue>;
  close(): Promise<void>;
}

/** Longer than any test takes. */
const LONG_MS = 600_000;
/** A lease or delay that a test lets pass; long enough that a slow machine does not let it pass by itself. */
const SHORT_MS = 2_000;

/** What every work queue promises, under repetition, lost leases, competing workers and restarts. */
export function describeWorkQueue(adapter: string, open: () => Promise<WorkQueueHarness>): void {
  describe(`WorkQueue: ${adapter}`, () => {
    let harness: WorkQueueHarness;
    let queue: WorkQueue;
    /** The kind, group and worker of one test. */
    let kind: string;
    let group: string;
    let worker: string;

    beforeAll(async () => {
      harness = await open();
      queue = harness.queue;
    });
    afterAll(() => harness.close());
    beforeEach(() => {
      kind = `sample.${unique('kind')}`;
      group = unique('group');
      worker = unique('worker');
    });

    function job(fields: Partial<Job> = {}): Job {
      return { id: unique('job'), kind, group, payload: { step: 1 }, ...fields };
    }

    function jobs(count: number, fields: Partial<Job> = {}): Job[] {
      return Array.from({ length: count }, () => job(fields));
    }

    /** Asks without waiting. */
    function lease(request: Partial<LeaseRequest> = {}): Promise<readonly Lease[]> {
      return queue.lease({ kinds: [kind], worker, leaseMs: LONG_MS, ...request });
    }

    /** Takes one job that must be there, or come there by itself. */
    async function take(request: Partial<LeaseRequest> = {}): Promise<Lease> {
      const [taken] = await lease({ waitMs: LONG_MS, ...request });
      if (!taken) throw new Error('No job came');
      return taken;
    }

    /** Takes so many jobs that must be there, one after the other. */
    async function takeEach(count: number): Promise<Lease[]> {
      const taken: Lease[] = [];
      while (taken.length < count) taken.push(await take());
      return taken;
    }

    /** Puts a job, and brings it among the dead letters. */
    async function buried(fields: Partial<Job> = {}, error = 'broken'): Promise<Job> {
      const dead = job(fields);
      await queue.put([dead]);
      expect(await queue.bury(await take({ kinds: [dead.kind] }), error)).toBe(true);
      return dead;
    }

    async function statsOf(name: string): Promise<QueueStats | undefined> {
      return (await queue.stats()).find((stats) => stats.kind === name);
    }

    async function reopen(): Promise<void> {
      queue = await harness.reopen();
    }

    describe('put and lease', () => {
      it('hands out what was put, as it was put', async () => {
        const put = job({ payload: { runId: 'r-1', nested: { list: [1, 'two', null, true, { a: [] }] } } });
        await queue.put([put]);
        const taken = await take();
        expect(taken).toMatchObject({ job: put, attempt: 1, worker });
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
        await queue.put([job({ id, group: `${text}${group}`, payload })]);
        expect(await queue.holds([id])).toEqual(new Set([id]));
        const taken = await take();
        expect(taken.job).toMatchObject({ id, group: `${text}${group}` });
        expect(canonicalJson(taken.job.payload)).toBe(canonicalJson(payload));
        expect(await queue.retry(taken, 0)).toBe(true);
        expect(await queue.cancel(`${text}${group}`)).toBe(1);
      });

      it('takes a payload of a megabyte', async () => {
        const put = job({ payload: { text: 'x'.repeat(900_000) } });
        await queue.put([put]);
        expect((await take()).job.payload).toEqual(put.payload);
      });

      it('takes an empty list of jobs', async () => {
        await expect(queue.put([])).resolves.toBeUndefined();
      });

      it('gives none, and no error, when nothing is there', async () => {
        expect(await lease()).toEqual([]);
        expect(await lease({ kinds: ['sample.nobody-ever-put-one'], limit: 10 })).toEqual([]);
      });

      it('gives a job to nobody else while it is leased', async () => {
        await queue.put([job()]);
        await take();
        expect(await lease({ worker: unique('other') })).toEqual([]);
        expect(await lease()).toEqual([]);
      });

      it('gives one job when no limit is given, and no more than the limit otherwise', async () => {
        await queue.put(jobs(10));
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
          await queue.put([one]);
          await harness.clock.advance(10);
        }
        await queue.put(put.slice(3));
        const taken = [...(await takeEach(2)), ...(await drain(() => lease({ limit: 3 })))];
        expect(taken.map(({ job }) => job.id)).toEqual(put.map(({ id }) => id));
      });

      it('gives only the kinds that were asked for', async () => {
        const kinds = [kind, `${kind}.sub`, `${kind}-sub`, `x${kind}`, `${kind}_`];
        await queue.put(kinds.map((name) => job({ kind: name })));
        expect((await drain(() => lease({ kinds: [kind], limit: 10 }))).map(({ job }) => job.kind)).toEqual([kind]);
        const others = await drain(() => lease({ kinds: [kind, ...kinds.slice(1, 3)], limit: 10 }));
        expect(others.map(({ job }) => job.kind).sort()).toEqual(kinds.slice(1, 3).sort());
        const rest = await drain(() => lease({ kinds, limit: 10 }));
        expect(rest.map(({ job }) => job.kind).sort()).toEqual(kinds.slice(3).sort());
      });

      it('never gives one job to two of twenty workers that ask at once', async () => {
        const put = jobs(10);
        await queue.put(put);
        const asked = Array.from({ length: 20 }, (_, index) =>
          lease({ worker: `${worker}-${index}`, leaseMs: LONG_MS }),
        );
        const taken = (await Promise.all(asked)).flat();
        taken.push(...(await drain(() => lease({ limit: 10 }))));
        expect(taken.map(({ job }) => job.id).sort()).toEqual(put.map(({ id }) => id).sort());
      });

      it('never gives one job to two of twenty workers that each ask for several', async () => {
        const put = jobs(50);
        await queue.put(put);
        const asked = Array.from({ length: 20 }, (_, index) => lease({ worker: `${worker}-${index}`, limit: 3 }));
        const taken = (await Promise.all(asked)).flat();
        taken.push(...(await drain(() => lease({ limit: 100 }))));
        expect(taken.map(({ job }) => job.id).sort()).toEqual(put.map(({ id }) => id).sort());
      });
    });

    describe('a job that is put again', () => {
      it('adds nothing while it waits, and stays as it was', async () => {
        const first = job({ payload: { version: 1 } });
        await queue.put([first]);
        await queue.put([{ ...first, payload: { version: 2 } }]);
        expect(await statsOf(kind)).toMatchObject({ waiting: 1 });
        const taken = await drain(() => lease({ limit: 10 }));
        expect(taken.map(({ job }) => job.payload)).toEqual([{ version: 1 }]);
      });

      it('adds nothing when one call names it twice, or twenty calls at once', async () => {
        const [one, two] = [job(), job()];
        await queue.put([one, one, two]);
        await Promise.all(Array.from({ length: 20 }, () => queue.put([two, one])));
        expect(await drain(() => lease({ limit: 10 }))).toHaveLength(2);
      });

      it('is left out while the new jobs of the same call are added', async () => {
        const [known, fresh] = [job(), job()];
        await queue.put([known]);
        await queue.put([known, fresh]);
        const taken = await drain(() => lease({ limit: 10 }));
        expect(taken.map(({ job }) => job.id).sort()).toEqual([known.id, fresh.id].sort());
      });

      it('adds nothing while it is put off, and is not ready any sooner', async () => {
        const later = job({ delayMs: LONG_MS });
        await queue.put([later]);
        await queue.put([{ ...later, delayMs: 0 }]);
        expect(await lease()).toEqual([]);
        expect(await statsOf(kind)).toMatchObject({ waiting: 0, delayed: 1 });
      });

      it('adds nothing while it is leased, nor when it comes back', async () => {
        const put = job();
        await queue.put([put]);
        const taken = await take();
        await queue.put([put]);
        expect(await lease()).toEqual([]);
        await queue.retry(taken, 0);
        await queue.put([put]);
        expect(await drain(() => lease({ limit: 10 }))).toHaveLength(1);
      });

      it('adds nothing while it lies dead', async () => {
        const dead = await buried();
        await queue.put([dead]);
        expect(await lease()).toEqual([]);
        expect(await queue.deadJobs(kind)).toHaveLength(1);
      });

      it('is a new job once it has left the queue by completion, cancellation or discard', async () => {
        const put = job();
        await queue.put([put]);
        await queue.complete(await take());
        await queue.put([put]);
        expect(await queue.cancel(group)).toBe(1);
        await queue.put([put]);
        await queue.bury(await take(), 'broken');
        await queue.discard(put.id);
        await queue.put([put]);
        expect(await take()).toMatchObject({ job: { id: put.id }, attempt: 1 });
      });
    });

    describe('a lease', () => {
      it('ends with the completion of its job, which leaves the queue', async () => {
        const put = job();
        await queue.put([put]);
        const taken = await take();
        expect(await queue.complete(taken)).toBe(true);
        expect(await queue.holds([put.id])).toEqual(new Set());
        expect(await lease()).toEqual([]);
        expect(await statsOf(kind)).toBeUndefined();
      });

      it('is lost once it has ended: completing, burying, retrying or prolonging it again is false', async () => {
        for (const end of [
          (taken: Lease) => queue.complete(taken),
          (taken: Lease) => queue.retry(taken, LONG_MS),
          (taken: Lease) => queue.bury(taken, 'broken'),
        ]) {
          await queue.put([job()]);
          const taken = await take();
          expect(await end(taken)).toBe(true);
          expect(await everyUse(taken)).toEqual([false, false, false, false]);
        }
      });

      it('is lost when its time passes without a heartbeat: the job goes to another as the next attempt', async () => {
        const put = job();
        await queue.put([put]);
        const first = await take({ leaseMs: SHORT_MS });
        await harness.clock.advance(SHORT_MS + 500);
        const second = await whileTimePasses(harness.clock, take({ worker: 'another' }));
        expect(second).toMatchObject({ job: put, attempt: 2, worker: 'another' });
        expect(second.token).not.toBe(first.token);
        expect(await everyUse(first)).toEqual([false, false, false, false]);
        expect(await queue.heartbeat(second, LONG_MS)).toBe(true);
        expect(await queue.complete(second)).toBe(true);
      });

      it('is lost to a later delivery to the same worker too', async () => {
        await queue.put([job()]);
        const first = await take();
        await queue.retry(first, 0);
        const second = await take();
        expect(second.token).not.toBe(first.token);
        expect(await everyUse(first)).toEqual([false, false, false, false]);
        expect(await queue.complete(second)).toBe(true);
      });

      it('lasts as long as heartbeats come', async () => {
        await queue.put([job()]);
        const taken = await take({ leaseMs: SHORT_MS });
        for (let beat = 0; beat < 4; beat++) {
          await harness.clock.advance(SHORT_MS / 2);
          expect(await queue.heartbeat(taken, SHORT_MS)).toBe(true);
          expect(await lease()).toEqual([]);
        }
        await harness.clock.advance(SHORT_MS + 500);
        expect(await whileTimePasses(harness.clock, take())).toMatchObject({ attempt: 2 });
        expect(await queue.heartbeat(taken, SHORT_MS)).toBe(false);
      });

      it('lasts as long as its last heartbeat says, longer or shorter than before', async () => {
        await queue.put([job()]);
        const taken = await take({ leaseMs: SHORT_MS });
        expect(await queue.heartbeat(taken, SHORT_MS * 3)).toBe(true);
        await harness.clock.advance(SHORT_MS * 1.5);
        expect(await lease()).toEqual([]);
        expect(await queue.heartbeat(taken, SHORT_MS / 2)).toBe(true);
        await harness.clock.advance(SHORT_MS);
        expect(await whileTimePasses(harness.clock, take())).toMatchObject({ attempt: 2 });
      });

      it('counts every delivery as an attempt', async () => {
        await queue.put([job()]);
        const attempts: number[] = [];
        for (let count = 0; count < 5; count++) {
          const taken = await take();
          attempts.push(taken.attempt);
          await queue.retry(taken, 0);
        }
        expect(attempts).toEqual([1, 2, 3, 4, 5]);
      });
    });

    describe('a delay', () => {
      it('keeps a new job back until it has passed', async () => {
        const put = job({ delayMs: SHORT_MS });
        await queue.put([put]);
        expect(await lease()).toEqual([]);
        expect(await statsOf(kind)).toMatchObject({ waiting: 0, delayed: 1, oldestMs: null });
        await harness.clock.advance(SHORT_MS / 2);
        expect(await lease()).toEqual([]);
        await harness.clock.advance(SHORT_MS / 2 + 100);
        expect(await whileTimePasses(harness.clock, take())).toMatchObject({ job: { id: put.id }, attempt: 1 });
      });

      it('of no time makes a job ready at once', async () => {
        await queue.put([job({ delayMs: 0 })]);
        expect(await take()).toMatchObject({ attempt: 1 });
      });

      it('keeps a job that is tried again back until it has passed', async () => {
        await queue.put([job()]);
        expect(await queue.retry(await take(), SHORT_MS)).toBe(true);
        expect(await lease()).toEqual([]);
        expect(await statsOf(kind)).toMatchObject({ waiting: 0, delayed: 1, leased: 0 });
        await harness.clock.advance(SHORT_MS + 100);
        expect(await whileTimePasses(harness.clock, take())).toMatchObject({ attempt: 2 });
      });

      it('holds up no other job', async () => {
        const [late, ready] = [job({ delayMs: LONG_MS }), job()];
        await queue.put([late, ready]);
        expect((await take()).job.id).toBe(ready.id);
        expect(await lease()).toEqual([]);
      });
    });

    describe('waiting', () => {
      it('ends with a job that is put meanwhile', async () => {
        const put = job();
        const waiting = take();
        await queue.put([put]);
        expect((await waiting).job.id).toBe(put.id);
      });

      it('ends for one of several workers with each job', async () => {
        const waiting = Array.from({ length: 5 }, (_, index) => take({ worker: `${worker}-${index}` }));
        const put = jobs(5);
        for (const one of put) await queue.put([one]);
        const taken = await Promise.all(waiting);
        expect(taken.map(({ job }) => job.id).sort()).toEqual(put.map(({ id }) => id).sort());
      });

      it('does not end with a job of another kind', async () => {
        const other = job({ kind: `${kind}.other` });
        const put = job();
        const waiting = take();
        await queue.put([other]);
        await queue.put([put]);
        expect((await waiting).job.id).toBe(put.id);
        expect(await queue.holds([other.id])).toEqual(new Set([other.id]));
      });

      it('ends with a job that is given back, tried again or brought back from the dead', async () => {
        await queue.put([job()]);
        let taken = await take();
        for (const giveBack of [
          () => queue.retry(taken, 0),
          () => queue.abandon(worker),
          async () => {
            await queue.bury(taken, 'broken');
            await queue.requeue(taken.job.id);
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
        await queue.put([put]);
        const taken = await whileTimePasses(harness.clock, take());
        expect(taken.job.id).toBe(put.id);
      });

      it('ends with a job whose lease is lost meanwhile', async () => {
        await queue.put([job()]);
        await take({ leaseMs: 500, worker: 'gone' });
        expect(await whileTimePasses(harness.clock, take())).toMatchObject({ attempt: 2, worker });
      });

      it('ends with nothing when the time is over', async () => {
        expect(await whileTimePasses(harness.clock, lease({ waitMs: 300 }))).toEqual([]);
      });

      it('ends with nothing when the signal fires', async () => {
        const stop = new AbortController();
        const waiting = lease({ waitMs: LONG_MS, signal: stop.signal });
        await queue.stats();
        stop.abort();
        expect(await waiting).toEqual([]);
        expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
      });

      it('leaves nothing on the signal when it ends with a job', async () => {
        const { signal } = new AbortController();
        const waiting = take({ signal });
        for (let count = 0; count < 5; count++) await queue.put([job({ kind: `${kind}.other` })]);
        await queue.put([job()]);
        await waiting;
        expect(getEventListeners(signal, 'abort')).toEqual([]);
      });

      it('does not begin when the signal has fired before', async () => {
        expect(await lease({ waitMs: LONG_MS, signal: AbortSignal.abort() })).toEqual([]);
      });

      it('takes no job with it that is put after the signal has fired', async () => {
        const stop = new AbortController();
        const waiting = Array.from({ length: 3 }, () => lease({ waitMs: LONG_MS, signal: stop.signal }));
        await queue.stats();
        stop.abort();
        await Promise.all(waiting);
        const put = job();
        await queue.put([put]);
        expect(await take()).toMatchObject({ job: { id: put.id }, attempt: 1 });
      });
    });

    describe('dead letters', () => {
      it('lie apart with their attempt and error, oldest first', async () => {
        const first = await buried({ payload: { n: 1 } }, 'first: "ünï" \n\u0000');
        const second = job();
        await queue.put([second]);
        await queue.retry(await take(), 0);
        await queue.bury(await take(), '');
        const third = await buried();
        await buried({ kind: `${kind}.other` });
        expect(await queue.deadJobs(kind)).toMatchObject([
          { job: first, attempt: 1, error: 'first: "ünï" \n\u0000' },
          { job: second, attempt: 2, error: '' },
          { job: third, attempt: 1, error: 'broken' },
        ]);
        expect(await lease()).toEqual([]);
      });

      it('are given up to the limit, 100 when there is none', async () => {
        await queue.put(jobs(105));
        for (const taken of await drain(() => lease({ limit: 200 }))) await queue.bury(taken, 'broken');
        expect(await queue.deadJobs(kind)).toHaveLength(100);
        expect(await queue.deadJobs(kind, 3)).toHaveLength(3);
        expect(await queue.deadJobs(kind, 1_000)).toHaveLength(105);
      });

      it('are none of a kind that has none', async () => {
        await queue.put([job()]);
        expect(await queue.deadJobs(kind)).toEqual([]);
        expect(await queue.deadJobs(`${kind}.unknown`)).toEqual([]);
      });

      it('become ready again, their attempts counted anew', async () => {
        const put = job();
        await queue.put([put]);
        await queue.retry(await take(), 0);
        await queue.bury(await take(), 'broken');
        expect(await queue.requeue(put.id)).toBe(true);
        expect(await queue.deadJobs(kind)).toEqual([]);
        expect(await take()).toMatchObject({ job: put, attempt: 1 });
      });

      it('are removed for good', async () => {
        const dead = await buried();
        expect(await queue.discard(dead.id)).toBe(true);
        expect(await queue.deadJobs(kind)).toEqual([]);
        expect(await queue.holds([dead.id])).toEqual(new Set());
        expect(await queue.discard(dead.id)).toBe(false);
        expect(await queue.requeue(dead.id)).toBe(false);
      });

      it('are not what waits, is put off or leased: requeue and discard leave those alone', async () => {
        const [leased, waiting, delayed] = [job(), job(), job({ delayMs: LONG_MS })];
        await queue.put([leased]);
        const taken = await take();
        await queue.put([waiting, delayed]);
        for (const id of [leased.id, waiting.id, delayed.id, unique('unknown')]) {
          expect([await queue.requeue(id), await queue.discard(id)]).toEqual([false, false]);
        }
        expect(await statsOf(kind)).toMatchObject({ waiting: 1, delayed: 1, leased: 1, dead: 0 });
        expect(await queue.complete(taken)).toBe(true);
      });
    });

    describe('abandon', () => {
      it('gives back at once what one worker holds, of every kind, and nothing of another', async () => {
        const other = `${kind}.other`;
        await queue.put([...jobs(2), job({ kind: other })]);
        const mine = await drain(() => lease({ kinds: [kind, other], limit: 10 }));
        await queue.put(jobs(1));
        const theirs = await take({ worker: `${worker}-2` });
        expect(await queue.abandon(worker)).toBe(3);
        for (const taken of mine) expect(await queue.heartbeat(taken, LONG_MS)).toBe(false);
        const again = await drain(() => lease({ kinds: [kind, other], limit: 10, worker: 'next' }));
        expect(again.map(({ job, attempt }) => [job.id, attempt]).sort()).toEqual(
          mine.map(({ job }) => [job.id, 2]).sort(),
        );
        expect(await queue.complete(theirs)).toBe(true);
      });

      it('gives back nothing of a worker that holds nothing', async () => {
        await queue.put([job()]);
        await queue.complete(await take());
        expect(await queue.abandon(worker)).toBe(0);
        expect(await queue.abandon(unique('unknown'))).toBe(0);
      });
    });

    describe('cancel', () => {
      it('takes what waits or is put off of one group, and leaves what is leased, dead or of another', async () => {
        const dead = await buried();
        const leased = job();
        await queue.put([leased]);
        const taken = await take();
        const [waiting, delayed] = [job(), job({ delayMs: LONG_MS, kind: `${kind}.other` })];
        const other = job({ group: `${group}-2` });
        await queue.put([waiting, delayed, other]);
        expect(await queue.cancel(group)).toBe(2);
        expect(await queue.holds([dead.id, leased.id, waiting.id, delayed.id, other.id])).toEqual(
          new Set([dead.id, leased.id, other.id]),
        );
        expect(await queue.heartbeat(taken, LONG_MS)).toBe(true);
        expect(await queue.complete(taken)).toBe(true);
        expect((await drain(() => lease({ limit: 10 }))).map(({ job }) => job.id)).toEqual([other.id]);
      });

      it('takes a job that waits for another attempt', async () => {
        await queue.put(jobs(2));
        const [one, two] = (await takeEach(2)) as [Lease, Lease];
        await queue.retry(one, 0);
        await queue.retry(two, LONG_MS);
        expect(await queue.cancel(group)).toBe(2);
        expect(await statsOf(kind)).toBeUndefined();
      });

      it('takes nothing of a group that has nothing', async () => {
        expect(await queue.cancel(unique('unknown'))).toBe(0);
      });
    });

    describe('holds and stats', () => {
      it('names the ids that the queue still has: waiting, put off, leased or dead', async () => {
        const dead = await buried();
        const [leased, done] = [job(), job()];
        await queue.put([leased]);
        await take();
        await queue.put([done]);
        await queue.complete(await take());
        const [waiting, delayed] = [job(), job({ delayMs: LONG_MS })];
        await queue.put([waiting, delayed]);
        const held = [dead.id, leased.id, waiting.id, delayed.id];
        expect(await queue.holds([...held, done.id, unique('unknown')])).toEqual(new Set(held));
        expect(await queue.holds([waiting.id])).toEqual(new Set([waiting.id]));
        expect(await queue.holds([])).toEqual(new Set());
      });

      it('answers for thousands of ids', async () => {
        const put = jobs(500);
        await queue.put(put);
        const asked = [...put.map(({ id }) => id), ...Array.from({ length: 4_500 }, () => unique('unknown'))];
        expect((await queue.holds(asked)).size).toBe(500);
      });

      it('counts each kind that holds a job by what becomes of it', async () => {
        const other = `${kind}.other`;
        await buried();
        await queue.put(jobs(2));
        await takeEach(2);
        await queue.put([...jobs(3), ...jobs(4, { delayMs: LONG_MS }), job({ kind: other, delayMs: LONG_MS })]);
        expect(await statsOf(kind)).toEqual({
          kind,
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
        expect(await statsOf(`${kind}.unknown`)).toBeUndefined();
      });

      it('tells the age of the oldest job that is ready', async () => {
        await queue.put([job()]);
        await harness.clock.advance(1_000);
        await queue.put([job()]);
        expect((await statsOf(kind))?.oldestMs).toBeGreaterThanOrEqual(1_000);
        const oldest = await take();
        expect((await statsOf(kind))?.oldestMs).toBeLessThan(1_000);
        await take();
        expect((await statsOf(kind))?.oldestMs).toBeNull();
        await queue.complete(oldest);
      });
    });

    describe('a restart', () => {
      it('keeps what waits, is put off or lies dead', async () => {
        const dead = await buried({ payload: { n: 1 } }, 'why');
        const [waiting, delayed] = [job({ payload: { n: 2 } }), job({ delayMs: SHORT_MS })];
        await queue.put([waiting]);
        await queue.retry(await take(), 0);
        await queue.put([delayed]);
        await reopen();
        expect(await queue.holds([dead.id, waiting.id, delayed.id])).toEqual(
          new Set([dead.id, waiting.id, delayed.id]),
        );
        expect(await queue.deadJobs(kind)).toMatchObject([{ job: dead, attempt: 1, error: 'why' }]);
        await queue.put([waiting, delayed, dead]);
        expect(await take()).toMatchObject({ job: waiting, attempt: 2 });
        expect(await lease()).toEqual([]);
        await harness.clock.advance(SHORT_MS + 100);
        expect(await whileTimePasses(harness.clock, take())).toMatchObject({ job: { id: delayed.id }, attempt: 1 });
      });

      it('leaves leases as they are, and lets a worker give back what its former self held', async () => {
        await queue.put(jobs(3));
        await takeEach(2);
        const third = await take({ worker: 'another' });
        await reopen();
        expect(await lease({ limit: 10 })).toEqual([]);
        expect(await queue.heartbeat(third, LONG_MS)).toBe(true);
        expect(await queue.abandon(worker)).toBe(2);
        const again = await drain(() => lease({ limit: 10 }));
        expect(again.map(({ attempt }) => attempt)).toEqual([2, 2]);
        expect(await queue.complete(third)).toBe(true);
      });

      it('hands out again what a worker took and never came back for', async () => {
        await queue.put([job()]);
        const lost = await take({ leaseMs: SHORT_MS });
        await reopen();
        await harness.clock.advance(SHORT_MS + 100);
        const again = await whileTimePasses(harness.clock, take({ worker: 'another' }));
        expect(again.attempt).toBe(2);
        expect(again.token).not.toBe(lost.token);
        expect(await queue.complete(lost)).toBe(false);
        expect(await queue.complete(again)).toBe(true);
      });

      it('gives no token again', async () => {
        const tokens: string[] = [];
        for (let count = 0; count < 3; count++) {
          await queue.put([job()]);
          tokens.push((await take()).token);
          await reopen();
        }
        expect(new Set(tokens).size).toBe(3);
      });
    });

    /** What heartbeat, complete, retry and bury say. */
    async function everyUse(taken: Lease): Promise<boolean[]> {
      return [
        await queue.heartbeat(taken, LONG_MS),
        await queue.complete(taken),
        await queue.retry(taken, 0),
        await queue.bury(taken, 'late'),
      ];
    }
  });
}

/** Asks until nothing comes any more. */
async function drain(ask: () => Promise<readonly Lease[]>): Promise<Lease[]> {
  const all: Lease[] = [];
  for (;;) {
    const some = await ask();
    if (some.length === 0) return all;
    all.push(...some);
  }
}
