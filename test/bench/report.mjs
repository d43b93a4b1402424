import { writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';

const COLUMNS = ['id', 'what', 'figure', 'peer or floor', 'goal', 'verdict'];

/** Figures of all groups, each beside its goal and what was measured against it in the same run. */
export class Report {
  rows = [];

  /**
   * @param figure What was measured.
   * @param against `[name, value]` of a peer or a floor, measured in the same run.
   * @param atLeast / atMost The goal; neither: the figure is for information.
   * @param goal How the goal reads, where it is more than a number.
   */
  add(id, what, { figure, unit, against, atLeast, atMost, goal, note }) {
    const met =
      atLeast === undefined && atMost === undefined
        ? null
        : (atLeast === undefined || figure >= atLeast) && (atMost === undefined || figure <= atMost);
    const limit = atLeast === undefined ? (atMost === undefined ? '' : `≤ ${number(atMost)}`) : `≥ ${number(atLeast)}`;
    this.rows.push({ id, what, figure, unit, against, atLeast, atMost, met, note });
    const cells = [
      id,
      what,
      `${number(figure)} ${unit}`,
      against === undefined ? '' : `${against[0]} ${number(against[1])}`,
      goal === undefined ? limit : `${limit} (${goal})`,
      met === null ? '' : met ? 'met' : 'MISSED',
    ];
    this.rows.at(-1).cells = cells;
    process.stderr.write(`  ${cells.filter((cell) => cell !== '').join(' | ')}${note ? ` | ${note}` : ''}\n`);
  }

  table() {
    const lines = [COLUMNS, ...this.rows.map(({ cells }) => cells)];
    const widths = COLUMNS.map((_, column) => Math.max(...lines.map((line) => line[column].length)));
    const aligned = lines.map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column]))
        .join('  ')
        .trimEnd(),
    );
    aligned.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '));
    const notes = this.rows.filter(({ note }) => note).map(({ id, what, note }) => `${id}, ${what}: ${note}`);
    return [...aligned, ...(notes.length > 0 ? ['', ...notes] : [])].join('\n');
  }

  async write(path, facts) {
    const machine = { cpu: cpus()[0]?.model, cores: cpus().length, memoryGb: Math.round(totalmem() / 1e9) };
    const rows = this.rows.map(({ cells: _cells, ...row }) => row);
    await writeFile(path, `${JSON.stringify({ ...facts, node: process.version, machine, rows }, undefined, 2)}\n`);
  }
}

function number(value) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits });
}
