import { afterAll, beforeAll, beforeEach, describe } from '@jest/globals';
import type { ViewStore } from '../../src/kernel/ports/view-store.js';
import { unique } from '../support/unique.js';
import { describeDrop, describePrepare, describeRestart } from './view-store.collections.js';
import { describeFind } from './view-store.find.js';
import { describePaging } from './view-store.paging.js';
import { shape, type Context } from './view-store.support.js';
import { describePositions, describeWrites } from './view-store.writes.js';

/** A view store that may hold collections of others. */
export interface ViewStoreHarness {
  readonly views: ViewStore;
  /** Closes the views and opens the same store again, as a restart would. */
  reopen(): Promise<ViewStore>;
  close(): Promise<void>;
}

/** What every view store promises, under repetition, reordering, odd names and restarts. */
export function describeViewStore(adapter: string, open: () => Promise<ViewStoreHarness>): void {
  describe(`ViewStore: ${adapter}`, () => {
    const context = {} as Context;

    beforeAll(async () => {
      context.harness = await open();
      context.views = context.harness.views;
    });
    afterAll(() => context.harness.close());
    beforeEach(async () => {
      context.collection = `sample.${unique('things')}.v1`;
      await context.views.prepare(context.collection, shape);
    });

    describe('prepare', () => {
      describePrepare(context);
    });
    describe('write and load', () => {
      describeWrites(context);
    });
    describe('the position of a document', () => {
      describePositions(context);
    });
    describe('find', () => {
      describeFind(context);
    });
    describe('paging', () => {
      describePaging(context);
    });
    describe('collections and drop', () => {
      describeDrop(context);
    });
    describe('a restart', () => {
      describeRestart(context);
    });
  });
}
