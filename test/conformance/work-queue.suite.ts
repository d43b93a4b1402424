import { afterAll, beforeAll, beforeEach, describe } from '@jest/globals';
import type { WorkQueue } from '../../src/kernel/ports/work-queue.js';
import type { PassingTime } from '../support/passing-time.js';
import { unique } from '../support/unique.js';
import { describeDeadLetters } from './work-queue.dead-letters.js';
import { describeCancel, describeHoldings } from './work-queue.holdings.js';
import { describeAbandon, describeDelay, describeLease } from './work-queue.leases.js';
import { describePut, describeRepeats } from './work-queue.puts.js';
import { describeRestart } from './work-queue.restart.js';
import type { Context } from './work-queue.support.js';
import { describeWaiting } from './work-queue.waiting.js';

/** A queue that may hold jobs of others, and the time that its leases and delays go by. */
export interface WorkQueueHarness {
  readonly queue: WorkQueue;
  readonly clock: PassingTime;
  /** Closes the queue and opens the same store again, as a restart would. */
  reopen(): Promise<WorkQueue>;
  close(): Promise<void>;
}

/** What every work queue promises, under repetition, lost leases, competing workers and restarts. */
export function describeWorkQueue(adapter: string, open: () => Promise<WorkQueueHarness>): void {
  describe(`WorkQueue: ${adapter}`, () => {
    const context = {} as Context;

    beforeAll(async () => {
      context.harness = await open();
      context.queue = context.harness.queue;
    });
    afterAll(() => context.harness.close());
    beforeEach(() => {
      context.kind = `sample.${unique('kind')}`;
      context.group = unique('group');
      context.worker = unique('worker');
    });

    describe('put and lease', () => {
      describePut(context);
    });
    describe('a job that is put again', () => {
      describeRepeats(context);
    });
    describe('a lease', () => {
      describeLease(context);
    });
    describe('a delay', () => {
      describeDelay(context);
    });
    describe('waiting', () => {
      describeWaiting(context);
    });
    describe('dead letters', () => {
      describeDeadLetters(context);
    });
    describe('abandon', () => {
      describeAbandon(context);
    });
    describe('cancel', () => {
      describeCancel(context);
    });
    describe('holds and stats', () => {
      describeHoldings(context);
    });
    describe('a restart', () => {
      describeRestart(context);
    });
  });
}
