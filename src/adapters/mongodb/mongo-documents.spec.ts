import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Scalar } from '../../kernel/ports/view-store.js';
import { collectionFromMongo, collectionToMongo, escapeName, sortKey, unescapeName } from './mongo-documents.js';

const bytes = (text: string): Buffer => Buffer.from(text);
const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const name = fc.oneof(text, fc.constantFrom('', '%', '.', '$a', 'a.b', '__proto__', 'system.x', 'a\0', '%24', '漢'));

describe('a sort key', () => {
  const rank = (value: Scalar): number => ['boolean', 'number', 'string'].indexOf(typeof value);
  const order = (a: Scalar, b: Scalar): number => {
    if (rank(a) !== rank(b)) return Math.sign(rank(a) - rank(b));
    if (typeof a === 'string') return Buffer.compare(bytes(a), bytes(b as string));
    return Number(a) === Number(b) ? 0 : Number(a) < Number(b) ? -1 : 1;
  };

  it('sorts by bytes as its value does: switches, then numbers by size, then texts by bytes', () => {
    const value = fc.oneof(
      fc.boolean(),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.integer({ min: -3, max: 3 }),
      text,
    );
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [left, right] = [sortKey(a), sortKey(b)] as [string, string];
        expect(Buffer.compare(bytes(left), bytes(right))).toBe(order(a, b));
      }),
      { numRuns: 2_000 },
    );
  });

  it('knows one zero, and none for what JSON cannot hold', () => {
    expect(sortKey(-0)).toBe(sortKey(0));
    expect([sortKey(null), sortKey(Number.NaN), sortKey(Infinity)]).toEqual([null, null, null]);
  });
});

describe('an escaped name', () => {
  it('leads back to the name of the field, and is plain', () => {
    fc.assert(
      fc.property(name, (field) => {
        expect(unescapeName(escapeName(field))).toBe(field);
        expect(escapeName(field)).toMatch(/^(?!__)[A-Za-z0-9_%-]+$/);
      }),
    );
  });

  it('leads back to the name of the collection, and is one that MongoDB takes', () => {
    fc.assert(
      fc.property(name, (collection) => {
        expect(collectionFromMongo(collectionToMongo(collection))).toBe(collection);
        expect(collectionToMongo(collection)).toMatch(/^(?!system\.|\.)[A-Za-z0-9._:%-]+$/);
      }),
    );
  });

  it('is the name itself for every view that is called as views are', () => {
    expect(collectionToMongo('hypershift.run-summary.v12.3')).toBe('hypershift.run-summary.v12.3');
  });

  it('is not found for collections of others', () => {
    expect(['system.views', 'a b', '%', '%zz', '%61', 'fs.files'].map(collectionFromMongo)).toEqual([
      undefined,
      undefined,
      '',
      undefined,
      undefined,
      'fs.files',
    ]);
  });

  it('is refused when it is too long for a database', () => {
    expect(() => collectionToMongo('é'.repeat(100))).toThrow(RangeError);
  });
});
