import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { START, type EventLog } from '../../src/kernel/ports/event-log.js';
import { describeAppend, describeRepeats } from './event-log.appends.js';
import { describeRestart, describeSubscribe } from './event-log.following.js';
import { describeModel } from './event-log.model.js';
import { describeReadAll, describeReadStream } from './event-log.reads.js';
import { describeContent, describeRefusals } from './event-log.refusals.js';
import type { Context } from './event-log.support.js';

/** A log that may hold events of others, as long as they write none while the suite runs. */
export interface EventLogHarness {
  readonly log: EventLog;
  /** Closes the log and opens the same store again, as a restart would. */
  reopen(): Promise<EventLog>;
  close(): Promise<void>;
}

/** What every event log promises, under conflict, restart, repetition and load. */
export function describeEventLog(adapter: string, open: () => Promise<EventLogHarness>): void {
  describe(`EventLog: ${adapter}`, () => {
    const context = {} as Context;

    beforeAll(async () => {
      context.harness = await open();
      context.log = context.harness.log;
    });
    afterAll(() => context.harness.close());

    // The first case: a log of its own is still empty here, a shared one need not be.
    it('has its head at START as long as it is empty', async () => {
      const [newest] = await context.log.readAll(Infinity, { backwards: true, limit: 1 });
      expect(await context.log.head()).toBeGreaterThanOrEqual(newest?.position ?? START);
      if (!newest) expect([await context.log.head(), await context.log.readAll(START)]).toEqual([START, []]);
    });

    describe('append', () => {
      describeAppend(context);
    });
    describe('a repeated append', () => {
      describeRepeats(context);
    });
    describe('what no log may hold', () => {
      describeRefusals(context);
    });
    describe('content', () => {
      describeContent(context);
    });
    describe('readStream', () => {
      describeReadStream(context);
    });
    describe('readAll and head', () => {
      describeReadAll(context);
    });
    describe('subscribe', () => {
      describeSubscribe(context);
    });
    describe('a restart', () => {
      describeRestart(context);
    });
    describe('any sequence of appends', () => {
      describeModel(context);
    });
  });
}
