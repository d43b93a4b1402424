import type { Command } from 'commander';
import type { DutyBody, DutyListBody } from '../ledger/duties/duties.controller.js';
import { command, exitCodes, type Cli, type ExitCode } from './cli.js';
import { serverOrUsual } from './default-server.js';
import { printable, table } from './screen.js';
import { withTarget, type TargetOptions } from './target.js';

export function register(program: Command, cli: Cli): void {
  command<TargetOptions>(
    withTarget(
      program
        .command('duties')
        .description(
          'Which process folds which view and brings about which effect, of a running server. Ends with 1 when nobody ' +
            'does one of them, and says what to do.',
        ),
    ),
    [
      ['runledger duties', 'of the server that listens where one usually does'],
      ['runledger duties --url https://ledger.example --json', 'of another, for a program'],
    ],
    (options) => show(cli, options),
  );
}

async function show(cli: Cli, options: TargetOptions): Promise<ExitCode> {
  const body = await serverOrUsual(cli, options).get<DutyListBody>('/ledger/duties', {}, cli.signal);
  const { duties } = body;
  if (options.json) cli.screen.line(JSON.stringify(body));
  else {
    for (const line of table(['role', 'duty', 'state', 'process', 'since', 'until'], duties.map(rowOf)))
      cli.screen.line(line);
    for (const advice of adviceOn(duties)) cli.screen.line(advice);
  }
  return duties.every(({ state }) => state === 'held') ? exitCodes.fine : exitCodes.found;
}

function rowOf({ role, name, state, holder, here, since, until }: DutyBody): string[] {
  const process = holder === null ? '-' : `${holder}${here ? ' (this server)' : ''}`;
  return [role, name, state, process, since ?? '-', until ?? '-'].map(printable);
}

/** What to do about duties that nobody does, or that somebody may have died over. */
export function adviceOn(duties: readonly Pick<DutyBody, 'role' | 'state'>[]): string[] {
  const rolesOf = (state: DutyBody['state']): string =>
    [...new Set(duties.filter((duty) => duty.state === state).map(({ role }) => role))].join(' and ');
  const [free, silent] = [rolesOf('free'), rolesOf('silent')];
  return [
    ...(free === ''
      ? []
      : [`Nobody does what is free: start a process with the role ${free} (RUNLEDGER_ROLES) and the same servers`]),
    ...(silent === ''
      ? []
      : [
          `What is silent is taken over in a moment, if there is another process with the role ${silent}; else start one`,
        ]),
  ];
}
