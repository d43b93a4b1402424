import { describe, expect, it } from '@jest/globals';
import type { Ids } from '../../src/kernel/ports/ids.js';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** What every source of identifiers promises. */
export function describeIds(adapter: string, open: () => Ids): void {
  describe(`Ids: ${adapter}`, () => {
    it('makes UUIDs of version 7 in lower case', () => {
      const ids = open();
      for (let count = 0; count < 1_000; count++) expect(ids.uuid()).toMatch(UUID_V7);
    });

    it('makes every UUID greater than the one before', () => {
      const ids = open();
      let last = ids.uuid();
      let inOrder = 0;
      for (let count = 0; count < 100_000; count++) {
        const next = ids.uuid();
        if (next > last) inOrder += 1;
        last = next;
      }
      expect(inOrder).toBe(100_000);
    });

    it.each([1, 2, 7, 24, 200])('makes tokens of %d characters of [0-9a-z]', (length) => {
      const ids = open();
      for (let count = 0; count < 100; count++) expect(ids.token(length)).toMatch(new RegExp(`^[0-9a-z]{${length}}$`));
    });

    it('makes an empty token of no character', () => {
      expect(open().token(0)).toBe('');
    });

    it('repeats no token', () => {
      const ids = open();
      const tokens = new Set(Array.from({ length: 20_000 }, () => ids.token(16)));
      expect(tokens.size).toBe(20_000);
    });
  });
}
