import type { Command } from 'commander';
import { Failed, command, exitCodes, type Cli, type ExitCode } from './cli.js';
import { Progress } from './progress.js';
import { openLedger, type ProjectionsAccess, throughServer } from './projections-access.js';
import { printable, table } from './screen.js';
import { serverOf, withTarget, type TargetOptions } from './target.js';
import type { OrderBody, ProjectionBody } from '../ledger/projections/projections.dto.js';

interface RebuildOptions extends TargetOptions {
  readonly wait?: true;
}

const LOOK_EVERY_MS = 200;

export function register(program: Command, cli: Cli): void {
  const group = program.command('projections').description('The views: how they stand, and what to do about it.');
  const declare = (text: string, description: string): Command =>
    withTarget(group.command(text).description(description));

  command<TargetOptions>(
    declare('list', 'How every projection stands.'),
    [
      ['runledger projections list --url http://127.0.0.1:3000', 'of a running server'],
      ['runledger projections list --data ./data', 'of a data folder that no server uses'],
    ],
    (options) => list(cli, options),
  );
  command<RebuildOptions>(
    declare(
      'rebuild <name>',
      'Build a projection anew, beside the one that serves. On a data folder it is built before the command ends.',
    ).option('--wait', 'wait until the new one serves'),
    [['runledger projections rebuild runledger.open-work --wait', 'with a bar that shows how far it is']],
    (options, name) => rebuild(cli, options, name ?? ''),
  );
  const orders = [
    ['pause', 'Hold a rebuild where it is.'],
    ['resume', 'Let a rebuild go on.'],
    ['skip', 'Pass over the event that a projection has stopped at.'],
  ] as const;
  for (const [order, description] of orders) {
    command<TargetOptions>(
      declare(`${order} <name>`, description),
      [[`runledger projections ${order} runledger.open-work`, description.replace(/\.$/, '').toLowerCase()]],
      (options, name) => give(cli, options, (access) => access.order(name ?? '', order)),
    );
  }
  command<TargetOptions>(
    declare('drop <name> <collection>', 'Remove a collection that is left over.'),
    [['runledger projections drop runledger.open-work runledger.open-work.v1.1', 'see the list for their names']],
    (options, name, collection) => give(cli, options, (access) => access.drop(name ?? '', collection ?? '')),
  );
}

/** With --data on the folder, else through the server that is named, or that listens where one usually does. */
async function access(cli: Cli, options: TargetOptions): Promise<ProjectionsAccess> {
  if (serverOf(cli, options) === undefined && options.data !== undefined) return openLedger(cli, options);
  return throughServer(cli, options);
}

async function using<Result>(
  cli: Cli,
  options: TargetOptions,
  work: (opened: ProjectionsAccess) => Promise<Result>,
): Promise<Result> {
  const opened = await access(cli, options);
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}

async function list(cli: Cli, options: TargetOptions): Promise<ExitCode> {
  const projections = await using(cli, options, (opened) => opened.list());
  if (options.json) cli.screen.line(JSON.stringify({ projections }));
  else for (const line of table(HEADINGS, projections.map(rowOf))) cli.screen.line(line);
  for (const { errors } of options.json ? [] : projections) {
    for (const { collection, position, stream, error } of errors)
      cli.screen.line(`${collection} has stopped at ${position}, of ${printable(stream)}: ${printable(error)}`);
  }
  return projections.some(({ state }) => state === 'stopped') ? exitCodes.found : exitCodes.fine;
}

const HEADINGS = ['projection', 'state', 'collection', 'position', 'behind', 'rate', 'rebuild'];

function rowOf({ name, state, collection, position, lag, rate, rebuild }: ProjectionBody): string[] {
  const behind = lag.events === 0 ? '-' : `${lag.exact ? '' : '~'}${lag.events}, ${lag.seconds.toFixed(1)} s`;
  const left = rebuild?.secondsLeft === null || !rebuild ? '' : `, ${Math.ceil(rebuild.secondsLeft)} s left`;
  const building = rebuild ? `${Math.floor(rebuild.share * 100)} % of ${rebuild.collection}${left}` : '-';
  return [name, state, collection ?? '-', String(position), behind, rate === null ? '-' : rate.toFixed(0), building];
}

async function give(
  cli: Cli,
  options: TargetOptions,
  order: (opened: ProjectionsAccess) => Promise<OrderBody>,
): Promise<ExitCode> {
  tell(cli, options, await using(cli, options, order));
  return exitCodes.fine;
}

function tell({ screen }: Cli, { json }: TargetOptions, body: OrderBody): void {
  if (json) screen.line(JSON.stringify(body));
  else if (!body.carriedOut) screen.line('Recorded: whoever folds the projection will carry it out');
  else screen.line(`Done: ${body.projection.name} is ${body.projection.state}`);
}

async function rebuild(cli: Cli, options: RebuildOptions, name: string): Promise<ExitCode> {
  return using(cli, options, async (opened) => {
    const before = (await opened.get(name)).collection;
    const ordered = await opened.order(name, 'rebuild');
    if (!options.wait && opened.isServer) {
      tell(cli, options, ordered);
      return exitCodes.fine;
    }
    const projection = await untilServing(cli, opened, name, before);
    if (options.json)
      cli.screen.line(JSON.stringify({ position: ordered.position, carriedOut: ordered.carriedOut, projection }));
    else cli.screen.line(`${projection.collection} serves, folded up to ${projection.position}`);
    return exitCodes.fine;
  });
}

/** @throws Failed when it stops, is paused, or the user breaks off: the rebuild goes on where there is a server. */
async function untilServing(
  { screen, signal }: Cli,
  opened: ProjectionsAccess,
  name: string,
  before: string | null,
): Promise<ProjectionBody> {
  const progress = new Progress(screen, `rebuilding ${name}`, 100);
  try {
    for (;;) {
      const seen = await opened.get(name);
      if (seen.state === 'stopped') throw new Failed(`${name} has stopped: ${printable(seen.errors[0]?.error ?? '')}`);
      if (seen.state === 'paused') throw new Failed(`The rebuild of ${name} is paused: resume it`);
      if (seen.collection !== before && seen.rebuild === null) return seen;
      if (signal.aborted) throw new Failed('Not waited for any longer');
      progress.at(Math.floor((seen.rebuild?.share ?? 0) * 100));
      await opened.sleep(LOOK_EVERY_MS, signal);
    }
  } finally {
    progress.end();
  }
}
