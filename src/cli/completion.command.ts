import type { Command } from 'commander';
import { Argument } from 'commander';
import { command, type Cli } from './cli.js';
import { completionScript, shells, type CompletionNode, type Shell } from './completion.js';

export function register(program: Command, cli: Cli): void {
  command(
    program
      .command('completion')
      .description('Print a completion script for a shell.')
      .addArgument(new Argument('<shell>', 'the shell').choices(shells)),
    [
      ['runledger completion bash >> ~/.bashrc', 'bash'],
      ['runledger completion zsh > "${fpath[1]}/_runledger"', 'zsh'],
      ['runledger completion fish > ~/.config/fish/completions/runledger.fish', 'fish'],
    ],
    async ({ json }, shell) => {
      const script = completionScript(shell as Shell, nodes(await cli.wholeTree()));
      cli.screen.line(json ? JSON.stringify({ shell, script }) : script);
    },
  );
}

/** Every command with the words that may follow it. */
function nodes(command: Command, path: readonly string[] = []): CompletionNode[] {
  const words = [
    ...command.commands.map((each) => ({ word: each.name(), meaning: each.summary() || each.description() })),
    ...command.registeredArguments.flatMap(({ argChoices = [], description }) =>
      argChoices.map((word) => ({ word, meaning: description })),
    ),
    ...command.options.map(({ long, description }) => ({ word: long ?? '', meaning: description })),
    { word: '--help', meaning: 'show help' },
  ].filter(({ word }) => word !== '');
  return [{ path, words }, ...command.commands.flatMap((each) => nodes(each, [...path, each.name()]))];
}
