import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { assertBlobKey, isBlobKey } from './blob-key.js';
import { InvalidKey } from './errors.js';

describe('a blob key', () => {
  it.each([
    'a',
    'tenant/run-1/video/1767225600000-checkout.webm',
    'with space/ü/日本/😀',
    '...',
    'a..b',
    '.hidden',
    '100%',
    '50%25',
    'a%20b',
    'x/C:',
    'run:1/a',
    'a'.repeat(255),
    `${'a'.repeat(255)}/${'b'.repeat(255)}/${'c'.repeat(255)}/${'d'.repeat(132)}`,
  ])('may be %s', (key) => expect(isBlobKey(key)).toBe(true));

  it.each([
    ['empty segment', ['', '/etc/passwd', 'a/', 'a//b', '//host/share']],
    [
      'dot segment',
      ['.', '..', 'a/../b', '../../canary', '．．/a', '‥', '․', '%2e%2e/a', 'a/%2E%2e', '%252E.', '%25252e'],
    ],
    ['slash', ['..\\canary', '\\\\host\\share', 'a%2fb', '..%2f..%2fa', '%255c', 'a／b', 'a＼b', '%ef%bc%8f']],
    ['control character', ['a\0', 'a\nb', '\t', 'a\u007fb', 'a\u0080b', 'a%00.txt', 'a%250a']],
    ['drive letter', ['C:/Windows', 'c:', 'z:secret']],
    ['255 bytes', ['a'.repeat(256), `x/${'é'.repeat(128)}`]],
    ['900 bytes', ['abcdefghi/'.repeat(90) + 'a', '€/'.repeat(226)]],
    ['text', ['\ud800', 'a\udc00b']],
  ])('has no %s', (rule, keys) => {
    for (const key of keys) {
      expect(() => assertBlobKey(key)).toThrow(InvalidKey);
      expect(() => assertBlobKey(key)).toThrow(rule);
    }
  });

  it('that passes stays inside any folder, however often a reader decodes it', () => {
    const piece = fc.constantFrom('.', '%2e', '%252e', '%2f', '%5c', '%', '25', '2e', '．', '‥', '/', 'a', '\\');
    const text = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => pieces.join(''));
    fc.assert(
      fc.property(text, (key) => {
        fc.pre(isBlobKey(key));
        for (let spelling = key, round = 0; round < 5; round += 1) {
          expect(spelling.split(/[/\\]/).some((segment) => segment === '.' || segment === '..')).toBe(false);
          spelling = spelling.normalize('NFKC').replace(/%(2e|2f|5c|25)/gi, (encoded) => decodeURIComponent(encoded));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
