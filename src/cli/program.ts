import { Command } from 'commander';
import { version } from '../version.js';
import type { Cli, CommandGroup, Surroundings } from './cli.js';

/**
 * The command tree. Only `wanted` is loaded, or every group when it is left out: the others are names in the help.
 */
export async function createProgram(
  around: Surroundings,
  groups: readonly CommandGroup[],
  wanted?: string,
): Promise<Command> {
  const cli: Cli = { ...around, wholeTree: () => createProgram(around, groups) };
  const program = new Command('runledger')
    .description('One ledger of runs behind several APIs: serve it, audit it, replay it, operate it.')
    .version(version, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'show the help of a command')
    .configureOutput({
      writeOut: (text) => cli.screen.line(text.trimEnd()),
      writeErr: (text) => cli.screen.note(text.trimEnd()),
    })
    .configureHelp({ showGlobalOptions: false })
    .showSuggestionAfterError()
    .showHelpAfterError('Try it with --help.')
    .exitOverride()
    .addHelpText(
      'after',
      `
Without a command the service starts. A command works on a data folder (RUNLEDGER_DATA_DIR, settings as for the
service), or with --url against a running server.

Exit codes: 0 fine, 1 something was found or failed, 2 wrong usage or settings.

Examples:
  $ runledger                       # start the service
  $ runledger help audit            # what there is to audit with
  $ runledger completion bash       # completion for your shell`,
    );
  for (const group of groups) {
    if (wanted === undefined || group.name === wanted) (await group.load()).register(program, cli);
    else program.command(group.name).description(group.summary);
  }
  for (const loaded of program.commands) {
    const group = groups.find(({ name }) => name === loaded.name());
    if (group) loaded.summary(group.summary);
  }
  return program;
}
