import { SystemClock } from '../adapters/system/system-clock.js';
import type { CallerBody } from '../ledger/access/caller.controller.js';
import type { DutyListBody } from '../ledger/duties/duties.controller.js';
import type { ProjectionListBody } from '../ledger/projections/projections.dto.js';
import type { WebhookListBody } from '../ledger/webhooks/webhooks.dto.js';
import type { WorkBody } from '../ledger/work/work.dto.js';
import { version } from '../version.js';
import { Failed } from './cli.js';
import { checkClock, checkLag, LAG_WARNING, ok, problem, warning, type Finding } from './doctor-checks.js';
import { adviceOn } from './duties.command.js';
import type { ServerClient } from './server-client.js';

interface Readiness {
  readonly status: string;
  readonly views: Readonly<Record<string, { state: string; position: number; head: number; poison?: object }>>;
}

const SKIP = 'Fix the view, or pass over the event: runledger projections skip';

/** What can be seen of a running service from outside, as far as the token goes. */
export async function askServer(server: ServerClient): Promise<Finding[]> {
  const clock = new SystemClock();
  const asked = clock.now();
  let answer: Response;
  try {
    answer = await server.look('/readyz');
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    return [problem('server', error.message, 'Start it, or correct --url')];
  }
  const told = Date.parse(answer.headers.get('date') ?? '');
  const { status, views = {} } = await readinessOf(answer);
  const caller = await callerOf(server);
  return [
    status === 'ready'
      ? ok('server', 'ready')
      : warning('server', `answers ${answer.status}, ${status ?? 'and is no Runledger'}`, 'Wait, or look at its log'),
    // The header leaves out the part of a second.
    ...(Number.isNaN(told) ? [] : [checkClock('clock of the server', clockOffset(told, asked, clock.now()))]),
    caller.finding,
    ...(caller.seesAll ? await lookInside(server) : viewsOf(views)),
    ...(caller.seesAll === false
      ? [
          warning(
            'operation',
            'duties, dead letters and endpoints were not looked at: the token does not go so far',
            'Give a token with the scope read, for all tenants',
          ),
        ]
      : []),
  ];
}

async function readinessOf(answer: Response): Promise<Partial<Readiness>> {
  try {
    return (await answer.json()) as Partial<Readiness>;
  } catch {
    // Somebody else's page: what is told of it then is that it is no Runledger.
    return {};
  }
}

/** A time in whole seconds, told somewhere between two looks at our own clock: how far it is off at least. */
function clockOffset(told: number, asked: number, answered: number): number {
  if (told + 1_000 < asked) return told + 1_000 - asked;
  return told > answered ? told - answered : 0;
}

/** As whom the service knows us; `seesAll` is undefined where it knows us not at all. */
async function callerOf(server: ServerClient): Promise<{ readonly finding: Finding; readonly seesAll?: boolean }> {
  try {
    const { name, scopes, tenants } = await server.get<Partial<CallerBody>>('/ledger/caller');
    if (name === undefined || !scopes)
      return { finding: problem('token', 'no Runledger answers there', 'Correct --url') };
    const limits = tenants ? `, for ${tenants.join(', ')}` : '';
    const finding = ok('token', `${name}: ${scopes.join(', ')}${limits}`);
    return { finding, seesAll: scopes.includes('read') && !tenants };
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    return { finding: problem('token', error.message, 'Give one of RUNLEDGER_TOKENS by RUNLEDGER_TOKEN') };
  }
}

function viewsOf(views: Readiness['views']): Finding[] {
  return Object.entries(views).map(([name, { position, head, poison }]) =>
    poison
      ? problem(`view ${name}`, 'stopped at an event that it cannot fold', SKIP)
      : checkLag(name, Math.max(0, head - position)),
  );
}

/** What is for those who may see the whole ledger. */
async function lookInside(server: ServerClient): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [check, look] of Object.entries(INSIDE)) {
    try {
      findings.push(...(await look(server)));
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      findings.push(warning(check, error.message, 'Try again; or is the server of another version?'));
    }
  }
  return findings;
}

const INSIDE: Readonly<Record<string, (server: ServerClient) => Promise<Finding[]>>> = {
  duties: async (server) => {
    const body = await server.get<DutyListBody>('/ledger/duties');
    return [checkVersion(body.version), checkDuties(body.duties)];
  },
  views: async (server) =>
    (await server.get<ProjectionListBody>('/ledger/projections')).projections.map(checkProjection),
  'dead letters': async (server) => checkWork((await server.get<WorkBody>('/ledger/work')).kinds),
  endpoints: async (server) => checkEndpoints((await server.get<WebhookListBody>('/ledger/webhooks')).webhooks),
};

export function checkVersion(served: string): Finding {
  if (served === version) return ok('version', served);
  return warning(
    'version',
    `${served}, and this command is ${version}`,
    'Use the command of the version that is served: replay would compare with other code',
  );
}

export function checkDuties(duties: DutyListBody['duties']): Finding {
  const left = duties.filter(({ state }) => state !== 'held');
  if (left.length === 0) return ok('duties', `all ${duties.length} are done by somebody`);
  const found = left.map(({ name, state }) => `${name} is ${state}`).join(', ');
  const isFree = left.some(({ state }) => state === 'free');
  return (isFree ? problem : warning)('duties', found, adviceOn(left).join('. '));
}

export function checkProjection({ name, state, lag, errors }: ProjectionListBody['projections'][number]): Finding {
  const [error] = errors;
  if (state === 'stopped' || error)
    return problem(`view ${name}`, `stopped at position ${error?.position ?? 'unknown'}: ${error?.error ?? ''}`, SKIP);
  const found = `${state}, ${lag.exact ? '' : 'about '}${lag.events} events behind the log`;
  if (state === 'paused')
    return warning(`view ${name}`, `${found}; its rebuild is held`, `runledger projections resume ${name}`);
  if (lag.events < LAG_WARNING) return ok(`view ${name}`, found);
  return warning(
    `view ${name}`,
    `${found}, by ${lag.seconds.toFixed(0)} s`,
    'Wait for it to catch up; is there a process with the role projector?',
  );
}

export function checkWork(kinds: WorkBody['kinds']): Finding[] {
  const given = kinds.filter(({ dead }) => dead > 0);
  if (given.length === 0) return [ok('dead letters', 'none')];
  return given.map(({ kind, dead }) =>
    warning(
      'dead letters',
      `${dead} of ${kind}`,
      `See why: runledger work dead --kind ${kind}; then requeue or discard them`,
    ),
  );
}

export function checkEndpoints(webhooks: WebhookListBody['webhooks']): Finding[] {
  const findings = webhooks.flatMap(({ id, disabled, health }) => {
    // What an operator has stopped is as it is meant to be.
    if (disabled && disabled.reason !== 'operator')
      return [
        warning(
          `endpoint ${id}`,
          `disabled at ${disabled.at}: ${disabled.reason}`,
          `Once its receiver works: runledger webhooks enable ${id}`,
        ),
      ];
    if (!disabled && health?.failingSince)
      return [
        warning(
          `endpoint ${id}`,
          `nothing has arrived since ${health.failingSince}`,
          `See why: runledger webhooks deliveries ${id}`,
        ),
      ];
    return [];
  });
  return findings.length > 0 ? findings : [ok('endpoints', `${webhooks.length}, and none fails`)];
}
