import { isAbsolute, resolve } from 'node:path';
import type { Command } from 'commander';
import { openLog } from '../adapters/open-log.js';
import { copyLog, OtherLog } from '../kernel/copy-log.js';
import { command, exitCodes, Failed, WrongUsage, type Cli, type CommonOptions, type ExitCode } from './cli.js';
import { registerEventsList } from './events-list.js';
import { Progress } from './progress.js';

interface CopyOptions extends CommonOptions {
  readonly from: string;
  readonly to: string;
}

export function register(program: Command, cli: Cli): void {
  const events = program.command('events').description('The events of the log.');
  registerEventsList(events, cli);
  command<CopyOptions>(
    events
      .command('copy')
      .description(
        'Copy a log to another store, as it is: events, order, chains, checkpoints. Stop the service first. ' +
          'What was copied before is compared and gone on from. Views and queues are made anew from the copy.',
      )
      .requiredOption('--from <place>', 'a data folder, or the URL of an EventStoreDB')
      .requiredOption('--to <place>', 'the same; it must be empty, or hold the beginning of this log'),
    [
      ['runledger events copy --from ./data --to esdb://127.0.0.1:2113', 'move to EventStoreDB'],
      ['runledger events copy --from esdb://127.0.0.1:2113 --to ./restored', 'and back'],
    ],
    (options) => copy(cli, options),
  );
}

async function copy({ screen, signal }: Cli, { from, to, json }: CopyOptions): Promise<ExitCode> {
  const [source, target] = [placeOf(from), placeOf(to)];
  if (source === target) throw new WrongUsage('--from and --to are the same place');
  const opened: { close(): Promise<void> }[] = [];
  try {
    const log = await openLog(source, { mustExist: true });
    opened.push(log);
    const copied = await openLog(target);
    opened.push(copied);
    const progress = new Progress(screen, 'copying');
    const result = await copyLog(log, copied, { signal, onProgress: (count) => progress.at(count) });
    progress.end();
    if (json) screen.line(JSON.stringify({ ...result, complete: !signal.aborted && !result.finding }));
    if (result.finding) throw new Failed(`Not copied on: ${result.finding.message}`);
    if (signal.aborted)
      throw new Failed(`Broken off after ${result.events} events; the same command goes on from there`);
    if (!json) screen.line(`${result.events} events, ${result.events - result.present} of them copied now`);
    return exitCodes.fine;
  } catch (error) {
    if (error instanceof OtherLog) throw new Failed(`${error.message}: nothing was copied after that`);
    throw error;
  } finally {
    for (const each of opened) await each.close();
  }
}

/** A URL as it is, a folder by its whole path. */
function placeOf(place: string): string {
  if (/^esdb(\+discover)?:\/\//.test(place)) return place;
  if (/^\w+:\/\//.test(place)) throw new WrongUsage('A place is a data folder, or an esdb:// URL');
  return isAbsolute(place) ? place : resolve(place);
}
