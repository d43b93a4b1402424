import type { Command } from 'commander';
import type { DeadJobBody, DeadOutcomeBody, KindBody } from '../ledger/work/work.dto.js';
import { command, exitCodes, type Cli, type ExitCode } from './cli.js';
import { serverOrUsual } from './default-server.js';
import { printable, table } from './screen.js';
import { withTarget, type TargetOptions } from './target.js';

interface DeadOptions extends TargetOptions {
  readonly kind?: string;
  readonly limit?: string;
}

export function register(program: Command, cli: Cli): void {
  const group = program.command('work').description('The work queue: what waits, what runs, what was given up.');
  const declare = (text: string, description: string): Command =>
    withTarget(group.command(text).description(description));
  command<TargetOptions>(
    declare('stats', 'How much waits, for how long, runs, and was given up, by kind.'),
    [['runledger work stats --url http://127.0.0.1:3000', 'of a running server']],
    (options) => stats(cli, options),
  );
  command<DeadOptions>(
    declare('dead', 'Jobs that were given up.')
      .option('--kind <kind>', 'of one kind only')
      .option('--limit <count>', 'so many at most (default: 100)'),
    [['runledger work dead --json', 'for programs']],
    (options) => dead(cli, options),
  );
  for (const [order, description] of [
    ['requeue', 'Try a job again that was given up.'],
    ['discard', 'Remove a job for good that was given up.'],
  ] as const) {
    command<TargetOptions>(
      declare(`${order} <id>`, description),
      [[`runledger work ${order} 01900000-0000-7000-8000-000000000008`, 'see `runledger work dead` for the id']],
      (options, id) => deal(cli, options, order, id ?? ''),
    );
  }
}

async function stats(cli: Cli, options: TargetOptions): Promise<ExitCode> {
  const { kinds } = await serverOrUsual(cli, options).get<{ kinds: KindBody[] }>('/ledger/work', {}, cli.signal);
  if (options.json) cli.screen.line(JSON.stringify({ kinds }));
  else {
    const rows = kinds.map(({ kind, foreign, waiting, delayed, leased, dead: given, oldestMs }) => [
      kind,
      foreign ? 'by claim' : 'here',
      ...[waiting, delayed, leased, given].map(String),
      oldestMs === null ? '-' : `${(oldestMs / 1_000).toFixed(1)} s`,
    ]);
    for (const line of table(['kind', 'done', 'waiting', 'delayed', 'leased', 'dead', 'oldest'], rows))
      cli.screen.line(line);
  }
  return exitCodes.fine;
}

async function dead(cli: Cli, options: DeadOptions): Promise<ExitCode> {
  const { kind, limit } = options;
  const { jobs } = await serverOrUsual(cli, options).get<{ jobs: DeadJobBody[] }>(
    '/ledger/work/dead',
    { kind, limit },
    cli.signal,
  );
  if (options.json) cli.screen.line(JSON.stringify({ jobs }));
  else {
    const rows = jobs.map((job) => [job.id, job.kind, job.group, String(job.attempts), job.error].map(printable));
    for (const line of table(['id', 'kind', 'about', 'attempts', 'error'], rows)) cli.screen.line(line);
  }
  return exitCodes.fine;
}

async function deal(cli: Cli, options: TargetOptions, order: 'requeue' | 'discard', id: string): Promise<ExitCode> {
  const path = `/ledger/work/dead/${encodeURIComponent(id)}/${order}`;
  const done = await serverOrUsual(cli, options).post<DeadOutcomeBody>(path, undefined, cli.signal);
  cli.screen.line(options.json ? JSON.stringify(done) : `${printable(done.id)} is ${done.outcome}`);
  return exitCodes.fine;
}
