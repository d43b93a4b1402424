import type { Command } from 'commander';
import { command, exitCodes, WrongUsage, type Cli, type ExitCode } from './cli.js';
import { printable, table } from './screen.js';
import type { ServerClient } from './server-client.js';
import { serverOf, withTarget, type TargetOptions } from './target.js';
import { registerListen } from './webhooks-listen.js';
import { pathOf, PATH, tested, type Delivery } from './webhooks-test.js';

interface Endpoint {
  readonly id: string;
  readonly tenant: string;
  readonly url: string;
  readonly types: readonly string[];
  readonly status: string;
  readonly disabled: { readonly reason: string } | null;
  readonly secret?: string;
  readonly health: {
    readonly delivered: number;
    readonly abandoned: number;
    readonly failingSince: string | null;
  } | null;
}

interface CreateOptions extends TargetOptions {
  readonly type: readonly string[];
  readonly system?: readonly string[];
  readonly tenant?: string;
  readonly description?: string;
  readonly after?: string;
}

interface ListOptions extends TargetOptions {
  readonly tenant?: string;
}

interface RotateOptions extends TargetOptions {
  readonly overlapHours?: string;
}

interface EnableOptions extends TargetOptions {
  readonly after?: string;
}

interface DeliveriesOptions extends TargetOptions {
  readonly status?: string;
  readonly limit?: string;
}

interface ResendOptions extends TargetOptions {
  readonly failed?: true;
  readonly after?: string;
  readonly before?: string;
  readonly from?: string;
  readonly to?: string;
}

export function register(program: Command, cli: Cli): void {
  const webhooks = program
    .command('webhooks')
    .description('The endpoints that are told what happens, and what became of it; through a running server.');
  registerEndpoints(webhooks, cli);
  registerDeliveries(webhooks, cli);
  registerListen(webhooks, cli);
}

function registerEndpoints(webhooks: Command, cli: Cli): void {
  command<ListOptions>(
    withTarget(
      webhooks.command('list').description('List the endpoints.').option('--tenant <tenant>', 'of one tenant'),
    ),
    [['runledger webhooks list --url http://127.0.0.1:3000', 'all that your token may see']],
    async (options) => {
      const answer = await server(cli, options).get<{ webhooks: Endpoint[] }>(PATH, { tenant: options.tenant });
      say(cli, options, answer, () => table(ENDPOINT_COLUMNS, answer.webhooks.map(endpointRow)));
    },
  );
  command<CreateOptions>(
    withTarget(
      webhooks
        .command('create')
        .description('Tell events to an address from now on. The secret is printed this once.')
        .argument('<address>', 'http or https, where the events are posted to')
        .requiredOption('--type <types...>', 'types, or beginnings such as run.*')
        .option('--system <systems...>', 'of these systems alone')
        .option('--tenant <tenant>', 'whose events; may be left out where the token is for one tenant')
        .option('--description <text>', 'for people')
        .option('--after <position>', 'begin after this position; 0 for the whole past'),
    ),
    [["runledger webhooks create https://example.org/hooks --tenant acme --type 'run.*'", 'everything about runs']],
    async (options, url = '') => {
      const { type: types, system: systems, tenant, description } = options;
      const after = whole('--after', options.after);
      const body = { url, types, systems, tenant, description, after };
      const made = await server(cli, options).post<Endpoint>(PATH, body);
      say(cli, options, made, () => [`${made.id} is told from now on`, `secret: ${made.secret ?? ''}`]);
    },
  );
  command<RotateOptions>(
    withTarget(
      webhooks
        .command('rotate')
        .description('Sign with a new secret, which is printed this once; for a while the former signs too.')
        .argument('<webhook>', 'its id')
        .option('--overlap-hours <hours>', 'for how long (default: 24)'),
    ),
    [['runledger webhooks rotate we_4h7q2m1c9x0b3k5v --overlap-hours 0', 'the former secret has leaked']],
    async (options, id = '') => {
      const hours = whole('--overlap-hours', options.overlapHours);
      const body = hours === undefined ? {} : { overlapMs: hours * 3_600_000 };
      const rotated = await server(cli, options).post<Endpoint>(`${pathOf(id)}/rotate`, body);
      say(cli, options, rotated, () => [`secret: ${rotated.secret ?? ''}`]);
    },
  );
  command<TargetOptions>(
    withTarget(
      webhooks
        .command('disable')
        .description('Send nothing until it is enabled. What is recorded meanwhile waits.')
        .argument('<webhook>', 'its id'),
    ),
    [['runledger webhooks disable we_4h7q2m1c9x0b3k5v', 'while the receiver is being moved']],
    async (options, id = '') => {
      const changed = await server(cli, options).post<Endpoint>(`${pathOf(id)}/disable`);
      say(cli, options, changed, () => [`${changed.id} is disabled`]);
    },
  );
  command<EnableOptions>(
    withTarget(
      webhooks
        .command('enable')
        .description('Send again, from where it stopped.')
        .argument('<webhook>', 'its id')
        .option('--after <position>', 'leave out what was recorded up to this position'),
    ),
    [['runledger webhooks enable we_4h7q2m1c9x0b3k5v', 'go on where it stopped']],
    async (options, id = '') => {
      const body = { after: whole('--after', options.after) };
      const changed = await server(cli, options).post<Endpoint>(`${pathOf(id)}/enable`, body);
      say(cli, options, changed, () => [`${changed.id} is enabled`]);
    },
  );
}

function registerDeliveries(webhooks: Command, cli: Cli): void {
  command<DeliveriesOptions>(
    withTarget(
      webhooks
        .command('deliveries')
        .description('List deliveries, newest first.')
        .argument('<webhook>', 'its id')
        .option('--status <status>', 'requested, retrying, delivered or dead')
        .option('--limit <count>', 'at most so many (default: 20)'),
    ),
    [['runledger webhooks deliveries we_4h7q2m1c9x0b3k5v --status dead', 'what was given up']],
    async (options, id = '') => {
      const { status } = options;
      const query = { status, limit: whole('--limit', options.limit) };
      const page = await server(cli, options).get<{ deliveries: Delivery[] }>(`${pathOf(id)}/deliveries`, query);
      say(cli, options, page, () => table(DELIVERY_COLUMNS, page.deliveries.map(deliveryRow)));
    },
  );
  command<ResendOptions>(
    withTarget(
      webhooks
        .command('resend')
        .description('Send again: one delivery, all that were given up, or a part of the past.')
        .argument('<webhook>', 'its id')
        .argument('[delivery]', 'one delivery')
        .option('--failed', 'all that were given up')
        .option('--after <position>', 'what was recorded after this position')
        .option('--before <position>', 'what was recorded before this position')
        .option('--from <time>', 'what was recorded at this time or later')
        .option('--to <time>', 'what was recorded before this time'),
    ),
    [
      ['runledger webhooks resend we_4h7q2m1c9x0b3k5v --failed', 'the receiver works again'],
      ['runledger webhooks resend we_4h7q2m1c9x0b3k5v --from 2026-01-31 --to 2026-02-01', 'a whole day'],
    ],
    (options, id = '', delivery) => resend(cli, options, id, delivery),
  );
  command<TargetOptions>(
    withTarget(
      webhooks
        .command('test')
        .description('Send a test, and wait for what the receiver says. Exit code 1 when it does not take it.')
        .argument('<webhook>', 'its id'),
    ),
    [['runledger webhooks test we_4h7q2m1c9x0b3k5v', 'is it reached, and does it verify the signature?']],
    (options, id = '') => test(cli, options, id),
  );
}

async function resend(cli: Cli, options: ResendOptions, id: string, delivery: string | undefined): Promise<void> {
  const { failed, from, to } = options;
  const range = { after: whole('--after', options.after), before: whole('--before', options.before), from, to };
  const isRange = Object.values(range).some((end) => end !== undefined);
  if ([delivery !== undefined, failed === true, isRange].filter(Boolean).length !== 1)
    throw new WrongUsage('One of: a delivery, --failed, or a range by --after and --before, --from and --to');
  const client = server(cli, options);
  if (delivery !== undefined) {
    const answer = await client.post(`${pathOf(id)}/deliveries/${encodeURIComponent(delivery)}/resend`, {}, cli.signal);
    say(cli, options, answer, () => [`${delivery} is sent again`]);
    return;
  }
  let requested = 0;
  for (let body: object = failed === true ? { failed } : range; ;) {
    const part = await client.post<{ requested: number; complete: boolean; next: number | null }>(
      `${pathOf(id)}/resend`,
      body,
      cli.signal,
    );
    requested += part.requested;
    if (part.complete) break;
    if (part.next !== null) body = { ...range, after: part.next };
  }
  say(cli, options, { requested }, () => [`${requested} deliveries are sent again`]);
}

async function test(cli: Cli, options: TargetOptions, id: string): Promise<ExitCode> {
  const { delivery, attempt } = await tested(server(cli, options), id, cli.signal);
  const arrived = attempt.error === null;
  say(cli, options, delivery, () => [
    arrived ? `It arrived: ${attempt.status}` : `It did not arrive: ${printable(attempt.error ?? '')}`,
  ]);
  return arrived ? exitCodes.fine : exitCodes.found;
}

const ENDPOINT_COLUMNS = ['ID', 'TENANT', 'STATUS', 'DELIVERED', 'DEAD', 'TYPES', 'ADDRESS'];
function endpointRow({ id, tenant, url, types, status, disabled, health }: Endpoint): string[] {
  const failing = health?.failingSince === null || health === null ? status : `${status}, failing`;
  const state = disabled ? `${status} (${disabled.reason})` : failing;
  const counts = [health?.delivered ?? 0, health?.abandoned ?? 0].map(String);
  return [id, tenant, state, ...counts, types.join(','), url].map(printable);
}

const DELIVERY_COLUMNS = ['ID', 'EVENT', 'POSITION', 'STATUS', 'ATTEMPTS', 'ANSWER', 'NEXT'];
function deliveryRow({ id, event, status, attempts, retryAt }: Delivery): string[] {
  const last = attempts.at(-1);
  const answer = last ? String(last.status ?? last.error ?? '') : '';
  const { type = 'webhook.test', position = '' } = event ?? {};
  return [id, type, String(position), status, String(attempts.length), answer, retryAt ?? ''].map(printable);
}

/** @throws WrongUsage: endpoints belong to a service that runs. */
function server(cli: Cli, options: TargetOptions): ServerClient {
  const found = serverOf(cli, options);
  if (!found) throw new WrongUsage('Webhooks are those of a running server: name it by --url or RUNLEDGER_URL');
  return found;
}

function whole(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new WrongUsage(`${option} is a whole number`);
  return Number(text);
}

function say({ screen }: Cli, { json }: TargetOptions, answer: unknown, lines: () => readonly string[]): void {
  if (json) screen.line(JSON.stringify(answer));
  else for (const line of lines()) screen.line(line);
}
