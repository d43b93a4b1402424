import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isBlobKey } from '../../kernel/blob-key.js';
import { locate, orderedEntries } from './blob-paths.js';

interface Folder {
  readonly [name: string]: Folder;
}

/** Folders and files that these keys lead to; files as empty folders. */
function treeOf(keys: readonly string[]): Folder {
  const top: Record<string, Folder> = {};
  for (const key of keys) {
    const { folders, infoName } = locate(key);
    let folder = top;
    for (const name of [...folders, infoName]) folder = (folder[name] ??= {}) as Record<string, Folder>;
  }
  return top;
}

function walk(folder: Folder, path: Buffer = Buffer.alloc(0)): string[] {
  return orderedEntries(path, Object.keys(folder)).flatMap((entry) =>
    entry.kind === 'info' ? [entry.path.toString()] : walk(folder[entry.name] ?? {}, entry.path),
  );
}

const piece = fc.oneof(
  fc.constantFrom('a', 'A', '-', '.', '%', '0', '/', '/', ' ', 'é', '\uffee', '😀', '~'),
  fc.constantFrom('x'.repeat(79), 'x'.repeat(80), 'x'.repeat(81), 'é'.repeat(40), `y${'é'.repeat(40)}`),
);
const key = fc
  .array(piece, { minLength: 1, maxLength: 8 })
  .map((pieces) => pieces.join(''))
  .filter(isBlobKey);

describe('the place of a key', () => {
  it('is its own, and a walk meets all keys in byte order', () => {
    fc.assert(
      fc.property(fc.uniqueArray(key, { minLength: 1, maxLength: 30 }), (keys) => {
        const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        expect(walk(treeOf(keys))).toEqual(sorted);
      }),
      { numRuns: 500 },
    );
  });

  it('has names that every file system takes and keeps apart', () => {
    fc.assert(
      fc.property(key, (text) => {
        const { folders, infoName } = locate(text);
        for (const name of [...folders, infoName]) expect(name).toMatch(/^[dpi]-[a-z0-9_%-]{0,240}$/);
      }),
    );
  });

  it('passes over names that are not ours', () => {
    const names = ['c-1', 't-1', '.DS_Store', 'I-A', 'i-A', 'i-a.txt', 'x-a', 'lost+found', 'i-a'];
    expect(orderedEntries(Buffer.alloc(0), names).map(({ name }) => name)).toEqual(['i-a']);
  });
});
