import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { canonicalJson } from './canonical-json.js';

/** Everything that JSON can hold, keys like `__proto__` and lone surrogates included. */
const json = fc.jsonValue({ stringUnit: 'binary', maxDepth: 4 });

/** A list with a hole in front. */
const sparse: number[] = [];
sparse[1] = 1;

/** The same value, with the keys of every object put in backwards. */
function backwards(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(backwards);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [key, field] of Object.entries(value).toReversed()) copy[key] = backwards(field);
  return copy;
}

describe('canonical JSON', () => {
  it('says what JSON says', () =>
    fc.assert(
      fc.property(json, (value) => expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))),
    ));

  it('gives its own text again for what it made', () =>
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    ));

  it('does not depend on the order in which fields were set', () =>
    fc.assert(fc.property(json, (value) => expect(canonicalJson(backwards(value))).toBe(canonicalJson(value)))));

  it('is no longer than JSON without white space', () =>
    fc.assert(fc.property(json, (value) => expect(canonicalJson(value)).toHaveLength(JSON.stringify(value).length))));

  it('tells different values apart', () =>
    fc.assert(
      fc.property(json, json, (a, b) => {
        const same = isDeepStrictEqual(JSON.parse(JSON.stringify(a)), JSON.parse(JSON.stringify(b)));
        expect(canonicalJson(a) === canonicalJson(b)).toBe(same);
      }),
    ));

  it('leaves out fields that are undefined, at any depth', () =>
    fc.assert(
      fc.property(json, fc.string(), (value, key) =>
        expect(canonicalJson({ kept: [{ value, [`${key}?`]: undefined }] })).toBe(canonicalJson({ kept: [{ value }] })),
      ),
    ));

  it.each([
    [
      'keys in code-unit order',
      { b: 1, a: 2, B: 3, 10: 4, 9: 5, é: 6, '': 7 },
      '{"":7,"10":4,"9":5,"B":3,"a":2,"b":1,"é":6}',
    ],
    [
      'a key of the prototype',
      JSON.parse('{"__proto__":{"a":1},"constructor":2}'),
      '{"__proto__":{"a":1},"constructor":2}',
    ],
    ['lone surrogates as escapes', ['\ud800', '\udc00x', '😀'], '["\\ud800","\\udc00x","😀"]'],
    ['control characters as escapes', '\u0000\n"\\\u2028', '"\\u0000\\n\\"\\\\\u2028"'],
    [
      'large, small and negative numbers',
      [1e21, 1e-7, -0, 0.1, 2 ** 53, -1.5],
      '[1e+21,1e-7,0,0.1,9007199254740992,-1.5]',
    ],
    ['what is no number as null', [NaN, Infinity, -Infinity], '[null,null,null]'],
    ['nothing as null', [undefined, null, sparse], '[null,null,[null,1]]'],
    ['a time as its text', { at: new Date(0) }, '{"at":"1970-01-01T00:00:00.000Z"}'],
    ['the empty', [{}, [], ''], '[{},[],""]'],
    ['an object without fields that count', { a: undefined }, '{}'],
  ])('writes %s', (_name, value, text) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it('refuses what JSON cannot hold', () => {
    expect(() => canonicalJson({ big: 1n })).toThrow(TypeError);
    const cycle: Record<string, unknown> = {};
    cycle['self'] = cycle;
    expect(() => canonicalJson(cycle)).toThrow(RangeError);
  });
});
