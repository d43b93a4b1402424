import { Unavailable } from '../../kernel/errors.js';
import {
  WorkQueue,
  type DeadJob,
  type Job,
  type Lease,
  type LeaseRequest,
  type QueueStats,
} from '../../kernel/ports/work-queue.js';
import { comesBefore, type HeldVersion } from './job-mirror.js';
import { dead, gone, isHeldBy, jobOf, leasedBy, put, waitingUntil } from './job-record.js';
import { inParallel, JobStream } from './job-stream.js';
import { NatsLink, type NatsOptions } from './nats-link.js';

export interface NatsWorkQueueOptions extends NatsOptions {
  /** @default RUNLEDGER_WORK */
  readonly stream?: string;
}

const MIN_LEASE_MS = 100;
const GIVE_BACK_MS = 500;

/**
 * Jobs as the newest messages of their subjects in a JetStream stream, `<stream>.<job id>`, each changed by a message that
 * names the one it replaces (`JobStream`). So a job is in exactly one state, its id is on the queue once however late it
 * is put again, and an old lease can do nothing: its token is no longer in the job. Each process follows the stream; that
 * wakes its waiting workers, and tells it what is ready, held, put off and dead. What it knows may be a moment old: a
 * change that builds on it is then refused, and made anew. Questions wait until all that was in the stream has been seen.
 *
 * Why no work-queue stream whose consumers hand out and take acknowledgements? Those prove nothing: the server takes one
 * of any delivery (nats-server 2.15, `processAckMsg`), so a worker whose lease is lost could complete the job in another's
 * hands. All leases of a consumer have one duration; what is to be put off must be delivered to be sent away; and nobody
 * can ask whose hands a message is in. `abandon`, `cancel`, `holds`, `stats` and the tokens would need a second store
 * beside the stream, and both kept in step over a crash at any point between.
 *
 * Time is the server's, so that processes whose clocks differ agree on when a lease ends.
 */
export class NatsWorkQueue extends WorkQueue {
  private readonly closing = new AbortController();
  private readonly givingBack = new Set<Promise<void>>();

  private constructor(
    private readonly link: NatsLink,
    private readonly jobs: JobStream,
  ) {
    super();
  }

  /** @throws Unavailable when the server cannot be reached. */
  static async open(options: NatsWorkQueueOptions): Promise<NatsWorkQueue> {
    const link = await NatsLink.open(options, 'work');
    const jobs = new JobStream(link, options.stream ?? 'RUNLEDGER_WORK');
    try {
      await jobs.start();
      return new NatsWorkQueue(link, jobs);
    } catch (error) {
      await link.close();
      throw error;
    }
  }

  override async put(jobs: readonly Job[]): Promise<void> {
    const distinct = new Map<string, Job>();
    for (const job of jobs) if (!distinct.has(job.id)) distinct.set(job.id, job);
    const now = this.jobs.now();
    await inParallel([...distinct.values()], (job) => this.jobs.create(put(job, now)));
  }

  override async lease(request: LeaseRequest): Promise<readonly Lease[]> {
    const { kinds, waitMs = 0, signal } = request;
    const { clock } = this.link.options;
    const deadline = clock.steady() + waitMs;
    for (let synced = false; !signal?.aborted && !this.closing.signal.aborted;) {
      // Taken before the look, so that a job that comes meanwhile is not slept over.
      const changed = this.jobs.changed.next();
      const leases = await this.take(request);
      if (leases.length > 0) return leases;
      if (!synced) {
        await this.jobs.sync();
        synced = true;
        continue;
      }
      const left = deadline - clock.steady();
      if (left <= 0) break;
      const due = this.jobs.mirror.nextDue(kinds);
      await this.rest(due === undefined ? left : Math.min(left, due - this.jobs.now()), changed, signal);
    }
    if (!this.link.connected && !signal?.aborted) throw new Unavailable('The connection to NATS is lost');
    return [];
  }

  override heartbeat(lease: Lease, leaseMs: number): Promise<boolean> {
    return this.jobs.change(lease.job.id, (job, now) =>
      isHeldBy(lease, job) && job.due > now ? { ...job, due: now + Math.max(MIN_LEASE_MS, leaseMs) } : undefined,
    );
  }

  override complete(lease: Lease): Promise<boolean> {
    return this.jobs.change(lease.job.id, (job) => (isHeldBy(lease, job) ? gone(job) : undefined));
  }

  override retry(lease: Lease, delayMs: number): Promise<boolean> {
    return this.jobs.change(lease.job.id, (job, now) =>
      isHeldBy(lease, job) ? waitingUntil(now + delayMs, job) : undefined,
    );
  }

  override bury(lease: Lease, error: string): Promise<boolean> {
    return this.jobs.change(lease.job.id, (job, now) => (isHeldBy(lease, job) ? dead(error, now, job) : undefined));
  }

  override abandon(worker: string): Promise<number> {
    return this.jobs.changeEach((job, now) =>
      job.state === 'leased' && job.worker === worker ? waitingUntil(now, job) : undefined,
    );
  }

  override cancel(group: string): Promise<number> {
    return this.jobs.changeEach((job) => (job.state === 'waiting' && job.group === group ? gone(job) : undefined));
  }

  override async holds(ids: readonly string[]): Promise<ReadonlySet<string>> {
    await this.jobs.sync();
    return new Set(ids.filter((id) => this.jobs.mirror.get(id) !== undefined));
  }

  override async stats(): Promise<readonly QueueStats[]> {
    await this.jobs.sync();
    return this.jobs.mirror.stats(this.jobs.now());
  }

  override async deadJobs(kind: string, limit = 100): Promise<readonly DeadJob[]> {
    await this.jobs.sync();
    return [...this.jobs.mirror.held()]
      .filter(({ job }) => job.state === 'dead' && job.kind === kind)
      .sort((one, other) => (comesBefore(one, other) ? -1 : 1))
      .slice(0, limit)
      .map(({ job }) => ({ job: jobOf(job), attempt: job.attempt, error: job.error ?? '' }));
  }

  override requeue(id: string): Promise<boolean> {
    return this.jobs.change(id, (job, now) => (job.state === 'dead' ? waitingUntil(now, job, 0) : undefined));
  }

  override discard(id: string): Promise<boolean> {
    return this.jobs.change(id, (job) => (job.state === 'dead' ? gone(job) : undefined));
  }

  override async close(): Promise<void> {
    this.closing.abort();
    await Promise.all(this.givingBack);
    await this.jobs.close();
    await this.link.close();
  }

  /** Leases what is ready as far as this process knows, oldest first. */
  private async take({ kinds, worker, leaseMs, limit = 1 }: LeaseRequest): Promise<Lease[]> {
    for (;;) {
      const ready = this.jobs.mirror.takeReady(kinds, this.jobs.now(), limit);
      const claims = await Promise.allSettled(ready.map((version) => this.claim(version, worker, leaseMs)));
      const leases = claims.flatMap((claim) => (claim.status === 'fulfilled' && claim.value ? [claim.value] : []));
      const failed = claims.find((claim) => claim.status === 'rejected');
      // What was taken is in our hands, whatever became of the rest.
      if (leases.length > 0 || ready.length === 0) return leases;
      if (failed) throw failed.reason;
      await this.lookAgain(ready);
    }
  }

  /** @returns undefined when somebody else was first. */
  private async claim(version: HeldVersion, worker: string, leaseMs: number): Promise<Lease | undefined> {
    const job = leasedBy(worker, this.jobs.now() + Math.max(MIN_LEASE_MS, leaseMs), version.job);
    const { attempt, token } = job;
    try {
      return (await this.jobs.swap(version, job)) ? { job: jobOf(job), attempt, token, worker } : undefined;
    } catch (error) {
      this.jobs.mirror.queueUp(version);
      const givingBack = this.giveBack(job.id, token).finally(() => this.givingBack.delete(givingBack));
      this.givingBack.add(givingBack);
      throw error;
    }
  }

  /** Others were first with these jobs: waits until the mirror knows. */
  private async lookAgain(versions: readonly HeldVersion[]): Promise<void> {
    await this.jobs.sync();
    // One of which nothing was heard has gone, and its mark too.
    for (const version of versions) {
      if (this.jobs.mirror.get(version.job.id) === version) await this.jobs.read(version.job.id);
    }
  }

  /** Nobody knows whether the server took this lease. If it did, nobody would work on it until it ends. */
  private async giveBack(id: string, token: string): Promise<void> {
    const { signal } = this.closing;
    while (!signal.aborted) {
      try {
        // Asked on the same connection, so answered after the lease has arrived, if it ever does.
        await this.jobs.sync();
        await this.jobs.change(id, (job, now) => (job.token === token ? waitingUntil(now, job) : undefined));
        return;
      } catch {
        await this.link.options.clock.sleep(GIVE_BACK_MS, signal);
      }
    }
  }

  private async rest(ms: number, changed: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    const woken = new AbortController();
    const wake = (): void => woken.abort();
    signal?.addEventListener('abort', wake);
    this.closing.signal.addEventListener('abort', wake);
    // Either may have fired while jobs were looked for.
    if (signal?.aborted || this.closing.signal.aborted) wake();
    try {
      await Promise.race([changed, this.link.options.clock.sleep(ms, woken.signal)]);
    } finally {
      wake();
      signal?.removeEventListener('abort', wake);
      this.closing.signal.removeEventListener('abort', wake);
    }
  }
}
