/**
 * Just enough of PromQL to see which metrics and labels a query asks for. Whether it is one at all is for promtool.
 */

const WORDS = new Set('and or unless bool by on without ignoring group_left group_right offset inf'.split(' '));

/** A query of a dashboard, with values in the place of its variables. */
export function withoutVariables(query: string): string {
  return query.replaceAll(/\$\w+/g, '5m');
}

/** Names of the metrics, each once. */
export function metricsOf(query: string): string[] {
  const bare = query
    .replaceAll(/"[^"]*"/g, ' ')
    .replaceAll(/\{[^}]*\}/g, ' ')
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .replaceAll(/\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
    .replaceAll(/\b\d[\w.]*/g, ' ');
  const names = bare.matchAll(/[a-zA-Z_:][\w:]*(?=(\s*\()?)/g);
  return [...new Set(names.filter(([name, call]) => !call && !WORDS.has(name)).map(([name]) => name))];
}

/** Names of the labels that it selects or groups by, each once. */
export function labelsOf(query: string): string[] {
  const labels = new Set<string>();
  for (const [, matchers = ''] of query.matchAll(/\{([^}]*)\}/g)) {
    for (const [, label = ''] of matchers.replaceAll(/"[^"]*"/g, '""').matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g))
      labels.add(label);
  }
  for (const [, list = ''] of query.matchAll(/\b(?:by|on|without|ignoring)\s*\(([^)]*)\)/g)) {
    for (const label of list.split(',')) if (label.trim() !== '') labels.add(label.trim());
  }
  return [...labels];
}
