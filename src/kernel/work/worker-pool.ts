import type { Logger } from 'pino';
import type { Metrics } from '../metrics.js';
import type { Clock } from '../ports/clock.js';
import type { Ids } from '../ports/ids.js';
import type { Lease, WorkQueue } from '../ports/work-queue.js';
import { inContext } from '../request-context.js';
import { Signal } from '../signal.js';
import type { Executor } from './executor.js';

export interface WorkerOptions {
  /** Stable over restarts where the process is the only one of that name. */
  readonly name: string;
  /** Jobs at the same time. @default 64 */
  readonly concurrency?: number;
  /** How long a lease lasts without a heartbeat, in ms. @default 30,000 */
  readonly leaseMs?: number;
  /** Deliveries before a job is buried. @default 20 */
  readonly maxAttempts?: number;
}

const LEASE_MS = 30_000;
const CONCURRENCY = 64;
const MAX_ATTEMPTS = 20;
const POLL_MS = 10_000;
const MAX_BACKOFF_MS = 60_000;
/** Why a heartbeat ends: a reason of its own saves making an exception for every job. */
const OVER = 'the job is over';

/** Leases jobs, runs their executors, keeps the leases alive, and reports. */
export class WorkerPool {
  private readonly executors = new Map<string, Executor>();
  private readonly stop = new AbortController();
  private readonly abandonJobs = new AbortController();
  private readonly running = new Set<Promise<void>>();
  private readonly freed = new Signal();
  private loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly queue: WorkQueue,
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
    private readonly options: WorkerOptions,
  ) {}

  /** @throws Error when two executors claim one kind. */
  register(executor: Executor): void {
    if (this.executors.has(executor.kind)) throw new Error(`Two executors claim ${executor.kind}`);
    this.executors.set(executor.kind, executor);
  }

  async start(): Promise<void> {
    const abandoned = await this.queue.abandon(this.options.name);
    if (abandoned > 0) this.logger.info({ abandoned }, 'jobs of the former process are ready again');
    this.loop = this.work();
  }

  /**
   * Takes no more jobs, and lets those that run finish. After `graceMs` they are told to stop, and after as long again
   * they are given back, whether they have stopped or not.
   */
  async close(graceMs: number): Promise<void> {
    this.stop.abort();
    // The loop may wait for a free place.
    this.freed.fire();
    await this.loop;
    await this.finished(graceMs);
    this.abandonJobs.abort();
    await this.finished(graceMs);
    await this.queue.abandon(this.options.name);
  }

  private async finished(atMostMs: number): Promise<void> {
    const over = new AbortController();
    await Promise.race([Promise.all(this.running), this.clock.sleep(atMostMs, over.signal)]);
    over.abort();
  }

  private async work(): Promise<void> {
    const { concurrency = CONCURRENCY, leaseMs = LEASE_MS, name } = this.options;
    const { signal } = this.stop;
    const kinds = [...this.executors.keys()];
    while (!signal.aborted && kinds.length > 0) {
      const freed = this.freed.next();
      const limit = concurrency - this.running.size;
      if (limit <= 0) {
        await freed;
        continue;
      }
      try {
        const leases = await this.queue.lease({ kinds, worker: name, leaseMs, limit, waitMs: POLL_MS, signal });
        for (const lease of leases) this.begin(lease, leaseMs);
      } catch (error) {
        this.logger.warn({ err: error }, 'no work could be leased');
        await this.clock.sleep(1_000, signal);
      }
    }
  }

  private begin(lease: Lease, leaseMs: number): void {
    const running = this.run(lease, leaseMs)
      .catch((error: unknown) => this.logger.warn({ err: error, job: lease.job.id }, 'a job could not be reported'))
      .finally(() => {
        this.running.delete(running);
        this.freed.fire();
      });
    this.running.add(running);
  }

  private async run(lease: Lease, leaseMs: number): Promise<void> {
    const { job, attempt } = lease;
    const executor = this.executors.get(job.kind);
    if (!executor) throw new Error(`Nobody executes ${job.kind}`);
    const lost = new AbortController();
    const over = new AbortController();
    const beating = this.beat(lease, leaseMs, lost, over.signal);
    const signal = AbortSignal.any([lost.signal, this.abandonJobs.signal]);
    const started = this.clock.steady();
    let outcome = 'completed';
    try {
      if (attempt > (this.options.maxAttempts ?? MAX_ATTEMPTS)) {
        outcome = 'exhausted';
        await this.exhaust(executor, lease, 'the worker was lost every time');
        return;
      }
      const correlationId =
        typeof job.payload['correlationId'] === 'string' ? job.payload['correlationId'] : this.ids.uuid();
      const causationId = job.id;
      await inContext({ correlationId, causationId }, () => executor.execute({ job, attempt, signal }));
      if (!lost.signal.aborted) await this.queue.complete(lease);
    } catch (error) {
      outcome = signal.aborted ? 'abandoned' : 'failed';
      await this.failed(executor, lease, error, lost.signal);
    } finally {
      over.abort(OVER);
      await beating;
      this.metrics.jobs.observe({ kind: job.kind, outcome }, (this.clock.steady() - started) / 1_000);
    }
  }

  private async failed(executor: Executor, lease: Lease, error: unknown, lost: AbortSignal): Promise<void> {
    const { job, attempt } = lease;
    if (lost.aborted) return;
    if (this.abandonJobs.signal.aborted) {
      await this.queue.retry(lease, 0);
      return;
    }
    this.logger.warn({ err: error, job: job.id, kind: job.kind, attempt }, 'job failed');
    if (attempt >= (this.options.maxAttempts ?? MAX_ATTEMPTS)) {
      await this.exhaust(executor, lease, error instanceof Error ? error.message : String(error));
    } else {
      await this.queue.retry(lease, Math.min(MAX_BACKOFF_MS, 250 * 2 ** (attempt - 1)));
    }
  }

  private async exhaust(executor: Executor, lease: Lease, error: string): Promise<void> {
    await inContext({ correlationId: this.ids.uuid(), causationId: lease.job.id }, () =>
      executor.exhausted(lease.job, error),
    );
    await this.queue.bury(lease, error);
  }

  /** Extends the lease until `over` fires; when it is lost, or cannot be extended before it ends, says so. */
  private async beat(lease: Lease, leaseMs: number, lost: AbortController, over: AbortSignal): Promise<void> {
    let validUntil = this.clock.steady() + leaseMs;
    while (!over.aborted) {
      await this.clock.sleep(leaseMs / 3, over);
      if (over.aborted) return;
      const asked = this.clock.steady();
      try {
        if (await this.queue.heartbeat(lease, leaseMs)) {
          validUntil = asked + leaseMs;
          continue;
        }
        lost.abort();
      } catch (error) {
        this.logger.warn({ err: error, job: lease.job.id }, 'heartbeat failed');
      }
      if (this.clock.steady() >= validUntil) lost.abort();
      if (lost.signal.aborted) return;
    }
  }
}
