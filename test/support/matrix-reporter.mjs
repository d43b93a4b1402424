/**
 * Prints one matrix of what the conformance suites have shown: ports by adapters, with the number of cases. A case that
 * one adapter of a port has and another lacks, or that was skipped, fails the run: a suite is the same for all.
 */
const SUITE = /^(EventLog|ViewStore|WorkQueue|EventBus|BlobStore|Clock|Ids): (.+)$/;
const STATES = ['passed', 'failed', 'pending'];

export default class MatrixReporter {
  #cases = new Map();
  #problems = [];

  onTestResult(_test, { testResults }) {
    for (const { ancestorTitles, title, status } of testResults) {
      const at = ancestorTitles.findIndex((name) => SUITE.test(name));
      if (at < 0) continue;
      const [, port, adapter] = SUITE.exec(ancestorTitles[at]);
      const adapters = this.#cases.get(port) ?? new Map();
      this.#cases.set(port, adapters);
      const cases = adapters.get(adapter) ?? new Map();
      adapters.set(adapter, cases);
      cases.set([...ancestorTitles.slice(at + 1), title].join(' › '), status);
    }
  }

  onRunComplete(_contexts, { numTotalTests }) {
    if (this.#cases.size === 0 || numTotalTests === 0) return;
    const rows = [['port', 'adapter', 'cases', ...STATES.slice(0, 2), 'skipped', 'lacking']];
    for (const [port, adapters] of [...this.#cases].sort()) {
      const all = new Set([...adapters.values()].flatMap((cases) => [...cases.keys()]));
      for (const [adapter, cases] of [...adapters].sort()) {
        const counts = STATES.map((state) => [...cases.values()].filter((status) => status === state).length);
        const lacking = [...all].filter((name) => !cases.has(name));
        rows.push([port, adapter, ...[cases.size, ...counts, lacking.length].map(String)]);
        for (const name of lacking) this.#problems.push(`${port} on ${adapter} lacks the case: ${name}`);
        if (counts[2] > 0) this.#problems.push(`${port} on ${adapter} skipped ${counts[2]} cases`);
      }
    }
    const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
    const lines = rows.map((row) =>
      row
        .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column])))
        .join('  ')
        .trimEnd(),
    );
    process.stdout.write(`\nPorts and adapters\n${lines.join('\n')}\n${this.#problems.join('\n')}\n`);
  }

  /** A run on a part of the cases (`-t`, or one file) is no matrix, and may skip. */
  getLastError() {
    if (process.env.RUNLEDGER_TEST_BACKENDS !== 'all' || this.#problems.length === 0) return undefined;
    return new Error('Not every adapter was shown every case: see the matrix');
  }
}
