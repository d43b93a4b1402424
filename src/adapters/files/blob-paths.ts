/**
 * Where a key lies below the folder of a files blob store. Each segment of a key is a folder, so that a prefix is found
 * without reading all of the rest; the last segment names the info file. Names hold lower-case letters, digits, `_`, `-`
 * and `%xx` only, so that they are the same on file systems that ignore case or normalise Unicode, and begin with a
 * letter for what they are:
 *
 *     d-<text>   a segment that has others below it
 *     p-<text>   the first 80 bytes of a segment that is too long for one name; the rest follows below
 *     i-<text>   the info of a blob; names its content file
 *     c-<id>     a content file
 *     t-<id>     an info file that is being written
 */
export interface BlobLocation {
  /** Names of the folders from the top. */
  readonly folders: readonly string[];
  /** Name of the info file in the last of them. */
  readonly infoName: string;
}

/** Encoded this is at most 240 characters; file systems take 255. */
const PART_BYTES = 80;

export function locate(key: string): BlobLocation {
  const folders: string[] = [];
  const segments = key.split('/');
  for (const [index, segment] of segments.entries()) {
    let bytes = Buffer.from(segment, 'utf8');
    for (; bytes.length >= PART_BYTES; bytes = bytes.subarray(PART_BYTES)) {
      folders.push(`p-${encode(bytes.subarray(0, PART_BYTES))}`);
    }
    if (index < segments.length - 1) folders.push(`d-${encode(bytes)}`);
    else return { folders, infoName: `i-${encode(bytes)}` };
  }
  throw new RangeError('A key has at least one segment');
}

/** An entry of a folder that leads to blobs. */
export interface TreeEntry {
  readonly name: string;
  readonly kind: 'info' | 'folder';
  /** For an info its key; for a folder what all keys below it begin with. In UTF-8, perhaps cut inside a character. */
  readonly path: Buffer;
}

/**
 * The entries among `names` that lead to blobs, such that walking them in this order meets keys in byte order.
 *
 * @param path What all keys in this folder begin with.
 */
export function orderedEntries(path: Buffer, names: readonly string[]): readonly TreeEntry[] {
  const entries = names.flatMap((name): TreeEntry[] => {
    const [, letter, text = ''] = /^([dpi])-([a-z0-9_%-]*)$/.exec(name) ?? [];
    if (letter === undefined) return [];
    // A folder sorts with its slash: "a-b" comes before "a/b", and "a0" after it.
    const tail = letter === 'd' ? [decode(text), Buffer.from('/')] : [decode(text)];
    return [{ name, kind: letter === 'i' ? 'info' : 'folder', path: Buffer.concat([path, ...tail]) }];
  });
  return entries.sort((a, b) => Buffer.compare(a.path, b.path));
}

export function startsWith(bytes: Buffer, start: Buffer): boolean {
  return bytes.length >= start.length && bytes.subarray(0, start.length).equals(start);
}

function encode(bytes: Buffer): string {
  let text = '';
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    text += /[a-z0-9_-]/.test(character) ? character : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return text;
}

function decode(text: string): Buffer {
  return Buffer.from(
    text.replace(/%([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}
