/**
 * How much a fault test does, and with which luck. `RUNLEDGER_TEST_FULL` asks for the full count,
 * `RUNLEDGER_TEST_SEED` repeats what an earlier run did.
 */
const full = (process.env['RUNLEDGER_TEST_FULL'] ?? '') !== '';

/** The smaller count belongs to every commit, the full one to a release. */
export function scaled<Value>(small: Value, whole: Value): Value {
  return full ? whole : small;
}

/** Repeatable randomness; its seed is printed, so that a failure can be repeated. */
export class Luck {
  readonly seed: number;
  private state: number;

  constructor(seed: number = Number(process.env['RUNLEDGER_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))) {
    this.seed = seed;
    this.state = seed;
  }

  /** A number from 0 to below `below`. */
  number(below: number): number {
    // Mulberry32: small, and good enough to choose where to fail.
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below;
  }

  /** A whole number from `from` to `to`, both included. */
  whole(from: number, to: number): number {
    return from + Math.floor(this.number(to - from + 1));
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.whole(0, items.length - 1)];
    if (item === undefined) throw new RangeError('Nothing to pick from');
    return item;
  }

  /** So many of the items, in their order. */
  sample<Item>(items: readonly Item[], count: number): Item[] {
    const left = items.map((item, index) => ({ item, index, lot: this.number(1) }));
    const chosen = left.sort((a, b) => a.lot - b.lot).slice(0, count);
    return chosen.sort((a, b) => a.index - b.index).map(({ item }) => item);
  }
}

/** One line about what a fault test has done, for people who read along. */
export function report(fault: number, facts: Readonly<Record<string, string | number>>): void {
  const text = Object.entries(facts).map(([name, value]) => `${name} ${value}`);
  process.stderr.write(`fault ${fault}: ${text.join(', ')}\n`);
}
