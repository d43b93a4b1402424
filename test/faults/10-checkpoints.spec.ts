import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { startApp } from '../support/app.js';
import { counterView } from '../support/counter.js';
import { report, scaled } from '../support/fault-scale.js';
import { Hypershift, instantAgents } from '../support/hypershift.js';
import { deliveriesOf } from '../support/hypershift-ledger.js';
import { Projecting } from '../support/projecting.js';
import { allEvents } from '../support/rebuild.js';
import { TestLedger } from '../support/test-ledger.js';
import { until } from '../support/until.js';
import { WebhookReceiver } from '../support/webhook-receiver.js';

const COUNTERS = 20;
const TIMES = scaled(20, 500);
const FUTURE = 1_000_000_000;

/** Changes the store behind the back of everybody. */
function tamper(folder: string, sql: string): number {
  const database = new DatabaseSync(join(folder, 'views.db'), { timeout: 5_000 });
  const tables = database.prepare("SELECT name FROM sqlite_master WHERE name LIKE 'view:sample%'").all();
  const name = tables[0]?.['name'] ?? 'view:runledger.cursors';
  const { changes } = database.prepare(sql.replace('$table', `"${String(name)}"`)).run();
  database.close();
  return Number(changes);
}

describe('fault 10: checkpoints of views', () => {
  let ledger: TestLedger;
  beforeEach(async () => {
    ledger = await TestLedger.open();
    await ledger.fill(COUNTERS, TIMES);
  });
  afterEach(() => ledger.close());

  async function folded(): Promise<void> {
    const process = await Projecting.start(ledger, [counterView]);
    await process.caughtUp();
    await process.close();
  }

  /** Starts anew, lets more happen, and compares with what the view must be. */
  async function expectRight(): Promise<void> {
    const process = await Projecting.start(ledger, [counterView]);
    await ledger.fill(COUNTERS, 1);
    await process.caughtUp();
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
    expect((await process.get(counterView, '0'))?.total).toBe(TIMES + 1);
    await process.close();
  }

  it('one that is lost counts nothing twice', async () => {
    await folded();
    expect(tamper(ledger.folder, "DELETE FROM $table WHERE key = '$checkpoint'")).toBe(1);
    await expectRight();
    report(10, { 'checkpoints lost': 1, documents: COUNTERS, 'events folded again': COUNTERS * TIMES });
  });

  it('one that is set back counts nothing twice', async () => {
    await folded();
    expect(tamper(ledger.folder, "UPDATE $table SET position = 7 WHERE key = '$checkpoint'")).toBe(1);
    await expectRight();
  });

  it('one past the end of the log passes over nothing, after a start', async () => {
    await folded();
    expect(tamper(ledger.folder, `UPDATE $table SET position = ${FUTURE} WHERE key = '$checkpoint'`)).toBe(1);
    await expectRight();
    report(10, { 'checkpoints in the future': 1, documents: COUNTERS });
  });

  it('one past the end of the log passes over nothing, set while the view serves', async () => {
    const process = await Projecting.start(ledger, [counterView]);
    await process.caughtUp();
    tamper(ledger.folder, `UPDATE $table SET position = ${FUTURE} WHERE key = '$checkpoint'`);
    const before = process.projector.serving(counterView.name)?.collection;
    await process.until(() => process.projector.serving(counterView.name)?.collection !== before);
    await process.caughtUp();
    await ledger.fill(COUNTERS, 1);
    await process.caughtUp();
    expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
    await process.close();
  });

  it('two projectors on one store count nothing twice', async () => {
    const processes = await Promise.all([1, 2].map(() => Projecting.start(ledger, [counterView])));
    const streams = ledger.streams();
    const rounds = 5;
    for (let round = 0; round < rounds; round++) {
      await ledger.fill(COUNTERS, TIMES / 10, streams);
      // Both build anew at the same time, and each takes over from what the other may still serve.
      await Promise.all(processes.map(({ projector }) => projector.rebuild(counterView.name)));
      await Promise.all(processes.map((process) => process.caughtUp()));
    }
    for (const process of processes) {
      expect(await process.docs(counterView)).toEqual(await process.expected(counterView));
      expect((await process.get(counterView, '0'))?.total).toBe(TIMES + (rounds * TIMES) / 10);
      await process.close();
    }
    report(10, { projectors: processes.length, rebuilds: rounds, documents: COUNTERS });
  });
});

describe('fault 10: cursors of effects', () => {
  it('that lie past the end of the log pass over no job and no webhook', async () => {
    const receiver = await WebhookReceiver.start();
    const env = { HYPERSHIFT_DEPLOY_TARGET: 'none', WEBHOOK_URL: receiver.url };
    let service = await startApp(env, { hypershiftAgents: instantAgents() });
    try {
      await Hypershift.of(service).runThrough();
      await until('three webhooks', () => receiver.received.length === 3);
      service = await service.restart();
      expect(tamper(service.dataDir, `UPDATE $table SET position = ${FUTURE}`)).toBeGreaterThanOrEqual(3);
      service = await service.restart();
      const run = await Hypershift.of(service).runThrough();
      expect(run.status).toBe('completed');
      await until('six webhooks', () => receiver.received.length >= 6);
      // The cursors are those of this log again: otherwise the next start would begin anew, too.
      service = await service.restart();
      await Hypershift.of(service).runThrough();
      await until('nine webhooks', () => receiver.received.length >= 9);
      const events = await allEvents(service.app.kernel.ports.log);
      expect(deliveriesOf(events, receiver.received)).toEqual({ expected: 9, problems: [] });
      expect(receiver.received).toHaveLength(9);
      report(10, { 'cursors in the future': 3, webhooks: receiver.received.length, lost: 0 });
    } finally {
      await service.close();
      await receiver.close();
    }
  });
});
