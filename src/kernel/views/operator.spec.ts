import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ProjectionEvent } from '../../../contracts/runledger/projection.events.js';
import {
  counterDecider,
  counterStream,
  counterView,
  type CounterDoc,
  type CounterEvent,
} from '../../../test/support/counter.js';
import { eventually } from '../../../test/support/eventually.js';
import { Projecting } from '../../../test/support/projecting.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { ViewOperator } from './operator.js';
import { orderDecider, orderStream } from './projection-orders.js';
import type { View } from './view.js';
import { loadReport } from './view-reports.js';

const NAME = counterView.name;
const scope = { system: 'runledger', tenant: 'runledger', projection: NAME } as const;
const REBUILD: ProjectionEvent = { type: 'projection.rebuild_requested', data: scope };

let ledger: TestLedger;
let ends: (() => Promise<void>)[];

beforeEach(async () => {
  ledger = await TestLedger.open();
  ends = [];
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await ledger.close();
});

/** A process that may fold the view, and carries out what is ordered of it. */
async function start(views: readonly View<CounterDoc, CounterEvent>[] = [counterView], names?: string[]) {
  const process = new Projecting(ledger, views);
  const { log, store, catalog, clock, logger } = ledger;
  const operator = new ViewOperator(process.projector, log, store.views, catalog, clock, logger, { isShared: true });
  await process.projector.start(names);
  operator.start();
  const end = async (): Promise<void> => {
    await operator.close();
    await process.close();
  };
  ends.push(end);
  return { process, operator, end: () => ((ends = ends.filter((each) => each !== end)), end()) };
}

/** @returns its position. */
async function order(event: ProjectionEvent): Promise<number> {
  const { position } = await ledger.streams().transact(orderDecider, orderStream(NAME), event);
  return position ?? 0;
}

const collections = async (): Promise<string[]> =>
  (await ledger.store.views.collections()).filter((name) => name.startsWith(`${NAME}.`));

describe('an order', () => {
  it('is carried out by whichever process folds the view, and known to the others', async () => {
    await ledger.fill(5, 20);
    const holder = await start();
    const other = await start([counterView], []);
    await holder.process.caughtUp();
    const position = await order(REBUILD);
    expect(await ledger.whileTimePasses(other.operator.reached(NAME, position, 60_000))).toBe(true);
    await holder.process.until(() => holder.process.projector.serving(NAME)?.collection === `${NAME}.v1.2`);
    expect(await loadReport(ledger.store.views, NAME)).toMatchObject({ carriedOut: position, errors: [] });
    expect(other.process.projector.serving(NAME)).toBeUndefined();
  });

  it('waits for somebody who folds the view, and whoever asks is told that it does', async () => {
    await ledger.fill(2, 2);
    const nobody = await start([counterView], []);
    const position = await order(REBUILD);
    expect(await ledger.whileTimePasses(nobody.operator.reached(NAME, position, 1_000))).toBe(false);
    await nobody.process.projector.take(NAME);
    expect(await ledger.whileTimePasses(nobody.operator.reached(NAME, position, 60_000))).toBe(true);
    await nobody.process.until(async () => (await nobody.process.status(counterView)).state === 'live');
    // What was never built before is newer than the order.
    expect(await collections()).toEqual([`${NAME}.v1.1`]);
  });

  it('to rebuild is carried out once, however often the view is taken', async () => {
    await ledger.fill(5, 20);
    const first = await start();
    await first.process.caughtUp();
    const position = await order(REBUILD);
    await ledger.whileTimePasses(first.operator.reached(NAME, position, 60_000));
    await first.process.until(() => first.process.projector.serving(NAME)?.collection === `${NAME}.v1.2`);
    await first.end();
    for (let taken = 0; taken < 3; taken++) {
      const next = await start();
      expect(await ledger.whileTimePasses(next.operator.reached(NAME, position, 60_000))).toBe(true);
      await next.process.caughtUp();
      expect(await collections()).toEqual([`${NAME}.v1.2`]);
      await next.end();
    }
  });

  it('to drop spares a later build that bears the same name', async () => {
    await ledger.fill(2, 2);
    const first = await start();
    await first.process.caughtUp();
    const collection = `${NAME}.v1.2`;
    await ledger.store.views.prepare(collection, counterView);
    const dropped = await order({ type: 'projection.collection_dropped', data: { ...scope, collection } });
    await ledger.whileTimePasses(first.operator.reached(NAME, dropped, 60_000));
    expect(await collections()).toEqual([`${NAME}.v1.1`]);
    await first.end();
    const second = await start();
    const rebuilt = await order(REBUILD);
    await ledger.whileTimePasses(second.operator.reached(NAME, rebuilt, 60_000));
    await second.process.until(() => second.process.projector.serving(NAME)?.collection === collection);
    expect(await second.process.docs(counterView)).toEqual(await second.process.expected(counterView));
  });
});

describe('a rebuild under write load', () => {
  it('answers right all the while, and ends equal to what it replaces', async () => {
    await ledger.fill(20, 100);
    const { process, operator } = await start();
    await process.caughtUp();
    const streams = ledger.streams();
    const position = await order(REBUILD);
    const wrong: unknown[] = [];
    let written = 0;
    let stop = false;
    /** Writes to one counter and reads it back: it must show every write, whichever collection answers. */
    const writer = async (): Promise<void> => {
      for (let total = 100; !stop && written < 500; written++) {
        await streams.transact(counterDecider, counterStream('0'), { type: 'add', counter: '0', by: 1 });
        total += 1;
        const doc = await process.get(counterView, '0', 'acme');
        if (doc?.total !== total) wrong.push({ total, doc });
      }
    };
    const writing = writer();
    // Time stands still meanwhile: no read gives up waiting for what was written before it.
    await operator.reached(NAME, position, 60_000);
    await eventually(() => written > 20 && process.projector.serving(NAME)?.collection === `${NAME}.v1.2`);
    stop = true;
    await writing;
    expect(wrong).toEqual([]);
    await process.caughtUp();
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
    expect(await collections()).toEqual([`${NAME}.v1.2`]);
  });
});
