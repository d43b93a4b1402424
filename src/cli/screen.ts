import { performance } from 'node:perf_hooks';

/** Where a command writes: answers to stdout, everything else to stderr. */
export interface Screen {
  /** A line of the answer. */
  line(text: string): void;
  /** A line for people, which is no part of the answer. */
  note(text: string): void;
  /** Replaces the status line; without text it goes. Only where somebody looks. */
  status(text?: string): void;
  /** Whether somebody looks at stderr. */
  readonly watched: boolean;
  /** Steady time in ms. */
  now(): number;
}

interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

/** The screen of a process. */
export function screenOn(stdout: Output, stderr: Output): Screen {
  const watched = stderr.isTTY === true;
  let shown = false;
  const clear = (): void => {
    if (shown) stderr.write('\r\u001b[K');
    shown = false;
  };
  return {
    watched,
    line(text) {
      clear();
      stdout.write(`${text}\n`);
    },
    note(text) {
      clear();
      stderr.write(`${text}\n`);
    },
    status(text) {
      if (!watched) return;
      clear();
      if (text === undefined) return;
      stderr.write(text.slice(0, Math.max(20, (stderr.columns ?? 80) - 1)));
      shown = true;
    },
    now: () => performance.now(),
  };
}

/** Rows under headings, in columns as wide as they need to be. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => (row[column] ?? '').length)),
  );
  const shape = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [shape(headings), ...rows.map(shape)];
}

const BRIEF = 60;

/** A JSON value in a few characters; `nothing` where there is none. */
export function brief(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return printable(text.length > BRIEF ? `${text.slice(0, BRIEF)}…` : text);
}

/** A text as it may be shown on a terminal: what comes from outside could move the cursor or change its colours. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
