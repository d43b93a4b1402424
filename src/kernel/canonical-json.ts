/**
 * JSON with the keys of every object in code-unit order and no white space: equal values give equal texts, and
 * `canonicalJson(JSON.parse(text)) === text` for every text that it made. Fields that are undefined are left out.
 *
 * @throws TypeError for a bigint, RangeError for a cycle, and for what is nested too deep for the stack.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return listText(value);
  if (value instanceof Date) return JSON.stringify(value);
  let text = '';
  for (const key of sortedKeys(value)) {
    const field = (value as Record<string, unknown>)[key];
    if (field === undefined) continue;
    text += `${text === '' ? '{' : ','}${keyText(key)}${canonicalJson(field)}`;
  }
  return text === '' ? '{}' : `${text}}`;
}

/** Most objects are written in order already. */
function sortedKeys(value: object): string[] {
  const keys = Object.keys(value);
  for (let index = 1; index < keys.length; index++) {
    if ((keys[index - 1] as string) > (keys[index] as string)) return keys.sort();
  }
  return keys;
}

/** Field names recur: their texts are kept, the first few thousand of them. */
const keyTexts = new Map<string, string>();
const KEPT_KEYS = 4_096;

function keyText(key: string): string {
  const known = keyTexts.get(key);
  if (known !== undefined) return known;
  const text = `${JSON.stringify(key)}:`;
  if (keyTexts.size < KEPT_KEYS && key.length < 64) keyTexts.set(key, text);
  return text;
}

/** Index by index: `map` passes over the holes of a sparse array, where JSON has null. */
function listText(list: readonly unknown[]): string {
  let text = '[';
  for (let index = 0; index < list.length; index++) text += `${index === 0 ? '' : ','}${canonicalJson(list[index])}`;
  return `${text}]`;
}
