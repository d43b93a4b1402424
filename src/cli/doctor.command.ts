import type { Command } from 'commander';
import { SystemClock } from '../adapters/system/system-clock.js';
import { readSettings, type Settings } from '../kernel/settings.js';
import { InvalidSettings } from '../kernel/errors.js';
import { command, exitCodes, type Cli, type ExitCode } from './cli.js';
import { checkFolder, checkNode, checkServersAndStores, ok, problem, type Finding } from './doctor-checks.js';
import { askServer } from './doctor-server.js';
import { printable } from './screen.js';
import { environmentOf, serverOf, withTarget, type TargetOptions } from './target.js';

const MARKS = { ok: 'ok      ', warning: 'WARNING ', problem: 'PROBLEM ' } as const;

export function register(program: Command, cli: Cli): void {
  command<TargetOptions>(
    withTarget(
      program
        .command('doctor')
        .description(
          'Check settings, data folder, disk, servers, versions, clocks, signing key and views, and say what to do. ' +
            'With --url the running service is asked for what its operators should know: readiness, clock, version, ' +
            'token, duties, views, dead letters, endpoints. Exit code 1 when there is a problem.',
        ),
    ),
    [
      ['runledger doctor', 'before the start, with the settings of the service'],
      ['runledger doctor --url http://127.0.0.1:3000', 'how a running service does'],
    ],
    (options) => examine(cli, options),
  );
}

async function examine(cli: Cli, options: TargetOptions): Promise<ExitCode> {
  const server = serverOf(cli, options);
  const findings = [checkNode(process.versions.node), ...(await (server ? askServer(server) : look(cli, options)))];
  const problems = findings.filter(({ status }) => status === 'problem').length;
  if (options.json) cli.screen.line(JSON.stringify({ healthy: problems === 0, findings }));
  else for (const each of findings) print(cli, each);
  return problems === 0 ? exitCodes.fine : exitCodes.found;
}

function print({ screen }: Cli, { check, status, found, advice }: Finding): void {
  screen.line(`${MARKS[status]}${check}: ${printable(found)}`);
  if (advice !== undefined) screen.line(`        ${advice}`);
}

/** From where the service would be started. */
async function look(cli: Cli, options: TargetOptions): Promise<Finding[]> {
  const clock = new SystemClock();
  let settings: Settings;
  try {
    const { systems } = await import('../systems.js');
    settings = readSettings(
      environmentOf(cli, options),
      systems.map(({ name }) => name),
    );
  } catch (error) {
    if (!(error instanceof InvalidSettings)) throw error;
    return [problem('settings', error.message, 'Correct the variable: nothing else was looked at')];
  }
  return [
    ok('settings', 'can be read'),
    ...(await checkFolder(settings.dataDir)),
    ...(await checkServersAndStores(settings, clock)),
  ];
}
