import type { Command } from 'commander';
import type { EventLog } from '../kernel/ports/event-log.js';
import { START } from '../kernel/ports/event-log.js';
import { EventFilter, type EventCriteria } from '../ledger/events/event-filter.js';
import { LedgerEvent } from '../ledger/events/ledger-event.js';
import { command, WrongUsage, type Cli } from './cli.js';
import { withLedger } from './open-ledger.js';
import { Progress } from './progress.js';
import { printable } from './screen.js';
import type { ServerClient } from './server-client.js';
import { environmentOf, serverOf, withTarget, type TargetOptions } from './target.js';

interface ListOptions extends TargetOptions {
  readonly system?: string;
  readonly tenant?: string;
  readonly type?: string;
  readonly run?: string;
  readonly actor?: string;
  readonly correlation?: string;
  readonly from?: string;
  readonly to?: string;
  readonly after?: string;
  readonly before?: string;
  readonly newest?: true;
  readonly limit: string;
}

/** What is shown of an event; `--json` prints all that `GET /ledger/events` gives. */
interface Shown {
  readonly position: number;
  readonly at: string | null;
  readonly type: string;
  readonly stream: string;
  readonly actor: string | null;
}

const PAGE = 1_000;
const EVERYBODY = { tenants: null, sees: () => true };

export function registerEventsList(events: Command, cli: Cli): void {
  command<ListOptions>(
    withTarget(
      events
        .command('list')
        .description('Print events, one a line: with --json all that is known of each, as JSON Lines.')
        .option('--system <system>', 'of this system')
        .option('--tenant <tenant>', 'of this tenant')
        .option('--type <types>', 'of these types, separated by commas; run.* is every type that begins so')
        .option('--run <runId>', 'about this run')
        .option('--actor <name>', 'brought about by this person or token')
        .option('--correlation <id>', 'that followed from this request')
        .option('--from <time>', 'recorded at this time or later: 2026-01-31T12:00:00Z')
        .option('--to <time>', 'recorded before this time')
        .option('--after <position>', 'at a higher position')
        .option('--before <position>', 'at a lower position')
        .option('--newest', 'the newest first')
        .option('--limit <count>', 'at most so many; 0 for all', '100'),
    ),
    [
      ['runledger events list --newest --limit 10', 'what happened last'],
      ["runledger events list --type 'run.*' --run req-1 --json", 'a run, for a program'],
      ['runledger events list --url http://127.0.0.1:3000 --from 2026-01-31', 'of a server, from a day on'],
    ],
    async (options) => {
      const criteria = criteriaOf(options);
      const limit = numberOf('--limit', options.limit) ?? 0;
      const most = limit === 0 ? Infinity : limit;
      const server = serverOf(cli, options);
      const show = (json: string): void => {
        if (options.json) cli.screen.line(json);
        else cli.screen.line(lineOf(JSON.parse(json) as Shown));
      };
      if (server) await listOfServer(server, options, most, show, cli.signal);
      else
        await withLedger(environmentOf(cli, options), async ({ log }) => {
          const progress = new Progress(cli.screen, 'looking through the log', await log.head());
          await listOfLog(log, new EventFilter(criteria, EVERYBODY), options, most, show, (at) => progress.at(at));
          progress.end();
        });
    },
  );
}

async function listOfServer(
  server: ServerClient,
  options: ListOptions,
  most: number,
  show: (json: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const { system, tenant, type, run, actor, correlation, from, to, after, before, newest } = options;
  const filter = { system, tenant, type, run, actor, correlation, from, to, after, before };
  const query = { ...filter, order: newest ? 'desc' : 'asc' };
  let shown = 0;
  let cursor: string | undefined;
  do {
    const limit = Math.min(PAGE, most - shown);
    const page = await server.get<{ events: object[]; next: string | null }>(
      '/ledger/events',
      { ...query, limit, cursor },
      signal,
    );
    for (const event of page.events) show(JSON.stringify(event));
    shown += page.events.length;
    cursor = page.next ?? undefined;
  } while (cursor !== undefined && shown < most && !signal.aborted);
}

async function listOfLog(
  log: EventLog,
  filter: EventFilter,
  { newest }: ListOptions,
  most: number,
  show: (json: string) => void,
  progress: (position: number) => void,
): Promise<void> {
  const backwards = newest === true;
  const head = await log.head();
  let shown = 0;
  for (let from = backwards ? Infinity : START; shown < most;) {
    const page = await log.readAll(from, { backwards, limit: PAGE });
    const last = page.at(-1);
    if (!last) return;
    for (const stored of page) {
      const event = new LedgerEvent(stored);
      if (shown >= most || !filter.lets(event)) continue;
      show(event.json);
      shown += 1;
    }
    from = last.position;
    progress(backwards ? head - from : from);
  }
}

/** @throws WrongUsage for a time or a position that is none. */
function criteriaOf(options: ListOptions): EventCriteria {
  const { system, tenant, type, run, actor, correlation } = options;
  return {
    system,
    tenant,
    types: type?.split(',').map((each) => each.trim()),
    run,
    actor,
    correlation,
    fromMs: timeOf('--from', options.from),
    toMs: timeOf('--to', options.to),
    after: numberOf('--after', options.after),
    before: numberOf('--before', options.before),
  };
}

function numberOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new WrongUsage(`${name} is a whole number`);
}

function timeOf(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(ms)) return ms;
  throw new WrongUsage(`${name} is a date, or a time with its zone: 2026-01-31 or 2026-01-31T12:00:00Z`);
}

function lineOf({ position, at, type, stream, actor }: Shown): string {
  const columns = [String(position).padStart(8), at ?? '-', type.padEnd(24), printable(stream), printable(actor ?? '')];
  return columns.join('  ').trimEnd();
}
