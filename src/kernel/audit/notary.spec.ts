import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { counterStream } from '../../../test/support/counter.js';
import { eventually } from '../../../test/support/eventually.js';
import { FaultyLog } from '../../../test/support/faulty-log.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { CHAIN_START } from '../hash-chain.js';
import type { EventLog, StoredEvent } from '../ports/event-log.js';
import { CHECKPOINT_STREAM, Notary, type CheckpointData } from './notary.js';
import { loadSigningKey, type SigningKey } from './signing-key.js';
import { verifyLog } from './verify.js';

const MINUTE_MS = 60_000;

let ledger: TestLedger;
let key: SigningKey;
let running: Notary[];

beforeEach(async () => {
  ledger = await TestLedger.open();
  key = loadSigningKey(ledger.folder);
  running = [];
});
afterEach(async () => {
  for (const notary of running) await notary.close();
  await ledger.close();
});

async function start(log: EventLog = ledger.log): Promise<Notary> {
  const notary = new Notary(log, ledger.streams(log), key, ledger.clock, ledger.logger);
  await notary.start();
  running.push(notary);
  return notary;
}

async function stop(notary: Notary): Promise<void> {
  running = running.filter((each) => each !== notary);
  await notary.close();
}

const checkpoints = (): Promise<readonly StoredEvent[]> => ledger.log.readStream(CHECKPOINT_STREAM);
const signed = async (): Promise<CheckpointData[]> =>
  (await checkpoints()).map(({ data }) => JSON.parse(data) as CheckpointData);
const streamsOf = ({ heads }: CheckpointData): string[] => heads.map(({ stream }) => stream);

/** Lets a minute pass again and again until there are so many checkpoints. */
const untilSigned = (count: number): Promise<true> =>
  eventually(
    async () => (await checkpoints()).length >= count,
    () => ledger.pass(MINUTE_MS),
  );

describe('the notary', () => {
  it('signs at the stop the heads of all streams that moved', async () => {
    const notary = await start();
    await ledger.count('b', 2);
    await ledger.count('a', 3);
    await stop(notary);
    const [checkpoint, ...more] = await signed();
    const events = await ledger.events();
    expect(more).toEqual([]);
    expect(checkpoint).toMatchObject({ position: events[4]?.position, events: 5, previous: CHAIN_START });
    expect(checkpoint?.heads).toEqual([
      { stream: counterStream('a'), revision: 2, hash: events[4]?.hash },
      { stream: counterStream('b'), revision: 1, hash: events[1]?.hash },
    ]);
    expect(checkpoint?.publicKey).toBe(key.publicKey);
  });

  it('signs every minute what has moved since the minute before, and chains the checkpoints', async () => {
    await start();
    await ledger.count('a', 2);
    await untilSigned(1);
    await ledger.count('b', 1);
    await ledger.count('c', 1);
    await untilSigned(2);
    const [first, second] = await signed();
    expect(streamsOf(first as CheckpointData)).toEqual([counterStream('a')]);
    expect(streamsOf(second as CheckpointData)).toEqual([counterStream('b'), counterStream('c')]);
    expect(second?.previous).toBe((await checkpoints())[0]?.hash);
    expect(await verifyLog(ledger.log, { publicKey: key.publicKey })).toMatchObject({
      checkpoints: 2,
      unsigned: 0,
      finding: null,
    });
  });

  it('signs nothing when nothing has moved, its own checkpoints least of all', async () => {
    const notary = await start();
    await ledger.count('a', 1);
    await untilSigned(1);
    for (let minute = 0; minute < 5; minute++) await ledger.pass(MINUTE_MS);
    await stop(notary);
    await stop(await start());
    expect(await checkpoints()).toHaveLength(1);
  });

  it('leaves an empty log empty', async () => {
    await stop(await start());
    expect(await ledger.events()).toEqual([]);
  });

  it('goes on after a restart where it was', async () => {
    const first = await start();
    await ledger.count('a', 2);
    await stop(first);
    await ledger.count('a', 1);
    await ledger.reopen();
    const second = await start();
    await ledger.count('b', 1);
    await stop(second);
    const [before, after] = await signed();
    expect(after?.previous).toBe((await checkpoints())[0]?.hash);
    expect(after?.heads).toMatchObject([
      { stream: counterStream('a'), revision: 2 },
      { stream: counterStream('b'), revision: 0 },
    ]);
    expect(after?.events).toBe((before?.events ?? 0) + 3);
    expect((await verifyLog(ledger.log)).finding).toBeNull();
  });

  it('signs after a crash what was never signed', async () => {
    const crashed = new Notary(ledger.log, ledger.streams(), key, ledger.clock, ledger.logger);
    running.push(crashed);
    await crashed.start();
    await ledger.count('a', 2);
    await stop(await start());
    expect((await signed()).map(streamsOf)).toEqual([[counterStream('a')]]);
  });

  it('keeps each checkpoint below the size limit of an append', async () => {
    const notary = await start();
    await ledger.fill(2_600, 1);
    await stop(notary);
    const all = await signed();
    expect(all.length).toBeGreaterThan(1);
    expect(new Set(all.flatMap(streamsOf)).size).toBe(2_600);
    expect(await verifyLog(ledger.log)).toMatchObject({ unsigned: 0, finding: null });
  });

  it('signs the same events once beside another notary, and the chain holds', async () => {
    const both = [await start(), await start()];
    for (let round = 0; round < 4; round++) {
      await ledger.count(`c${round}`, 2);
      await ledger.pass(MINUTE_MS);
    }
    await Promise.all(both.map(stop));
    expect(await verifyLog(ledger.log)).toMatchObject({ unsigned: 0, finding: null });
  });

  it('goes on with the right chain when a checkpoint was stored and never acknowledged', async () => {
    const log = new FaultyLog(ledger.log);
    await start(log);
    await ledger.count('a', 1);
    log.loseAnswers = 3;
    await eventually(
      () => log.loseAnswers <= 0,
      () => ledger.pass(MINUTE_MS),
    );
    await ledger.count('b', 1);
    await untilSigned(2);
    expect((await verifyLog(ledger.log)).finding).toBeNull();
  });

  it('keeps nobody from stopping when the log is gone', async () => {
    const log = new FaultyLog(ledger.log);
    const notary = await start(log);
    await ledger.count('a', 1);
    log.refuseAppends = 1_000;
    await ledger.whileTimePasses(stop(notary));
    expect(await checkpoints()).toEqual([]);
    expect(log.sent.length).toBeGreaterThan(0);
  });
});
