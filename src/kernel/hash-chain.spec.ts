import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical-json.js';
import { CHAIN_START, chainHash, closesChain, orderHash } from './hash-chain.js';

const event = {
  id: '01900000-0000-7000-8000-000000000001',
  type: 'thing.happened',
  data: '{"a":1}',
  metadata: '{"tenant":"acme"}',
};

describe('the hash chain', () => {
  it('is what its description says, so that anybody can compute it', () => {
    const text = canonicalJson({
      id: event.id,
      type: event.type,
      stream: 'sample.thing-"1"',
      revision: 7,
      data: JSON.parse(event.data) as object,
      metadata: JSON.parse(event.metadata) as object,
    });
    const expected = createHash('sha256').update(`${CHAIN_START}\n${text}`).digest('hex');
    expect(chainHash(CHAIN_START, 'sample.thing-"1"', 7, event)).toBe(expected);
  });

  it('stays what it was: a log of years must verify', () => {
    expect(chainHash(CHAIN_START, 'sample.thing-1', 0, event)).toBe(
      '09cf78ed9139bebe9ab5662c64252a798bb9e11244511ff30e1fa0d6ab108a0d',
    );
  });

  it('differs when anything differs', () => {
    const original = chainHash(CHAIN_START, 'sample.thing-1', 0, event);
    const others = [
      chainHash(original, 'sample.thing-1', 0, event),
      chainHash(CHAIN_START, 'sample.thing-2', 0, event),
      chainHash(CHAIN_START, 'sample.thing-1', 1, event),
      ...(['id', 'type', 'data', 'metadata'] as const).map((field) =>
        chainHash(CHAIN_START, 'sample.thing-1', 0, { ...event, [field]: `${event[field]} ` }),
      ),
    ];
    expect(new Set([original, ...others]).size).toBe(others.length + 1);
  });

  it('cannot be made to fit by moving text from one field to another', () =>
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.nat(), (stream, type, revision) => {
        const hash = chainHash(CHAIN_START, stream, revision, { ...event, type });
        const moved = chainHash(CHAIN_START, `${stream}","type":"${type}`, revision, { ...event, type: '' });
        expect(moved).not.toBe(hash);
      }),
    ));
});

describe('the hash that closes a chain', () => {
  const closed = (changed: Partial<typeof event>): boolean => {
    // Of data that holds members like those that stand around it.
    const data = `{"a":"x","id":"${event.id}","metadata":{"tenant":"b"}}`;
    const hash = chainHash(CHAIN_START, 'sample.thing-1', 0, { ...event, data });
    return closesChain(CHAIN_START, 'sample.thing-1', 0, { ...event, data, hash, ...changed });
  };

  it('is that of the event and the one before it', () => {
    expect(closed({})).toBe(true);
    expect(closed({ type: 'thing.undone' })).toBe(false);
  });

  it('is not taken from text that was moved between data, id and metadata', () => {
    const tail = `","metadata":${event.metadata}`;
    // Each of these is hashed as the same text.
    const intoId = { data: '{"a":"x"', id: `${event.id}","metadata":{"tenant":"b"}},"id":"${event.id}` };
    const intoMetadata = {
      data: '{"a":"x"',
      metadata: `{"tenant":"b"}},"id":"${event.id}${tail}`,
    };
    for (const moved of [intoId, intoMetadata]) {
      const whole = { ...event, data: `{"a":"x","id":"${event.id}","metadata":{"tenant":"b"}}` };
      const hash = chainHash(CHAIN_START, 'sample.thing-1', 0, whole);
      expect(chainHash(CHAIN_START, 'sample.thing-1', 0, { ...event, ...moved })).toBe(hash);
      expect(closed(moved)).toBe(false);
    }
  });
});

describe('the hash of an order', () => {
  it('tells two orders of the same events apart', () => {
    const [a, b] = [{ hash: 'a'.repeat(64) }, { hash: 'b'.repeat(64) }];
    const along = orderHash(orderHash(CHAIN_START, a), b);
    expect(along).not.toBe(orderHash(orderHash(CHAIN_START, b), a));
    expect(along).toMatch(/^[0-9a-f]{64}$/);
  });
});
