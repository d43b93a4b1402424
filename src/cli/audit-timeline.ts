import { parseMoment, RunAudit, type RunReport } from '../ledger/audit/run-audit.js';
import { Refused } from '../kernel/errors.js';
import { systems } from '../systems.js';
import { WrongUsage, type Cli } from './cli.js';
import { findRun } from './run-index.js';
import { withLedger } from './open-ledger.js';
import { printable, table } from './screen.js';
import type { ServerClient } from './server-client.js';
import { environmentOf, serverOf, type TargetOptions } from './target.js';

export interface TimelineOptions extends TargetOptions {
  readonly at?: string;
}

const PAGE = 1_000;

export async function showTimeline(cli: Cli, system: string, runId: string, options: TimelineOptions): Promise<void> {
  const { at } = options;
  const moment = momentOf('--at', at);
  const server = serverOf(cli, options);
  const report = server
    ? await ask(server, system, runId, at, cli.signal)
    : await withLedger(environmentOf(cli, options), async (ledger) => {
        const run = await findRun(ledger, cli.screen, system, runId);
        const audit = new RunAudit(ledger.log, ledger.blobs, ledger.registry, systems);
        return audit.report(run, { moment, limit: Infinity });
      });
  if (options.json) cli.screen.line(JSON.stringify(report));
  else for (const line of told(report)) cli.screen.line(line);
}

/** @throws WrongUsage for what is neither a position nor a time. */
export function momentOf(name: string, text: string | undefined): ReturnType<typeof parseMoment> {
  try {
    return parseMoment(name, text);
  } catch (error) {
    if (error instanceof Refused) throw new WrongUsage(error.message);
    throw error;
  }
}

/** All pages of the timeline in one. */
async function ask(
  server: ServerClient,
  system: string,
  runId: string,
  at: string | undefined,
  signal: AbortSignal,
): Promise<RunReport> {
  const path = `/ledger/runs/${encodeURIComponent(system)}/${encodeURIComponent(runId)}`;
  const report = await server.get<RunReport>(path, { at, limit: PAGE }, signal);
  const timeline = [...report.timeline];
  for (let { next } = report; next !== null;) {
    const page = await server.get<RunReport>(path, { at, limit: PAGE, after: next }, signal);
    timeline.push(...page.timeline);
    ({ next } = page);
  }
  return { ...report, timeline, next: null };
}

function told({ system, tenant, runId, asOf, timeline }: RunReport): string[] {
  const positions = new Map(timeline.map(({ id, position }) => [id, position]));
  const rows = timeline.map(({ position, at, type, actor, causationId, correlationId }) => [
    String(position),
    at,
    type,
    printable(actor ?? '-'),
    causationId === null
      ? `request ${printable(correlationId)}`
      : String(positions.get(causationId) ?? `event ${printable(causationId)}`),
  ]);
  return [
    `run ${printable(runId)} of ${system}, tenant ${printable(tenant)}: ${asOf.state ?? 'not there yet'} as of ${asOf.at ?? 'before its first event'}`,
    '',
    ...table(['position', 'at', 'what', 'who', 'caused by'], rows),
  ];
}
