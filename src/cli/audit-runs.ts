import { RunAudit, summaryOf, type RunDifference, type RunSummary } from '../ledger/audit/run-audit.js';
import { runQuery, type RunFilters } from '../ledger/audit/run-query.js';
import { Refused } from '../kernel/errors.js';
import { systems } from '../systems.js';
import { momentOf } from './audit-timeline.js';
import { WrongUsage, type Cli } from './cli.js';
import { withLedger } from './open-ledger.js';
import { findRun, listRuns } from './run-index.js';
import { brief, printable, table } from './screen.js';
import { environmentOf, serverOf, type TargetOptions } from './target.js';

export interface RunsOptions extends TargetOptions, RunFilters {}

interface Listed {
  readonly runs: readonly RunSummary[];
  readonly next: string | null;
}

/** A page of the index of all runs. */
export async function showRuns(cli: Cli, options: RunsOptions): Promise<void> {
  const { system, tenant, state, since, until, limit, after } = options;
  const filters = { system, tenant, state, since, until, limit, after };
  const query = queryOf(filters);
  const server = serverOf(cli, options);
  const { runs, next } = server
    ? await server.get<Listed>('/ledger/runs', filters, cli.signal)
    : await withLedger(environmentOf(cli, options), async (ledger): Promise<Listed> => {
        const page = await listRuns(ledger, cli.screen, query);
        return { runs: page.runs.map(summaryOf), next: page.next };
      });
  if (options.json) {
    cli.screen.line(JSON.stringify({ runs, next }));
    return;
  }
  const rows = runs.map((run) => [run.createdAt, run.system, run.tenant, run.runId, run.state ?? '-', run.stateSince]);
  const shown = table(
    ['created', 'system', 'tenant', 'run', 'state', 'since'],
    rows.map((row) => row.map(printable)),
  );
  for (const line of shown) cli.screen.line(line);
  if (next !== null) cli.screen.note(`There are more: --after ${next}`);
}

/** @throws WrongUsage for a time or a limit that is none. */
function queryOf(filters: RunFilters): ReturnType<typeof runQuery> {
  try {
    return runQuery(filters);
  } catch (error) {
    if (error instanceof Refused) throw new WrongUsage(`--${error.message}`);
    throw error;
  }
}

export interface Compared {
  readonly system: string;
  readonly runId: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/** What became different in a run between two moments. */
export async function showDifference(cli: Cli, options: TargetOptions, compared: Compared): Promise<void> {
  const { system, runId, from, to } = compared;
  const [before, after] = [momentOf('<from>', from), momentOf('<to>', to)];
  const server = serverOf(cli, options);
  const path = `/ledger/runs/${encodeURIComponent(system)}/${encodeURIComponent(runId)}/diff`;
  const difference = server
    ? await server.get<RunDifference>(path, { from, to }, cli.signal)
    : await withLedger(environmentOf(cli, options), async (ledger) => {
        const run = await findRun(ledger, cli.screen, system, runId);
        return new RunAudit(ledger.log, ledger.blobs, ledger.registry, systems).difference(run, before, after);
      });
  if (options.json) cli.screen.line(JSON.stringify(difference));
  else for (const line of told(compared, difference)) cli.screen.line(line);
}

function told({ system, runId }: Compared, { from, to, differences }: RunDifference): string[] {
  const stood = ({ state, at, position }: RunDifference['from']): string =>
    at === null ? 'not there yet' : `${state ?? 'in no state'} at position ${position}, ${at}`;
  return [
    `run ${printable(runId)} of ${printable(system)}: ${stood(from)} -> ${stood(to)}`,
    ...(differences.length === 0 ? ['  nothing became different'] : []),
    ...differences.map(({ path, before, after }) => `  ${printable(path)}: ${brief(before)} -> ${brief(after)}`),
  ];
}
