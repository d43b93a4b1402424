import type { Command } from 'commander';
import { InvalidSettings, Refused, Unavailable } from '../kernel/errors.js';
import type { Screen } from './screen.js';

/** What a command ends with. Everything went as asked; something was found or failed; it was asked for wrongly. */
export const exitCodes = { fine: 0, found: 1, usage: 2 } as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** What the program has around it; tests give their own. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly screen: Screen;
  /** Fires when the user breaks off: end cleanly. */
  readonly signal: AbortSignal;
}

/** What a command has to work with. */
export interface Cli extends Surroundings {
  /** The tree of all commands, every group loaded. */
  wholeTree(): Promise<Command>;
}

/** One group of commands, loaded when it is asked for. */
export interface CommandGroup {
  readonly name: string;
  readonly summary: string;
  load(): Promise<{ register(program: Command, cli: Cli): void }>;
}

/** The command was carried out, and did not succeed: one line for the user, exit code 1. */
export class Failed extends Error {
  override readonly name = 'Failed';
}

/** The command cannot be carried out as it was given: one line for the user, exit code 2. */
export class WrongUsage extends Error {
  override readonly name = 'WrongUsage';
}

/** Ends a command with a code and no further words: its output has said everything. */
export class Ended extends Error {
  override readonly name = 'Ended';
  constructor(readonly code: ExitCode) {
    super(`ended with ${code}`);
  }
}

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: true;
}

type Action<Options> = (options: Options, ...args: string[]) => Promise<ExitCode | void>;

/**
 * Gives a command `--json`, its examples below the help, and its action, which may give an exit code.
 *
 * @param examples Each a command line and what it is for.
 */
export function command<Options extends CommonOptions>(
  declared: Command,
  examples: readonly (readonly [line: string, meaning: string])[],
  action: Action<Options>,
): Command {
  const width = Math.max(0, ...examples.map(([line]) => line.length));
  const shown = examples.map(([line, meaning]) => `  $ ${line.padEnd(width)}  # ${meaning}`).join('\n');
  return declared
    .option('--json', 'print the answer as JSON, for programs')
    .addHelpText('after', examples.length > 0 ? `\nExamples:\n${shown}` : '')
    .action(async (...given: unknown[]) => {
      // Commander hands over the arguments, then the options, then the command.
      const args = given.slice(0, -2) as string[];
      const code = await action(given.at(-2) as Options, ...args);
      if (code !== undefined && code !== exitCodes.fine) throw new Ended(code);
    });
}

/** What the user is told of an error, and with which code the command ends. */
export function explain(error: unknown): { readonly message: string; readonly code: ExitCode } {
  if (error instanceof WrongUsage || error instanceof InvalidSettings) {
    return { message: error.message, code: exitCodes.usage };
  }
  if (error instanceof Failed || error instanceof Refused || error instanceof Unavailable) {
    return { message: error.message, code: exitCodes.found };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message: `Unexpected: ${text}`, code: exitCodes.found };
}
