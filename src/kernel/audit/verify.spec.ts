import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { generateKeyPairSync } from 'node:crypto';
import { TestLedger } from '../../../test/support/test-ledger.js';
import { canonicalJson } from '../canonical-json.js';
import { CHAIN_START, chainHash } from '../hash-chain.js';
import type { StoredEvent } from '../ports/event-log.js';
import { CHECKPOINT_STREAM, Notary, signedText, type CheckpointData } from './notary.js';
import { loadSigningKey, SigningKey } from './signing-key.js';
import { LogVerifier, verifyLog, type Trust, type Verification } from './verify.js';

let ledger: TestLedger;
let key: SigningKey;
/** A log of four streams with three checkpoints; the last events are not signed yet. */
let log: StoredEvent[];
/** How many of them the newest checkpoint covers. */
let covered: number;

beforeAll(async () => {
  ledger = await TestLedger.open();
  key = loadSigningKey(ledger.folder);
  const streams = ledger.streams();
  const round = async (counters: string): Promise<void> => {
    for (const counter of counters) await ledger.count(counter, 1, streams);
  };
  for (const counters of ['aabcab', 'bbdab', 'cadd']) {
    const notary = new Notary(ledger.log, streams, key, ledger.clock, ledger.logger);
    await notary.start();
    await round(counters);
    await notary.close();
  }
  await round('add');
  log = await ledger.events();
  const checkpoints = log.filter(({ stream }) => stream === CHECKPOINT_STREAM);
  covered = dataOf(checkpoints.at(-1) as StoredEvent).events;
});
afterAll(() => ledger.close());

function verify(events: readonly StoredEvent[], trust?: Trust): Verification {
  const verifier = new LogVerifier(trust);
  for (const event of events) if (!verifier.take(event)) break;
  return verifier.finish();
}

const dataOf = ({ data }: StoredEvent): CheckpointData => JSON.parse(data) as CheckpointData;
const at = (index: number): StoredEvent => log[index] as StoredEvent;
const placeOf = ({ stream, revision }: StoredEvent): object => ({ stream, revision });
const anyIndex = (): fc.Arbitrary<number> => fc.nat(log.length - 1);
const coveredIndex = (): fc.Arbitrary<number> => fc.nat(covered - 1);

/** The same events, with the hashes of one stream computed anew, as somebody with access to the store would. */
function rehashed(events: readonly StoredEvent[], stream: string): StoredEvent[] {
  let previous = CHAIN_START;
  return events.map((event) => {
    if (event.stream !== stream) return event;
    const hash = chainHash(previous, stream, event.revision, event);
    previous = hash;
    return { ...event, hash };
  });
}

describe('a log that nobody has touched', () => {
  it('verifies', async () => {
    const verification = await verifyLog(ledger.log, { publicKey: key.publicKey });
    expect(verification).toEqual({ events: 21, streams: 5, checkpoints: 3, unsigned: 3, finding: null });
    expect(verify(log)).toEqual(verification);
  });

  it('verifies when it is empty', () => {
    expect(verify([])).toEqual({ events: 0, streams: 0, checkpoints: 0, unsigned: 0, finding: null });
  });

  it('verifies at every length: each prefix of a log is a log', () => {
    for (let length = 0; length <= log.length; length++) expect(verify(log.slice(0, length)).finding).toBeNull();
  });
});

describe('whoever alters the log is found, with the stream and the revision', () => {
  it('one character of an event', () => {
    const field = fc.constantFrom('data', 'metadata', 'id', 'type', 'hash');
    fc.assert(
      fc.property(anyIndex(), field, fc.nat(), fc.integer({ min: 33, max: 126 }), (index, where, offset, code) => {
        const event = at(index);
        const text = event[where as 'data'];
        const place = offset % text.length;
        const altered = text.slice(0, place) + String.fromCharCode(code) + text.slice(place + 1);
        fc.pre(altered !== text);
        const events = log.with(index, { ...event, [where]: altered });
        expect(verify(events).finding).toMatchObject({
          problem: 'altered',
          ...placeOf(event),
          position: event.position,
        });
      }),
      { numRuns: 500 },
    );
  });

  it('one event removed', () =>
    fc.assert(
      fc.property(coveredIndex(), (index) => {
        const events = log.toSpliced(index, 1);
        expect(verify(events).finding).toMatchObject(placeOf(at(index)));
      }),
    ));

  it('two events of one stream swapped', () =>
    fc.assert(
      fc.property(coveredIndex(), coveredIndex(), (first, second) => {
        fc.pre(first < second && at(first).stream === at(second).stream);
        const events = log.with(first, at(second)).with(second, at(first));
        expect(verify(events).finding).toMatchObject(placeOf(at(first)));
      }),
    ));

  it('any two events swapped', () =>
    fc.assert(
      fc.property(coveredIndex(), coveredIndex(), (first, second) => {
        fc.pre(first !== second);
        const events = log.with(first, at(second)).with(second, at(first));
        expect(verify(events).finding).not.toBeNull();
      }),
    ));

  it('one event moved to another place', () =>
    fc.assert(
      fc.property(coveredIndex(), coveredIndex(), (from, to) => {
        fc.pre(from !== to);
        const events = log.toSpliced(from, 1).toSpliced(to, 0, at(from));
        expect(verify(events).finding).not.toBeNull();
      }),
    ));

  it('one event moved to another stream', () =>
    fc.assert(
      fc.property(coveredIndex(), coveredIndex(), (index, other) => {
        const { stream } = at(other);
        fc.pre(stream !== at(index).stream);
        const events = log.with(index, { ...at(index), stream });
        expect(verify(events).finding?.stream).toBe(stream);
      }),
    ));

  it('one event inserted, its hash computed as it must be', () => {
    const streams = fc.constantFrom('a', 'b', 'c', 'd', 'z').map((counter) => `sample.counter-${counter}`);
    fc.assert(
      fc.property(coveredIndex(), streams, (index, stream) => {
        const before = log.slice(0, index).filter((event) => event.stream === stream);
        const revision = before.length;
        const forged = { ...at(0), stream, revision, id: '01900000-0000-7000-8000-ffffffffffff' };
        const hash = chainHash(before.at(-1)?.hash ?? CHAIN_START, stream, revision, forged);
        const events = log.toSpliced(index, 0, { ...forged, hash });
        expect(verify(events).finding).toMatchObject({ stream, revision });
      }),
    );
  });

  it('a stream whose end was cut off', () =>
    fc.assert(
      fc.property(coveredIndex(), (index) => {
        const { stream, revision } = at(index);
        fc.pre(stream !== CHECKPOINT_STREAM);
        const events = log.filter((event) => event.stream !== stream || event.revision < revision);
        expect(verify(events).finding).toMatchObject({ problem: 'head', stream, revision });
      }),
    ));

  it.each('abcd'.split(''))('the whole stream %s removed', (counter) => {
    const stream = `sample.counter-${counter}`;
    const events = log.filter((event) => event.stream !== stream);
    expect(verify(events).finding).toMatchObject({ problem: 'head', stream, revision: 0 });
  });

  it('a stream that was written anew, with a chain that fits', () =>
    fc.assert(
      fc.property(coveredIndex(), (index) => {
        const { stream } = at(index);
        fc.pre(stream !== CHECKPOINT_STREAM);
        const events = rehashed(log.with(index, { ...at(index), data: '{"by":1000}' }), stream);
        expect(verify(events).finding).toMatchObject({ problem: 'head', stream });
      }),
    ));

  it('a stream that was written anew and made longer than what was signed', () => {
    const stream = 'sample.counter-a';
    const first = log.findIndex(({ stream: name }) => name === CHECKPOINT_STREAM);
    const own = log.slice(0, first).filter((event) => event.stream === stream);
    const more = { ...(own.at(-1) as StoredEvent), revision: own.length };
    const later = log
      .slice(first)
      .map((event) => (event.stream === stream ? { ...event, revision: event.revision + 1 } : event));
    const events = rehashed([{ ...at(0), data: '{"by":1000}' }, ...log.slice(1, first), more, ...later], stream);
    expect(verify(events).finding).toMatchObject({ problem: 'head', stream });
  });
});

describe('checkpoints', () => {
  const stranger = new SigningKey(generateKeyPairSync('ed25519').privateKey);

  /** The log up to the newest checkpoint, and that one changed and signed by somebody. */
  function resigned(change: Partial<CheckpointData>, by: SigningKey): StoredEvent[] {
    const last = log.findLastIndex(({ stream }) => stream === CHECKPOINT_STREAM);
    const unsigned = { ...dataOf(at(last)), publicKey: by.publicKey, ...change };
    const data = canonicalJson({ ...unsigned, signature: change.signature ?? by.sign(signedText(unsigned)) });
    return rehashed([...log.slice(0, last), { ...at(last), data }], CHECKPOINT_STREAM);
  }

  it('signed with another key are refused by those who know the right one', () => {
    const events = resigned({}, stranger);
    expect(verify(events, { publicKey: key.publicKey }).finding).toMatchObject({
      problem: 'signature',
      stream: CHECKPOINT_STREAM,
      revision: 2,
      message: 'the checkpoint is signed with another key',
    });
    expect(verify(events).finding).toBeNull();
  });

  it.each<[string, Partial<CheckpointData>]>([
    ['a signature of something else', { signature: Buffer.alloc(64).toString('base64') }],
    ['no signature', { signature: '' }],
    ['a key that is none', { publicKey: 'AAAA' }],
    ['another checkpoint before it', { previous: CHAIN_START }],
    ['fields that are missing', { heads: undefined as unknown as [] }],
  ])('with %s are refused, and never believed', (_name, change) => {
    expect(verify(resigned(change, key)).finding).toMatchObject({ problem: 'signature', stream: CHECKPOINT_STREAM });
  });

  it('that were signed over other heads do not fit the log', () => {
    const heads = [{ stream: 'sample.counter-c', revision: 1, hash: 'f'.repeat(64) }];
    expect(verify(resigned({ heads }, key)).finding).toMatchObject({ problem: 'head', stream: 'sample.counter-c' });
  });

  it('that were signed over another order do not fit the log', () => {
    expect(verify(resigned({ order: CHAIN_START }, key)).finding).toMatchObject({ problem: 'order' });
    expect(verify(resigned({ events: 400 }, key)).finding).toMatchObject({ problem: 'order' });
    expect(verify(resigned({ events: 1 }, key)).finding).toMatchObject({ problem: 'order' });
  });

  it('that were kept elsewhere give a log away that was replaced by an older one', () => {
    const kept = log.findLast(({ stream }) => stream === CHECKPOINT_STREAM) as StoredEvent;
    const { revision, hash } = kept;
    const older = log.slice(0, log.indexOf(kept));
    expect(verify(log, { checkpoint: { revision, hash } }).finding).toBeNull();
    expect(verify(older).finding).toBeNull();
    expect(verify(older, { checkpoint: { revision, hash } }).finding).toMatchObject({
      problem: 'head',
      stream: CHECKPOINT_STREAM,
      revision: 2,
    });
    expect(verify(log, { checkpoint: { revision, hash: 'f'.repeat(64) } }).finding).toMatchObject({
      problem: 'signature',
      revision,
    });
  });
});

describe('a store that somebody has written to', () => {
  it('is found out by reading it', async () => {
    const victim = await TestLedger.open();
    try {
      await victim.count('a', 5);
      await victim.alter('UPDATE events SET data = replace(data, \'"by":1\', \'"by":2\') WHERE revision = 3');
      expect((await verifyLog(victim.log)).finding).toMatchObject({
        problem: 'altered',
        stream: 'sample.counter-a',
        revision: 3,
      });
    } finally {
      await victim.close();
    }
  });
});
