import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from './canonical-json.js';
import { differences } from './differences.js';

/** As a parser gives it. */
const plainJson = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown);

describe('differences', () => {
  it('names each place with what was there before and after', () => {
    const before = { a: 1, b: [1, 2, 3], c: { d: 'x', 'e/f~': null }, gone: true };
    const after = { a: 1, b: [1, 5], c: { d: 'y', 'e/f~': [] }, come: {} };
    expect(differences(before, after)).toEqual([
      { path: '/b/1', before: 2, after: 5 },
      { path: '/b/2', before: 3 },
      { path: '/c/d', before: 'x', after: 'y' },
      { path: '/c/e~1f~0', before: null, after: [] },
      { path: '/come', after: {} },
      { path: '/gone', before: true },
    ]);
  });

  it('takes a list for no object, and names that every object has for names like any other', () => {
    expect(differences([1], { 0: 1 })).toEqual([{ path: '', before: [1], after: { 0: 1 } }]);
    expect(differences({}, JSON.parse('{"constructor":1,"__proto__":2}'))).toEqual([
      { path: '/__proto__', after: 2 },
      { path: '/constructor', after: 1 },
    ]);
  });

  it('finds nothing between equals, and something between all others', () =>
    fc.assert(
      fc.property(plainJson, plainJson, (one, other) => {
        expect(differences(one, JSON.parse(JSON.stringify(one)))).toEqual([]);
        expect(differences(one, other).length === 0).toBe(canonicalJson(one) === canonicalJson(other));
      }),
    ));
});
