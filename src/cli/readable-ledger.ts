import type { LogReader } from '../kernel/ports/event-log.js';
import type { ViewReader } from '../kernel/ports/view-store.js';
import { registryOf, type Registry } from '../kernel/registry.js';
import { ledgerParts } from '../ledger/parts.js';
import { systems } from '../systems.js';
import type { Cli } from './cli.js';
import { withLedger } from './open-ledger.js';
import { RemoteLog, RemoteViews } from './remote-ledger.js';
import { environmentOf, serverOf, type TargetOptions } from './target.js';

/** What is stored of a ledger, wherever it is, and what this code knows of it. */
export interface ReadableLedger {
  readonly log: LogReader;
  readonly views: ViewReader;
  readonly registry: Registry;
}

/** Reads what is stored: of the server that the user named, or else of the data folder and the servers of the settings. */
export async function withReadable<Result>(
  cli: Cli,
  options: TargetOptions,
  work: (ledger: ReadableLedger) => Promise<Result>,
): Promise<Result> {
  const server = serverOf(cli, options);
  if (!server) return withLedger(environmentOf(cli, options), work);
  const registry = registryOf(systems, ledgerParts);
  const { signal } = cli;
  return work({
    log: new RemoteLog(server, signal),
    views: new RemoteViews(server, registry.views, signal),
    registry,
  });
}

/** The same for whoever needs the log alone. */
export function withLog<Result>(
  cli: Cli,
  options: TargetOptions,
  work: (log: LogReader) => Promise<Result>,
): Promise<Result> {
  return withReadable(cli, options, ({ log }) => work(log));
}
