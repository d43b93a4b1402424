import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { counterStream } from '../../../test/support/counter.js';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { CHECKPOINT_STREAM, Notary } from './notary.js';
import { loadSigningKey, SigningKey } from './signing-key.js';
import { verifyStream } from './verify.js';

const stream = counterStream('a');
let ledger: TestLedger;
let key: SigningKey;

/** Two checkpoints, at revisions 2 and 5 of the stream; one event of it is not signed yet. */
beforeEach(async () => {
  ledger = await TestLedger.open();
  key = loadSigningKey(ledger.folder);
  const streams = ledger.streams();
  for (let round = 0; round < 2; round++) {
    const notary = new Notary(ledger.log, streams, key, ledger.clock, ledger.logger);
    await notary.start();
    await ledger.count('a', 3, streams);
    await ledger.count('b', 1, streams);
    await notary.close();
  }
  await ledger.count('a', 1, streams);
});
afterEach(() => ledger.close());

const find = async (trust = {}) => (await verifyStream(ledger.log, stream, trust)).finding;
const where = `WHERE stream = '${stream}'`;

describe('one stream', () => {
  it('verifies as it was written, and says what is not signed yet', async () => {
    expect(await verifyStream(ledger.log, stream, { publicKey: key.publicKey })).toEqual({
      events: 7,
      streams: 1,
      checkpoints: 2,
      unsigned: 1,
      finding: null,
    });
    expect(await verifyStream(ledger.log, CHECKPOINT_STREAM)).toMatchObject({ events: 2, unsigned: 0, finding: null });
    expect(await verifyStream(ledger.log, 'nobody')).toMatchObject({ events: 0, streams: 0, finding: null });
  });

  it('names the event that was altered, removed or cut off', async () => {
    await ledger.alter(`UPDATE events SET data = replace(data, '1', '2') ${where} AND revision = 4`);
    expect(await find()).toMatchObject({ problem: 'altered', stream, revision: 4 });
    await ledger.alter(`DELETE FROM events ${where} AND revision = 3`);
    expect(await find()).toMatchObject({ problem: 'gap', stream, revision: 3 });
    await ledger.alter(`DELETE FROM events ${where} AND revision > 3`);
    expect(await find()).toMatchObject({ problem: 'head', stream, revision: 3 });
    await ledger.alter(`DELETE FROM events ${where}`);
    expect(await find()).toMatchObject({ problem: 'head', stream, revision: 0 });
  });

  it('is held against a chain that was made anew', async () => {
    const events = await ledger.log.readStream(stream);
    await ledger.alter(`UPDATE events SET hash = '${events[0]?.hash}' ${where} AND revision = 5`);
    expect(await find()).toMatchObject({ problem: 'altered', stream, revision: 5 });
  });

  it('is not believed with checkpoints that were cut off or signed by others', async () => {
    const checkpoints = await ledger.log.readStream(CHECKPOINT_STREAM);
    const other = new SigningKey(generateKeyPairSync('ed25519').privateKey);
    expect(await find({ publicKey: other.publicKey })).toMatchObject({ problem: 'signature', revision: 0 });
    const checkpoint = { revision: 1, hash: checkpoints[1]?.hash ?? '' };
    expect(await find({ checkpoint })).toBeNull();
    await ledger.alter(`DELETE FROM events WHERE stream = '${CHECKPOINT_STREAM}' AND revision = 1`);
    expect(await find({ checkpoint })).toMatchObject({ problem: 'head', stream: CHECKPOINT_STREAM, revision: 1 });
    await ledger.alter(`UPDATE events SET data = replace(data, 'a', 'b') WHERE stream = '${CHECKPOINT_STREAM}'`);
    expect(await find()).toMatchObject({ problem: 'altered', stream: CHECKPOINT_STREAM, revision: 0 });
  });
});
