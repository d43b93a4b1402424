import type { Command } from 'commander';
import { SystemClock } from '../adapters/system/system-clock.js';
import { readSettings, type Settings } from '../kernel/settings.js';
import { InvalidSettings } from '../kernel/errors.js';
import { command, exitCodes, Failed, type Cli, type ExitCode } from './cli.js';
import {
  checkClock,
  checkFolder,
  checkLag,
  checkNode,
  checkServersAndStores,
  ok,
  problem,
  warning,
  type Finding,
} from './doctor-checks.js';
import { printable } from './screen.js';
import type { ServerClient } from './server-client.js';
import { environmentOf, serverOf, withTarget, type TargetOptions } from './target.js';

const MARKS = { ok: 'ok      ', warning: 'WARNING ', problem: 'PROBLEM ' } as const;

interface Readiness {
  readonly status: string;
  readonly views: Readonly<Record<string, { state: string; position: number; head: number; poison?: object }>>;
}

export function register(program: Command, cli: Cli): void {
  command<TargetOptions>(
    withTarget(
      program
        .command('doctor')
        .description(
          'Check settings, data folder, disk, servers, versions, clocks, signing key and views, and say what to do. ' +
            'With --url the running service is asked. Exit code 1 when there is a problem.',
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

async function askServer(server: ServerClient): Promise<Finding[]> {
  const clock = new SystemClock();
  const asked = clock.now();
  let answer: Response;
  try {
    answer = await server.look('/readyz');
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    return [problem('server', error.message, 'Start it, or correct --url')];
  }
  const { status, views = {} } = (await answer.json()) as Partial<Readiness>;
  const told = Date.parse(answer.headers.get('date') ?? '');
  return [
    status === 'ready'
      ? ok('server', 'ready')
      : warning('server', `answers ${answer.status}, ${status ?? 'and is no Runledger'}`, 'Wait, or look at its log'),
    // The header leaves out the part of a second.
    ...(Number.isNaN(told) ? [] : [checkClock('clock of the server', clockOffset(told, asked, clock.now()))]),
    await checkAccess(server),
    ...Object.entries(views).map(([name, { position, head, poison }]) =>
      poison
        ? problem(`view ${name}`, 'stopped at an event that it cannot fold', 'See /readyz; fix the view, or skip it')
        : checkLag(name, Math.max(0, head - position)),
    ),
  ];
}

/** A time in whole seconds, told somewhere between two looks at our own clock: how far it is off at least. */
function clockOffset(told: number, asked: number, answered: number): number {
  if (told + 1_000 < asked) return told + 1_000 - asked;
  return told > answered ? told - answered : 0;
}

async function checkAccess(server: ServerClient): Promise<Finding> {
  try {
    const { name, scopes } = await server.get<{ name?: string; scopes?: string[] }>('/ledger/caller');
    if (name === undefined || !scopes) return problem('token', 'no Runledger answers there', 'Correct --url');
    return ok('token', `${name}: ${scopes.join(', ')}`);
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    return problem('token', error.message, 'Give one of RUNLEDGER_TOKENS by RUNLEDGER_TOKEN');
  }
}
