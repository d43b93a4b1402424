import type { Logger } from 'pino';
import { Refused } from '../errors.js';
import type { Metrics } from '../metrics.js';
import type { Clock } from '../ports/clock.js';
import type { Ids } from '../ports/ids.js';
import type { Job, Lease, WorkQueue } from '../ports/work-queue.js';
import { currentContext, inContext } from '../request-context.js';
import { Claims, type Claim } from './claims.js';
import type { ForeignExecutor } from './foreign-executor.js';

export interface ClaimRequest {
  readonly kinds: readonly string[];
  /** A name for people. */
  readonly worker: string;
  /** The most jobs to take at once. */
  readonly limit: number;
  /** How long a claim lasts without a heartbeat, in ms. */
  readonly leaseMs: number;
  /** How long to wait for a first job, in ms. */
  readonly waitMs: number;
  /** Whoever asked is gone: what was taken is given back. */
  readonly signal: AbortSignal;
}

/** A job in the hands of a worker from outside. */
export interface ClaimedJob {
  /** Proof of possession, for every report. */
  readonly claim: string;
  readonly id: string;
  readonly kind: string;
  readonly group: string;
  /** As the log counts, from 1. */
  readonly attempt: number;
  readonly input: unknown;
}

export type Failed = { readonly outcome: 'retried'; readonly delayMs: number } | { readonly outcome: 'buried' };

/** Deliveries before a job is buried. */
export const MAX_DELIVERIES = 20;
const MIN_BACKOFF_MS = 250;
const MAX_BACKOFF_MS = 60_000;
const LOST = 'The claim is lost: another worker has the job, or it is over';

/** Hands jobs to workers from outside, and takes their reports. */
export class ForeignWork {
  private readonly executors = new Map<string, ForeignExecutor>();
  private readonly claims: Claims;

  constructor(
    private readonly queue: WorkQueue,
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
    key: Buffer,
  ) {
    this.claims = new Claims(key);
  }

  /** @throws Error when two executors claim one kind. */
  register(executor: ForeignExecutor): void {
    if (this.executors.has(executor.kind)) throw new Error(`Two executors claim ${executor.kind}`);
    this.executors.set(executor.kind, executor);
  }

  get kinds(): readonly string[] {
    return [...this.executors.keys()];
  }

  /**
   * Takes jobs that are ready, and begins an attempt at each.
   *
   * @returns none when nothing became ready in time.
   * @throws Refused `invalid` for a kind that is not for workers from outside. Unavailable.
   */
  async claim(request: ClaimRequest): Promise<ClaimedJob[]> {
    const strange = request.kinds.find((kind) => !this.executors.has(kind));
    if (strange !== undefined) {
      const there = this.kinds.length > 0 ? `there are ${this.kinds.join(', ')}` : 'there are none';
      throw new Refused('invalid', `kinds: ${strange} is not for workers from outside; ${there}`);
    }
    const until = this.clock.steady() + request.waitMs;
    for (;;) {
      const waitMs = Math.max(0, until - this.clock.steady());
      const leases = await this.queue.lease({ ...request, waitMs });
      if (leases.length === 0) return [];
      const claimed = (await Promise.all(leases.map((lease) => this.begin(lease)))).filter(
        (each) => each !== undefined,
      );
      if (request.signal.aborted) {
        await Promise.all(claimed.map(({ claim }) => this.queue.retry(this.claims.read(claim).lease, 0)));
        return [];
      }
      // What was taken had nothing left to do: whoever waits goes on waiting.
      if (claimed.length > 0 || this.clock.steady() >= until) return claimed;
    }
  }

  /** Keeps a claim for so many ms from now. @throws Refused `conflict` when it is lost. */
  async heartbeat(claim: string, leaseMs: number): Promise<void> {
    const { lease } = this.claims.read(claim);
    if (!(await this.queue.heartbeat(lease, leaseMs))) throw new Refused('conflict', LOST);
  }

  /** @throws Refused `conflict` when the claim is lost, `invalid` for an output that will not do. */
  async complete(claim: string, output: unknown): Promise<void> {
    const held = this.claims.read(claim);
    const { lease, attempt } = held;
    const taken = await this.within(lease.job, () => this.executor(lease.job).complete(lease.job, attempt, output));
    // Where the log has it, the queue's answer is a hint: a job that it keeps finds nothing left to do.
    const left = await this.queue.complete(lease);
    if (taken === 'queued' && !left) throw new Refused('conflict', LOST);
    this.observe(held, 'completed');
  }

  /**
   * @param delayMs Pause before the next attempt. @default doubles with each delivery, up to a minute
   * @throws Refused `conflict` when the claim is lost.
   */
  async fail(claim: string, error: string, retry: boolean, delayMs?: number): Promise<Failed> {
    const held = this.claims.read(claim);
    const { lease, attempt } = held;
    if (retry && lease.attempt < MAX_DELIVERIES) {
      const pauseMs = delayMs ?? backoff(lease);
      if (!(await this.queue.retry(lease, pauseMs))) throw new Refused('conflict', LOST);
      this.observe(held, 'failed');
      return { outcome: 'retried', delayMs: pauseMs };
    }
    const taken = await this.within(lease.job, () => this.executor(lease.job).fail(lease.job, attempt, error));
    const buried = await this.queue.bury(lease, error);
    if (taken === 'queued' && !buried) throw new Refused('conflict', LOST);
    this.observe(held, 'exhausted');
    return { outcome: 'buried' };
  }

  private async begin(lease: Lease): Promise<ClaimedJob | undefined> {
    const { job } = lease;
    const executor = this.executor(job);
    try {
      if (lease.attempt > MAX_DELIVERIES) {
        const error = 'the worker was lost every time';
        await this.within(job, () => executor.exhausted(job, error));
        await this.queue.bury(lease, error);
        return undefined;
      }
      const task = await this.within(job, () => executor.begin(job));
      if (!task) {
        await this.queue.complete(lease);
        return undefined;
      }
      const claim = this.claims.write({ lease, attempt: task.attempt, claimedAt: this.clock.now() });
      const { id, kind, group } = job;
      return { claim, id, kind, group, attempt: task.attempt, input: task.input };
    } catch (error) {
      // Others that were taken with it are handed out all the same; this one comes back.
      this.logger.warn({ err: error, job: job.id, kind: job.kind }, 'a job could not be handed out, trying again');
      await this.queue.retry(lease, backoff(lease)).catch((cause: unknown) => {
        this.logger.warn({ err: cause, job: job.id }, 'nor could it be given back: it comes when its lease ends');
      });
      return undefined;
    }
  }

  private executor({ kind }: Job): ForeignExecutor {
    const executor = this.executors.get(kind);
    if (!executor) throw new Refused('invalid', `No worker from outside does ${kind} any more`);
    return executor;
  }

  /** As part of what the job is part of, whoever reports. */
  private within<Result>(job: Job, work: () => Promise<Result>): Promise<Result> {
    const { correlationId } = job.payload;
    const own = typeof correlationId === 'string' ? correlationId : this.ids.uuid();
    return inContext({ ...currentContext(), correlationId: own, causationId: job.id }, work);
  }

  private observe({ lease, claimedAt }: Claim, outcome: string): void {
    const seconds = Math.max(0, this.clock.now() - claimedAt) / 1_000;
    this.metrics.jobs.observe({ kind: lease.job.kind, outcome }, seconds);
  }
}

function backoff({ attempt }: Lease): number {
  return Math.min(MAX_BACKOFF_MS, MIN_BACKOFF_MS * 2 ** (attempt - 1));
}
