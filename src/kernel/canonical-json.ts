/**
 * JSON with the keys of every object in code-unit order and no white space: equal values give equal texts, and
 * `canonicalJson(JSON.parse(text)) === text` for every text that it made. Fields that are undefined are left out.
 *
 * @throws TypeError for a bigint, RangeError for a cycle, and for what is nested too deep for the stack.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  // `map` would pass over the holes of a sparse array; JSON has null there.
  if (Array.isArray(value)) return `[${Array.from(value, canonicalJson).join(',')}]`;
  if (value instanceof Date) return JSON.stringify(value);
  let text = '';
  for (const key of Object.keys(value).sort()) {
    const field = (value as Record<string, unknown>)[key];
    if (field === undefined) continue;
    text += `${text === '' ? '{' : ','}${JSON.stringify(key)}:${canonicalJson(field)}`;
  }
  return text === '' ? '{}' : `${text}}`;
}
