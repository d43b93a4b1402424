import { createHash, randomUUID } from 'node:crypto';
import { subjectToken } from '../../kernel/ports/event-bus.js';
import type { Job, Lease } from '../../kernel/ports/work-queue.js';

/** A job as its message holds it. Times are ms since 1970 by the server's clock. */
export interface HeldJob {
  readonly state: 'waiting' | 'leased' | 'dead';
  readonly id: string;
  readonly kind: string;
  readonly group: string;
  readonly payload: Job['payload'];
  /** When a waiting job becomes ready, when a leased one's lease ends, when a dead one was buried. */
  readonly due: number;
  readonly attempt: number;
  /** The lease that it is in, or was in last. */
  readonly token?: string;
  readonly worker?: string;
  readonly error?: string;
}

/** What is left of a job that has left the queue, until everybody has seen that it has. */
export interface GoneJob {
  readonly state: 'gone';
  readonly id: string;
}

export type JobRecord = HeldJob | GoneJob;

/** The longest error that is kept with a dead letter, in characters: the message must not outgrow the server's limit. */
const MAX_ERROR = 2_000;
const MAX_TOKEN = 500;

/** The part of the subject that stands for a job's id. */
export function tokenOf(id: string): string {
  const token = subjectToken(id);
  return token.length <= MAX_TOKEN ? token : `sha256:${createHash('sha256').update(id).digest('hex')}`;
}

export function encode(record: JobRecord): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}

export function decode(body: Uint8Array): JobRecord {
  return JSON.parse(Buffer.from(body).toString()) as JobRecord;
}

export function put({ id, kind, group, payload, delayMs = 0 }: Job, now: number): HeldJob {
  return { state: 'waiting', id, kind, group, payload, due: now + delayMs, attempt: 0 };
}

export function leasedBy(worker: string, until: number, job: HeldJob): HeldJob & { readonly token: string } {
  const { id, kind, group, payload, attempt } = job;
  return {
    state: 'leased',
    id,
    kind,
    group,
    payload,
    due: until,
    attempt: attempt + 1,
    token: randomUUID(),
    worker,
  };
}

export function waitingUntil(due: number, job: HeldJob, attempt = job.attempt): HeldJob {
  const { id, kind, group, payload } = job;
  return { state: 'waiting', id, kind, group, payload, due, attempt };
}

export function dead(error: string, now: number, job: HeldJob): HeldJob {
  return { ...waitingUntil(now, job), state: 'dead', error: error.slice(0, MAX_ERROR) };
}

export function gone({ id }: HeldJob): GoneJob {
  return { state: 'gone', id };
}

export function isHeldBy(lease: Lease, job: HeldJob): boolean {
  return job.state === 'leased' && job.token === lease.token;
}

export function jobOf({ id, kind, group, payload }: HeldJob): Job {
  return { id, kind, group, payload };
}
