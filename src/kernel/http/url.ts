/**
 * A path with escapes that stand for no text (`%zz`, `%ff`) is taken literally: it names nothing that exists, and is
 * answered like every other unknown path, in the words of its dialect. Any other URL comes back as it is.
 */
export function decodable(url: string): string {
  const query = url.indexOf('?');
  const path = query < 0 ? url : url.slice(0, query);
  return canBeDecoded(path) ? url : path.replaceAll('%', '%25') + url.slice(path.length);
}

function canBeDecoded(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}
