import { expect } from '@jest/globals';
import type { Job, Lease, LeaseRequest, QueueStats, WorkQueue } from '../../src/kernel/ports/work-queue.js';
import { unique } from '../support/unique.js';
import type { WorkQueueHarness } from './work-queue.suite.js';

/** What the parts of the suite share. A restart puts another queue in its place. */
export interface Context {
  harness: WorkQueueHarness;
  queue: WorkQueue;
  /** The kind, group and worker of one test. */
  kind: string;
  group: string;
  worker: string;
}

/** Longer than any test takes. */
export const LONG_MS = 600_000;
/** A lease or delay that a test lets pass; long enough that a slow machine does not let it pass by itself. */
export const SHORT_MS = 2_000;

/** Puts and takes jobs of the kind, group and worker of the test that runs, or others. */
export function toolsOf(context: Context) {
  function job(fields: Partial<Job> = {}): Job {
    return { id: unique('job'), kind: context.kind, group: context.group, payload: { step: 1 }, ...fields };
  }

  function jobs(count: number, fields: Partial<Job> = {}): Job[] {
    return Array.from({ length: count }, () => job(fields));
  }

  /** Asks without waiting. */
  function lease(request: Partial<LeaseRequest> = {}): Promise<readonly Lease[]> {
    return context.queue.lease({ kinds: [context.kind], worker: context.worker, leaseMs: LONG_MS, ...request });
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
    await context.queue.put([dead]);
    expect(await context.queue.bury(await take({ kinds: [dead.kind] }), error)).toBe(true);
    return dead;
  }

  async function statsOf(name: string): Promise<QueueStats | undefined> {
    return (await context.queue.stats()).find((stats) => stats.kind === name);
  }

  async function reopen(): Promise<void> {
    context.queue = await context.harness.reopen();
  }

  return { job, jobs, lease, take, takeEach, buried, statsOf, reopen };
}

/** Asks until nothing comes any more. */
export async function drain(ask: () => Promise<readonly Lease[]>): Promise<Lease[]> {
  const all: Lease[] = [];
  for (;;) {
    const some = await ask();
    if (some.length === 0) return all;
    all.push(...some);
  }
}
