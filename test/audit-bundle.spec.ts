import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { z } from 'zod';
import { defineEvent } from '../contracts/define-event.js';
import { SettableClock } from './support/settable-clock.js';
import { catalogOf, TestLedger } from './support/test-ledger.js';
import { FilesBlobStore } from '../src/adapters/files/files-blob-store.js';
import type { Decider } from '../src/kernel/decider.js';
import type { StoredEvent } from '../src/kernel/ports/event-log.js';
import type { RunIndexDoc } from '../src/kernel/runs/run-index.view.js';
import { bundleLines, type BundleLine } from '../src/kernel/audit/bundle.js';
import { Notary } from '../src/kernel/audit/notary.js';
import { loadSigningKey, SigningKey } from '../src/kernel/audit/signing-key.js';
import { BundleVerifier, type BundleVerification } from '../src/kernel/audit/verify-bundle.js';
import type { Trust } from '../src/kernel/audit/verify.js';

const noted = defineEvent('note.taken', {
  version: 1,
  data: z.object({ system: z.literal('sample'), tenant: z.string(), runId: z.string(), text: z.string() }),
});
type Noted = { readonly type: 'note.taken'; readonly data: z.infer<typeof noted.data> };
const take: Decider<null, Noted['data'], Noted> = {
  initial: null,
  decide: (data) => [{ type: 'note.taken', data }],
  evolve: () => null,
};

const SHA_OF_TEXT = createHash('sha256').update('the artifact').digest('hex');

let ledger: TestLedger;
let key: SigningKey;
/** The lines of a bundle: a run of four events in a stream of its own, and one in a stream that it shares. */
let lines: string[];

beforeAll(async () => {
  ledger = await TestLedger.open();
  key = loadSigningKey(ledger.folder);
  const streams = ledger.streams(ledger.log, catalogOf([noted]));
  const note = (stream: string, runId: string, text: string): Promise<unknown> =>
    streams.transact(take, `sample.${stream}`, { system: 'sample', tenant: 'acme', runId, text });
  const signed = async (work: () => Promise<unknown>): Promise<void> => {
    const notary = new Notary(ledger.log, streams, key, ledger.clock, ledger.logger);
    await notary.start();
    await work();
    await notary.close();
  };
  await signed(() => note('other', 'r-2', 'before anything'));
  await signed(async () => {
    await note('run-1', 'r-1', 'begun');
    await note('shared', 'r-2', 'of another');
    await note('shared', 'r-1', 'of this one');
    await note('run-1', 'r-1', `artifact ${SHA_OF_TEXT}`);
  });
  await signed(async () => {
    await note('run-1', 'r-1', 'over');
    await note('other', 'r-2', 'after it');
  });
  await note('run-1', 'r-1', 'not signed yet');
  const clock = new SettableClock();
  const blobs = new FilesBlobStore({
    folder: ledger.folder,
    publicUrl: 'http://localhost',
    signingKey: Buffer.alloc(32),
    clock,
  });
  await blobs.put('runs/r-1/a.txt', Buffer.from('the artifact'));
  await blobs.put('runs/r-1/b.bin', Buffer.alloc(200_000, 7));
  await blobs.put('runs/r-2/c.txt', Buffer.from('of another run'));
  const events = await ledger.events();
  const run: RunIndexDoc = {
    system: 'sample',
    tenant: 'acme',
    runId: 'r-1',
    state: null,
    createdAt: '',
    stateSince: '',
    streams: ['sample.run-1'],
    mentions: [['sample.shared', 1]],
  };
  const history = events.filter(({ data }) => data.includes('"r-1"'));
  const text: string[] = [];
  const source = { log: ledger.log, blobs, run, head: await ledger.log.head(), history, artifacts: ['runs/r-1/'] };
  for await (const line of bundleLines(source)) text.push(line);
  lines = text.join('').split('\n').slice(0, -1);
});
afterAll(() => ledger.close());

function verify(bundle: readonly string[], trust: Trust = { publicKey: key.publicKey }): BundleVerification {
  const verifier = new BundleVerifier(trust);
  for (const line of bundle) if (!verifier.take(line)) break;
  return verifier.finish();
}

const parsed = (index: number): BundleLine => JSON.parse(lines[index] ?? '') as BundleLine;
const indexes = (...kinds: BundleLine['kind'][]): number[] =>
  lines.flatMap((_, index) => (kinds.includes(parsed(index).kind) ? [index] : []));

/** The same bundle with an end that fits, as somebody who knows the format would give it. */
function resealed(body: readonly string[]): string[] {
  const sha256 = createHash('sha256')
    .update(body.map((line) => `${line}\n`).join(''))
    .digest('hex');
  return [...body, JSON.stringify({ kind: 'end', lines: body.length, sha256 })];
}
const body = (): string[] => lines.slice(0, -1);

describe('a bundle', () => {
  it('verifies with nothing but the public key', () => {
    expect(verify(lines)).toEqual({
      system: 'sample',
      runId: 'r-1',
      events: 5,
      checkpoints: 3,
      publicKeys: [key.publicKey],
      unsigned: 1,
      artifacts: 2,
      vouched: 1,
      finding: null,
    });
  });

  it('holds whole events of its run, and of others nothing but hashes', () => {
    expect(lines.filter((line) => line.includes('of another') || line.includes('before anything'))).toEqual([]);
    expect(indexes('order').length).toBeGreaterThan(0);
  });

  it('is refused with another key, another kept checkpoint, and after its end', () => {
    const other = new SigningKey(generateKeyPairSync('ed25519').privateKey);
    expect(verify(lines, { publicKey: other.publicKey }).finding).toMatchObject({ problem: 'signature' });
    const { revision } = parsed(indexes('checkpoint').at(-1) ?? 0) as StoredEvent & BundleLine;
    const checkpoint = { revision, hash: 'f'.repeat(64) };
    expect(verify(lines, { checkpoint }).finding).toMatchObject({ problem: 'signature' });
    expect(verify([...lines, '{}']).finding).toMatchObject({ problem: 'format', line: lines.length + 1 });
    expect(verify([]).finding).toMatchObject({ problem: 'format' });
  });
});

describe('whoever alters a bundle is found', () => {
  it('one character of any line', () =>
    fc.assert(
      fc.property(fc.nat(lines.length - 1), fc.nat(), fc.integer({ min: 33, max: 126 }), (index, offset, code) => {
        const line = lines[index] ?? '';
        const at = offset % line.length;
        const altered = line.slice(0, at) + String.fromCharCode(code) + line.slice(at + 1);
        fc.pre(altered !== line);
        expect(verify(lines.with(index, altered)).finding).not.toBeNull();
      }),
      { numRuns: 500 },
    ));

  it('a line that was removed, or the end cut off', () => {
    for (let index = 0; index < lines.length; index++) {
      expect({ index, found: verify(lines.toSpliced(index, 1)).finding !== null }).toEqual({ index, found: true });
      expect({ index, found: verify(lines.slice(0, index)).finding !== null }).toEqual({ index, found: true });
    }
  });

  it('an event that was removed, by whoever writes the end anew', () => {
    for (const index of indexes('event')) {
      const event = parsed(index) as StoredEvent & BundleLine;
      const { finding, unsigned } = verify(resealed(body().toSpliced(index, 1)));
      // What no checkpoint has seen yet can be left out of the end, and so can what is said elsewhere of the run.
      const provable = event.stream === 'sample.run-1' && event.revision < 3;
      if (provable) expect(finding).toMatchObject({ stream: event.stream, revision: event.revision });
      else expect([finding, unsigned <= 1]).toEqual([null, true]);
    }
  });

  it('an event that was changed, by whoever writes the end anew', () => {
    for (const index of indexes('event')) {
      const event = parsed(index) as StoredEvent & BundleLine;
      const altered = { ...event, data: event.data.replace('"acme"', '"evil"') };
      const { finding } = verify(resealed(body().with(index, JSON.stringify(altered))));
      expect(finding).toMatchObject({ problem: 'altered', stream: event.stream, revision: event.revision });
    }
  });

  it('an artifact with another content, by whoever writes the end anew', () => {
    const [content = 0] = indexes('content');
    const altered = JSON.stringify({ kind: 'content', base64: Buffer.from('another text').toString('base64') });
    expect(verify(resealed(body().with(content, altered))).finding).toMatchObject({ problem: 'artifact' });
    const [artifact = 0] = indexes('artifact');
    const sha256 = createHash('sha256').update('another text').digest('hex');
    const line = { ...parsed(artifact), sha256, sizeBytes: 12 };
    // Whole it is, but no event has ever named it.
    const replaced = body().with(content, altered).with(artifact, JSON.stringify(line));
    expect(verify(resealed(replaced))).toMatchObject({ finding: null, artifacts: 2, vouched: 0 });
  });

  it('an event of another run, and one of a shared stream that the log never held', () => {
    const shared = indexes('event').find(
      (index) => (parsed(index) as StoredEvent & BundleLine).stream === 'sample.shared',
    );
    const event = parsed(shared ?? 0) as StoredEvent & BundleLine;
    const foreign = { ...event, data: event.data.replace('"r-1"', '"r-2"') };
    expect(verify(resealed(body().with(shared ?? 0, JSON.stringify(foreign)))).finding).toMatchObject({
      problem: 'foreign',
    });
    const [order = 0] = indexes('order');
    const line = parsed(order) as Extract<BundleLine, { kind: 'order' }>;
    const hashes = line.hashes.map((hash) => (hash === event.hash ? 'f'.repeat(64) : hash));
    expect(verify(resealed(body().with(order, JSON.stringify({ ...line, hashes })))).finding).toMatchObject({
      problem: 'order',
    });
    // Without the proof it is no more than chained.
    expect(verify(resealed(body().filter((_, index) => !indexes('order').includes(index))))).toMatchObject({
      finding: null,
      unsigned: 2,
    });
  });
});
