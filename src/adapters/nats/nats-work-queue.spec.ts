import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connect } from 'nats';
import { startNatsServer } from '../../../test/support/servers/nats.mjs';
import type { TestServer } from '../../../test/support/servers/server-process.mjs';
import { TcpProxy } from '../../../test/support/tcp-proxy.js';
import { TestClock } from '../../../test/support/test-clock.js';
import { unique } from '../../../test/support/unique.js';
import { until } from '../../../test/support/until.js';
import { TooLarge, Unavailable } from '../../kernel/errors.js';
import { createLogger } from '../../kernel/logger.js';
import type { Job, Lease } from '../../kernel/ports/work-queue.js';
import { SystemClock } from '../system/system-clock.js';
import { NatsWorkQueue, type NatsWorkQueueOptions } from './nats-work-queue.js';

const STREAM = 'WORK';
/** Longer than any test takes. */
const LONG_MS = 600_000;
const KIND = 'sample.kind';

describe('the NATS work queue', () => {
  let server: TestServer;
  let proxy: TcpProxy;
  let queues: NatsWorkQueue[];

  beforeEach(async () => {
    server = await startNatsServer();
    proxy = await TcpProxy.open(server.port);
    queues = [];
  });
  afterEach(async () => {
    server.thaw();
    proxy.unmute();
    for (const queue of queues) await queue.close();
    await proxy.close();
    await server.close();
  });

  async function open(options: Partial<NatsWorkQueueOptions> = {}): Promise<NatsWorkQueue> {
    const queue = await NatsWorkQueue.open({
      url: server.url,
      clock: new SystemClock(),
      logger: createLogger('silent'),
      stream: STREAM,
      ...options,
    });
    queues.push(queue);
    return queue;
  }

  function throughProxy(): Promise<NatsWorkQueue> {
    return open({ url: `nats://127.0.0.1:${proxy.port}`, pingMs: 500, timeoutMs: 1_000 });
  }

  function job(fields: Partial<Job> = {}): Job {
    return { id: unique('job'), kind: KIND, group: 'group', payload: {}, ...fields };
  }

  function jobs(count: number): Job[] {
    return Array.from({ length: count }, () => job());
  }

  async function leaseFrom(queue: NatsWorkQueue, fields: { leaseMs?: number; waitMs?: number; worker?: string } = {}) {
    return queue.lease({ kinds: [KIND], worker: 'worker', leaseMs: LONG_MS, ...fields });
  }

  async function take(queue: NatsWorkQueue, fields: { leaseMs?: number; worker?: string } = {}): Promise<Lease> {
    const [lease] = await leaseFrom(queue, { waitMs: 20_000, ...fields });
    if (!lease) throw new Error('No job came');
    return lease;
  }

  /** Asks again and again while the server cannot be reached. */
  function patiently<Result>(what: string, ask: () => Promise<Result>): Promise<{ readonly value: Result }> {
    return until(what, async () => {
      try {
        return { value: await ask() };
      } catch (error) {
        if (error instanceof Unavailable) return undefined;
        throw error;
      }
    });
  }

  /** Works until all is put and nothing is held any more. */
  async function workOff(queue: NatsWorkQueue, worker: string, allPut: () => boolean) {
    const [leased, completed]: [Lease[], Lease[]] = [[], []];
    await until('everything is done', async () => {
      try {
        const last = allPut();
        for (const lease of await queue.lease({ kinds: [KIND], worker, leaseMs: 2_000, limit: 5, waitMs: 100 })) {
          leased.push(lease);
          if (await queue.complete(lease)) completed.push(lease);
        }
        return last && (await queue.stats()).length === 0;
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        return false;
      }
    });
    return { leased, completed };
  }

  async function messagesInStream(): Promise<number> {
    const connection = await connect({ servers: server.url });
    const { state } = await (await connection.jetstreamManager()).streams.info(STREAM);
    await connection.close();
    return state.messages;
  }

  it('is Unavailable at once where no server is', async () => {
    await server.stop();
    await expect(open()).rejects.toThrow(Unavailable);
    await server.start();
  });

  it.each(['stop', 'kill'] as const)(
    'is Unavailable after a %s of the server, and goes on where it was',
    async (end) => {
      const queue = await open();
      const [waiting, later, dead] = [job(), job({ delayMs: LONG_MS }), job()];
      await queue.put([dead]);
      await queue.bury(await take(queue), 'broken');
      await queue.put(jobs(1));
      const lease = await take(queue);
      await queue.put([waiting, later]);
      await server[end]();
      for (const ask of [
        () => queue.put(jobs(1)),
        () => leaseFrom(queue),
        () => queue.heartbeat(lease, LONG_MS),
        () => queue.complete(lease),
        () => queue.cancel('group'),
        () => queue.abandon('worker'),
        () => queue.stats(),
        () => queue.holds([waiting.id]),
        () => queue.deadJobs(KIND),
        () => queue.requeue(dead.id),
      ]) {
        await expect(ask()).rejects.toThrow(Unavailable);
      }
      await server.start();
      const { value: stats } = await patiently('the server answers', () => queue.stats());
      expect(stats).toMatchObject([{ kind: KIND, waiting: 1, delayed: 1, leased: 1, dead: 1 }]);
      expect(await queue.complete(lease)).toBe(true);
      expect((await take(queue)).job.id).toBe(waiting.id);
      expect(await queue.deadJobs(KIND)).toMatchObject([{ job: { id: dead.id }, error: 'broken' }]);
    },
  );

  it('wakes a waiting worker with a job that comes after the connection was cut', async () => {
    const [here, there] = [await throughProxy(), await open()];
    const waiting = take(here);
    await here.stats();
    proxy.cut();
    const put = job();
    await there.put([put]);
    expect((await waiting).job.id).toBe(put.id);
  });

  it('ends a waiting lease whose signal fires at any moment, also between two looks for jobs', async () => {
    const queue = await open();
    for (let turns = 0; turns < 100; turns++) {
      const stop = new AbortController();
      const request = { kinds: [KIND], worker: 'worker', leaseMs: LONG_MS, waitMs: LONG_MS, signal: stop.signal };
      const waiting = queue.lease(request);
      await queue.stats();
      for (let turn = 0; turn < turns % 25; turn++) await Promise.resolve();
      stop.abort();
      expect(await waiting).toEqual([]);
    }
  });

  it('ends a waiting lease when it closes', async () => {
    const queue = await open();
    const waiting = leaseFrom(queue, { waitMs: LONG_MS });
    await queue.stats();
    await queue.close();
    expect(await waiting).toEqual([]);
  });

  it('sees what others have done while the connection was cut', async () => {
    const [here, there] = [await throughProxy(), await open()];
    const [over, fresh] = [job(), job()];
    await here.put([over]);
    proxy.cut();
    await there.complete(await take(there));
    await there.put([fresh]);
    const { value: held } = await patiently('the connection is back', () => here.holds([over.id, fresh.id]));
    expect(held).toEqual(new Set([fresh.id]));
  });

  it('loses no job, and takes no lease back twice, while the connection is cut again and again', async () => {
    const [here, there] = [await throughProxy(), await throughProxy()];
    const put = jobs(120);
    let allPut = false;
    const working = Promise.all([workOff(here, 'one', () => allPut), workOff(there, 'two', () => allPut)]);
    for (let from = 0; from < put.length; from += 10) {
      await patiently('some are put', () => here.put(put.slice(from, from + 10)));
      proxy.cut();
    }
    allPut = true;
    const [mine, theirs] = await working;
    expect(new Set([...mine.leased, ...theirs.leased].map(({ job }) => job.id))).toEqual(new Set(idsOf(put)));
    const tokens = [...mine.completed, ...theirs.completed].map(({ token }) => token);
    expect(new Set(tokens).size).toBe(tokens.length);
    expect(await patiently('the end', () => here.stats())).toEqual({ value: [] });
  });

  it('gives every job to one of several processes', async () => {
    const workers = await Promise.all(Array.from({ length: 4 }, () => open()));
    const put = jobs(200);
    await (await open()).put(put);
    const works = await Promise.all(workers.map((queue, index) => workOff(queue, `worker-${index}`, () => true)));
    const leased = works.flatMap((work) => work.leased);
    expect(leased.map(({ job }) => job.id).sort()).toEqual(idsOf(put).sort());
  });

  it('gives the jobs of a process that fell silent to another, and takes nothing more from it', async () => {
    const [here, there] = [await open(), await open()];
    await here.put(jobs(1));
    const lost = await take(here, { leaseMs: 300 });
    const found = await take(there, { worker: 'another' });
    expect(found).toMatchObject({ attempt: 2, worker: 'another' });
    expect(await here.heartbeat(lost, LONG_MS)).toBe(false);
    expect(await here.complete(lost)).toBe(false);
    expect(await here.bury(lost, 'late')).toBe(false);
    expect(await there.complete(found)).toBe(true);
  });

  it('is Unavailable while the server is frozen, and repeats nothing afterwards', async () => {
    const queue = await open({ timeoutMs: 500 });
    const put = job();
    server.freeze();
    await expect(queue.put([put])).rejects.toThrow(Unavailable);
    await expect(leaseFrom(queue)).rejects.toThrow(Unavailable);
    server.thaw();
    await patiently('the server answers', () => queue.put([put]));
    expect(await queue.stats()).toMatchObject([{ waiting: 1 }]);
    expect((await take(queue)).attempt).toBe(1);
  });

  it('gives back a lease whose acknowledgement was lost', async () => {
    const [here, there] = [await throughProxy(), await open()];
    const put = job();
    await here.put([put]);
    proxy.muteServer();
    await expect(leaseFrom(here, { worker: 'deaf' })).rejects.toThrow(Unavailable);
    expect(await there.stats()).toMatchObject([{ leased: 1 }]);
    proxy.unmute();
    proxy.cut();
    expect(await take(there)).toMatchObject({ job: { id: put.id }, attempt: 2 });
  });

  it('is Unavailable for new jobs while the stream is full, and finishes what it has', async () => {
    const queue = await open();
    await changeStream({ max_msgs: 2 });
    const [one, two, three] = [job(), job(), job()];
    await queue.put([one, two]);
    await expect(queue.put([three])).rejects.toThrow(Unavailable);
    const taken = await take(queue);
    expect(await queue.heartbeat(taken, LONG_MS)).toBe(true);
    expect(await queue.complete(taken)).toBe(true);
    expect(await queue.holds([one.id, two.id, three.id])).toEqual(new Set([two.id]));
    await changeStream({ max_msgs: 10 });
    await queue.put([three]);
    expect(await queue.holds([three.id])).toEqual(new Set([three.id]));
  });

  it('begins again with an empty queue when the server has lost the stream', async () => {
    const queue = await open();
    const [lost, put] = [job(), job()];
    await queue.put([lost]);
    const connection = await connect({ servers: server.url });
    await (await connection.jetstreamManager()).streams.delete(STREAM);
    await connection.close();
    await patiently('the stream is made again', async () => {
      if ((await queue.holds([lost.id])).size > 0) throw new Unavailable('not noticed yet');
      await queue.put([put]);
    });
    expect((await take(queue)).job.id).toBe(put.id);
  });

  it('refuses a job that the server would not carry, and takes those beside it', async () => {
    const queue = await open();
    const small = job();
    await expect(queue.put([small, job({ payload: { text: 'x'.repeat(9_000_000) } })])).rejects.toThrow(TooLarge);
    expect(await queue.holds([small.id])).toEqual(new Set([small.id]));
  });

  it('keeps no trace of a job that is over for longer than others need to notice', async () => {
    const clock = new TestClock();
    const queue = await open({ clock });
    await queue.put(jobs(3));
    expect(await queue.complete(await take(queue))).toBe(true);
    expect(await queue.cancel('group')).toBe(2);
    expect(await messagesInStream()).toBe(3);
    await until('the marks are deleted', async () => {
      await clock.advance(60_000);
      return (await messagesInStream()) === 0;
    });
    expect(await queue.stats()).toEqual([]);
    const again = job();
    await queue.put([again]);
    expect(await queue.holds([again.id])).toEqual(new Set([again.id]));
  });

  async function changeStream(change: { readonly max_msgs: number }): Promise<void> {
    const connection = await connect({ servers: server.url });
    await (await connection.jetstreamManager()).streams.update(STREAM, change);
    await connection.close();
  }
});

function idsOf(jobs: readonly Job[]): string[] {
  return jobs.map(({ id }) => id);
}
