import type { Command } from 'commander';
import {
  replayDeciders,
  replayViews,
  type DeciderReplay,
  type Slice,
  type ViewReplay,
} from '../kernel/audit/replay.js';
import type { AnyView } from '../kernel/views/view.js';
import { command, exitCodes, WrongUsage, type Cli, type ExitCode } from './cli.js';
import { Progress } from './progress.js';
import { withReadable } from './readable-ledger.js';
import { brief, printable } from './screen.js';
import { withTarget, type TargetOptions } from './target.js';

interface ReplayOptions extends TargetOptions {
  readonly views?: string;
  readonly all?: true;
  readonly deciders?: true;
  readonly from?: string;
  readonly to?: string;
}

/** Of one document, for people; `--json` has all that were kept. */
const SHOWN_PATHS = 5;

export function register(program: Command, cli: Cli): void {
  command<ReplayOptions>(
    withTarget(
      program
        .command('replay')
        .description(
          'Fold the log with the code that this is, in memory, and compare it with what is stored: shows before a ' +
            'release what a change of code would change. Touches nothing, and may run beside the service; with --url the ' +
            'log and the documents of a running server are compared here. Ends with 1 when something differs.',
        )
        .option('--views <names>', 'these views, separated by commas')
        .option('--all', 'every view (what is done when nothing is named)')
        .option('--deciders', 'fold every stream with its decider: which events can this code not read or fold?')
        .option('--from <position>', 'only what events after this position have touched last')
        .option('--to <position>', 'nothing after this position'),
    ),
    [
      ['runledger replay', 'every view against what is stored below ./data'],
      ['runledger replay --views hypershift.run,hypershift.usage --json', 'two views, for a program'],
      ['runledger replay --url http://127.0.0.1:3000', 'this code against what that server has'],
      ['runledger replay --deciders', 'can this version read the whole history?'],
    ],
    async (options): Promise<ExitCode> => {
      const slice = { from: positionOf('--from', options.from), to: positionOf('--to', options.to) };
      return withReadable(cli, options, async ({ log, views, registry }) => {
        const chosen = choose(registry.views, options);
        const head = Math.min(slice.to ?? Infinity, await log.head());
        const watch = (label: string): ((position: number) => void) => {
          const progress = new Progress(cli.screen, label, head);
          return (position) => progress.at(position);
        };
        const ports = { log, views };
        const replayed =
          chosen.length > 0
            ? await replayViews(ports, { catalog: registry.catalog, views: chosen }, slice, watch('folding views'))
            : [];
        const deciders = options.deciders
          ? await replayDeciders(log, registry, slice, watch('folding streams'))
          : undefined;
        cli.screen.status();
        report(cli, options, slice, replayed, deciders);
        return replayed.every(isEqual) && (deciders?.failed ?? 0) === 0 ? exitCodes.fine : exitCodes.found;
      });
    },
  );
}

/** All views when nothing is said; none when only the deciders are asked for. */
function choose(views: readonly AnyView[], { views: names, all, deciders }: ReplayOptions): readonly AnyView[] {
  if (names === undefined) return all || !deciders ? views : [];
  if (all) throw new WrongUsage('Either --views or --all');
  return names.split(',').map((name) => {
    const view = views.find((each) => each.name === name.trim());
    if (view) return view;
    throw new WrongUsage(`No view is called ${name}: there are ${views.map((each) => each.name).join(', ')}`);
  });
}

function positionOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new WrongUsage(`${option} is a position in the log: a whole number`);
}

function isEqual({ missing, extra, different, stopped }: ViewReplay): boolean {
  return missing + extra + different === 0 && stopped === null;
}

function report(
  { screen }: Cli,
  { json }: ReplayOptions,
  slice: Slice,
  views: readonly ViewReplay[],
  deciders: DeciderReplay | undefined,
): void {
  if (json) {
    const { from = null, to = null } = slice;
    screen.line(JSON.stringify({ from, to, views, ...(deciders ? { deciders } : {}) }));
    return;
  }
  for (const view of views) for (const line of toldOfView(view)) screen.line(line);
  if (!deciders) return;
  const { events, streams, failed, failures } = deciders;
  screen.line(`deciders: ${events} events in ${streams} streams, ${failed} that cannot be read or folded`);
  for (const { type, stream, revision, position, error } of failures) {
    screen.line(
      `  ${type} at revision ${revision} of ${printable(stream)} (position ${position}): ${printable(error)}`,
    );
  }
}

function toldOfView(replay: ViewReplay): string[] {
  const { view, version, collection, storedVersion, equal, missing, extra, different, ahead, stopped } = replay;
  if (collection === null) return [`${view}: nothing is stored, ${missing} documents would be`];
  const counts = { equal, different, missing, extra, 'past the slice': ahead };
  const told = Object.entries(counts).filter(([name, count]) => count > 0 || name === 'equal');
  const against =
    storedVersion === version ? '' : ` (version ${version} against what version ${storedVersion} has made)`;
  return [
    `${view}: ${told.map(([name, count]) => `${count} ${name}`).join(', ')}${against}`,
    ...(stopped
      ? [
          `  stops at position ${stopped.position}, ${stopped.type} of ${printable(stopped.stream)}: ${printable(stopped.error)}`,
        ]
      : []),
    ...replay.differences.flatMap(({ key, problem, differences }) => [
      `  ${problem}: ${printable(key)}`,
      ...(problem === 'different' ? differences.slice(0, SHOWN_PATHS) : []).map(
        ({ path, before, after }) => `    ${printable(path)}: ${brief(before)} -> ${brief(after)}`,
      ),
    ]),
  ];
}
