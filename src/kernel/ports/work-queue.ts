import type { JsonObject } from './view-store.js';

/** A piece of work to hand out. */
export interface Job {
  /** Names the message: putting it again while it waits, runs or lies dead adds nothing. */
  readonly id: string;
  /** What kind of worker can do it, `<system>.<kind>`; letters, digits, `_`, `-` and dots. */
  readonly kind: string;
  /** What it is about (a run id); `cancel` takes all waiting jobs of a group off the queue. */
  readonly group: string;
  readonly payload: JsonObject;
  /** Not before so many ms from now. @default 0 */
  readonly delayMs?: number;
}

/** A job in the hands of one worker until `leaseMs` pass without a heartbeat. */
export interface Lease {
  readonly job: Job;
  /** Delivery count, from 1. */
  readonly attempt: number;
  /** Proves possession; changes with every delivery. */
  readonly token: string;
  readonly worker: string;
}

export interface LeaseRequest {
  /** Kinds the worker can do. */
  readonly kinds: readonly string[];
  /** Who asks; a stable name lets a restarted worker `abandon` what its former self held. */
  readonly worker: string;
  /** How long a lease lasts without a heartbeat, in ms. At least 100. */
  readonly leaseMs: number;
  /** The most jobs to take at once. @default 1 */
  readonly limit?: number;
  /** How long to wait for a first job, in ms. @default 0 */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
}

export interface QueueStats {
  readonly kind: string;
  /** Ready now. */
  readonly waiting: number;
  /** Put off by a delay or a backoff. */
  readonly delayed: number;
  readonly leased: number;
  readonly dead: number;
  /** Age of the oldest job that is ready now, in ms; null when none is. */
  readonly oldestMs: number | null;
}

export interface DeadJob {
  readonly job: Job;
  readonly attempt: number;
  readonly error: string;
}

/**
 * Hands work out at least once, in no promised order. A hint, never the truth: the log says what is open, and a
 * reconciler puts back what the queue has lost.
 */
export abstract class WorkQueue {
  /** Adds jobs; those whose id the queue holds already are left as they are. @throws Unavailable */
  abstract put(jobs: readonly Job[]): Promise<void>;

  /**
   * Takes jobs that are ready and leases them; oldest first within a kind where the store knows.
   *
   * @returns The leases, or none when nothing became ready within `waitMs` or the signal fired.
   * @throws Unavailable when the queue cannot be reached. Never because nothing is there.
   */
  abstract lease(request: LeaseRequest): Promise<readonly Lease[]>;

  /** Extends a lease by `leaseMs` from now. @returns false when it is lost: another worker may hold the job. */
  abstract heartbeat(lease: Lease, leaseMs: number): Promise<boolean>;

  /** The work is over; the job leaves the queue. @returns false when the lease was lost. */
  abstract complete(lease: Lease): Promise<boolean>;

  /** Gives the job back for another attempt after `delayMs`. @returns false when the lease was lost. */
  abstract retry(lease: Lease, delayMs: number): Promise<boolean>;

  /** Puts the job among the dead letters. @returns false when the lease was lost. */
  abstract bury(lease: Lease, error: string): Promise<boolean>;

  /** Gives back at once everything that `worker` holds. @returns how many jobs that was. */
  abstract abandon(worker: string): Promise<number>;

  /** Takes the group's waiting and delayed jobs off the queue; leased ones run on. @returns how many were removed. */
  abstract cancel(group: string): Promise<number>;

  /** Which of these job ids the queue still holds: waiting, delayed, leased or dead. */
  abstract holds(ids: readonly string[]): Promise<ReadonlySet<string>>;

  /** Figures of every kind that holds a job. */
  abstract stats(): Promise<readonly QueueStats[]>;

  /** Dead letters of a kind, oldest first. @param limit @default 100 */
  abstract deadJobs(kind: string, limit?: number): Promise<readonly DeadJob[]>;

  /** Makes a dead letter ready again, its attempts counted anew. @returns false when there is none of that id. */
  abstract requeue(id: string): Promise<boolean>;

  /** Removes a dead letter for good. @returns false when there is none of that id. */
  abstract discard(id: string): Promise<boolean>;

  abstract close(): Promise<void>;
}
