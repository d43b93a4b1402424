/** Collects durations in ms, and tells how they are spread. */
export class Durations {
  #values = [];

  add(ms) {
    this.#values.push(ms);
  }

  get count() {
    return this.#values.length;
  }

  /** p50, p95, p99 and max in ms; all 0 when nothing was measured. */
  summary() {
    const sorted = Float64Array.from(this.#values).sort();
    return { p50: at(sorted, 0.5), p95: at(sorted, 0.95), p99: at(sorted, 0.99), max: sorted.at(-1) ?? 0 };
  }
}

function at(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

/** The middle one; of two middle ones the lower, so that a figure is always one that was measured. */
export function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)];
}

/** The round whose `key` is the median: its figures belong together. */
export function medianRound(rounds, key) {
  const middle = median(rounds.map((round) => round[key]));
  return rounds.find((round) => round[key] === middle);
}

/** Runs `work(index)` `count` times, `clients` at a time. @returns how long it all took, in s. */
export async function closedLoop(clients, count, work) {
  let next = 0;
  const client = async (name) => {
    while (next < count) await work(next++, name);
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: clients }, (_, name) => client(name)));
  return (performance.now() - started) / 1_000;
}
