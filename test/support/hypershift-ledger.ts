import { readFile } from 'node:fs/promises';
import type { RunEvent, RunRequest } from '../../contracts/hypershift/run.events.js';
import { verifyLog } from '../../src/kernel/audit/verify.js';
import type { Ports } from '../../src/kernel/kernel.js';
import type { StoredEvent } from '../../src/kernel/ports/event-log.js';
import { deliveryId } from '../../src/kernel/webhooks/sender.js';
import { hypershift } from '../../src/systems/hypershift/hypershift.definition.js';
import { hypershiftEndpoint } from '../../src/systems/hypershift/hypershift.webhooks.js';
import { allEvents, compareWithRebuild, registryOf } from './rebuild.js';
import type { Received } from './webhook-receiver.js';

const ENDS = ['run.completed', 'run.failed', 'run.blocked', 'run.rejected'];

/** What an outside observer has seen of a service, to be compared with what its ledger holds. */
export interface Observed {
  /** Runs whose creation was acknowledged. */
  readonly created: readonly string[];
  /** Positions that answers to writes have named. */
  readonly positions: readonly number[];
  /** Codenames of runs that were asked for once, with an Idempotency-Key. No run is replayed twice. */
  readonly codenames: readonly string[];
  readonly received: readonly Received[];
  /** The file in which agents note each execution. */
  readonly executions: string;
}

export interface Account {
  readonly events: number;
  readonly runs: number;
  readonly executions: number;
  readonly checkpoints: number;
  readonly documents: number;
  readonly deliveries: number;
  /** POSTs that repeated a delivery. */
  readonly repeated: number;
  /** Everything that is not as it must be, one line each. */
  readonly problems: readonly string[];
}

/** What the test did to the service, so that it may be as it otherwise must not be. */
export interface AuditOptions {
  /** Whether the service has ended, and so must have signed. @default true */
  readonly ended?: boolean;
  /**
   * Whether times of events and executions can be compared, and an execution after its step's completion is a fault. Not
   * so where clocks differ, nor where a worker may have begun what another has taken from it. @default true
   */
  readonly timed?: boolean;
}

/** Compares all that the stores of a service hold with what was observed from outside. */
export async function audit(
  { log, views, queue }: Pick<Ports, 'log' | 'views' | 'queue'>,
  observed: Observed,
  { ended = true, timed = true }: AuditOptions = {},
): Promise<Account> {
  const events = await allEvents(log);
  const verification = await verifyLog(log);
  const rebuilt = await compareWithRebuild({ log, views }, [hypershift]);
  const runs = runsOf(events);
  const executions = await readExecutions(observed.executions);
  const webhooks = deliveriesOf(events, observed.received);
  const held = await queue.stats();
  const problems = [
    ...(verification.finding ? [`verification: ${verification.finding.message}`] : []),
    ...(ended && verification.checkpoints === 0 ? ['verification: nothing was ever signed'] : []),
    ...rebuilt.differences.map((difference) => `view: ${difference}`),
    ...lostWrites(events, runs, observed),
    ...[...runs].flatMap(([runId, history]) => problemsOfRun(runId, history)),
    ...usageProblems(events, runs),
    ...repeatedSteps(runs, executions, timed),
    ...webhooks.problems,
    ...recordedTwice(events),
    ...held.map(({ kind }) => `queue: ${kind} still holds jobs`),
  ];
  return {
    events: events.length,
    runs: runs.size,
    executions: executions.length,
    checkpoints: verification.checkpoints,
    documents: rebuilt.documents,
    deliveries: webhooks.expected,
    repeated: observed.received.filter(({ status }) => status < 300).length - webhooks.expected,
    problems,
  };
}

/** The events of every run, in order. */
export function runsOf(events: readonly StoredEvent[]): Map<string, StoredEvent[]> {
  const runs = new Map<string, StoredEvent[]>();
  for (const event of events) {
    if (!event.stream.startsWith('hypershift.run-')) continue;
    const { runId } = dataOf(event);
    runs.set(runId, [...(runs.get(runId) ?? []), event]);
  }
  return runs;
}

function lostWrites(events: readonly StoredEvent[], runs: Map<string, StoredEvent[]>, observed: Observed): string[] {
  const head = events.at(-1)?.position ?? 0;
  const names = new Map<string, number>();
  const replays = new Set<string>();
  const repeated: string[] = [];
  for (const [first] of runs.values()) {
    const { codename, replayOf } = JSON.parse(first?.data ?? '{}') as Partial<RunRequest>;
    if (typeof replayOf === 'string') {
      if (replays.has(replayOf)) repeated.push(replayOf);
      replays.add(replayOf);
    } else if (typeof codename === 'string') {
      names.set(codename, (names.get(codename) ?? 0) + 1);
    }
  }
  return [
    ...observed.created.filter((runId) => !runs.has(runId)).map((runId) => `lost: run ${runId} was acknowledged`),
    ...observed.positions
      .filter((position) => position > head)
      .map((position) => `lost: position ${position} was acknowledged, the log ends at ${head}`),
    ...observed.codenames
      .filter((name) => (names.get(name) ?? 0) !== 1)
      .map((name) => `idempotency: ${names.get(name) ?? 0} runs are called ${name}`),
    ...repeated.map((runId) => `idempotency: run ${runId} was replayed twice`),
  ];
}

function problemsOfRun(runId: string, history: readonly StoredEvent[]): string[] {
  const problems: string[] = [];
  const count = (types: readonly string[]): number => history.filter(({ type }) => types.includes(type)).length;
  if (count(['run.created']) !== 1) problems.push(`run ${runId} was created ${count(['run.created'])} times`);
  if (count(['run.started']) > 1) problems.push(`run ${runId} was started ${count(['run.started'])} times`);
  if (count(ENDS) !== count(['run.started'])) problems.push(`run ${runId} ended ${count(ENDS)} times`);
  if (count(['run.failed']) > 0) problems.push(`run ${runId} failed`);
  let done = 0;
  for (const event of history) {
    if (event.type !== 'step.started' && event.type !== 'step.completed') continue;
    const { index } = dataOf(event) as { index?: number };
    if (index !== done + 1) problems.push(`run ${runId}: ${event.type} of step ${index} after ${done} were completed`);
    if (event.type === 'step.completed') done += 1;
  }
  return problems;
}

/** The month's arbiter has let through exactly the runs that exist, each once, and counted each deployment once. */
function usageProblems(events: readonly StoredEvent[], runs: Map<string, StoredEvent[]>): string[] {
  const ids = (type: string): string[] => events.filter((event) => event.type === type).map((e) => dataOf(e).runId);
  const reserved = ids('usage.run_reserved');
  const counted = new Set(reserved);
  const problems = reserved.length === counted.size ? [] : ['usage: a run was counted twice'];
  for (const runId of counted) if (!runs.has(runId)) problems.push(`usage: run ${runId} was counted and never created`);
  for (const runId of runs.keys()) if (!counted.has(runId)) problems.push(`usage: run ${runId} was not counted`);
  const [deployed, recorded] = [ids('deploy.succeeded').sort(), ids('usage.deploy_recorded').sort()];
  if (deployed.join() !== recorded.join()) {
    problems.push(`usage: ${deployed.length} deployments, ${recorded.length} were counted`);
  }
  return problems;
}

interface Execution {
  readonly runId: string;
  readonly step: string;
  /** Wall time of this machine, in ms. */
  readonly at: number;
}

async function readExecutions(path: string): Promise<Execution[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Execution);
}

/** Executions of a step whose completion was on record, and executions that no attempt on record stands for. */
function repeatedSteps(runs: Map<string, StoredEvent[]>, executions: readonly Execution[], timed: boolean): string[] {
  const begun = new Map<string, number>();
  const completedAt = new Map<string, number>();
  for (const [runId, history] of runs) {
    for (const event of history) {
      const name = `${runId} ${(dataOf(event) as { step?: string }).step ?? ''}`;
      if (event.type === 'step.started') begun.set(name, (begun.get(name) ?? 0) + 1);
      if (event.type === 'step.completed') completedAt.set(name, Date.parse(atOf(event)));
    }
  }
  const problems: string[] = [];
  const counted = new Map<string, number>();
  for (const { runId, step, at } of executions) {
    const name = `${runId} ${step}`;
    counted.set(name, (counted.get(name) ?? 0) + 1);
    if (timed && at > (completedAt.get(name) ?? Infinity))
      problems.push(`step: ${name} was executed after its completion`);
  }
  for (const [name, count] of counted) {
    if (count > (begun.get(name) ?? 0)) problems.push(`step: ${name} was executed ${count} times`);
  }
  for (const name of completedAt.keys()) if (!counted.has(name)) problems.push(`step: ${name} was never executed`);
  return problems;
}

/** Deliveries whose end the log tells more than once, or of which it says that they were given up. */
function recordedTwice(events: readonly StoredEvent[]): string[] {
  const delivered = new Set<string>();
  const problems: string[] = [];
  for (const event of events) {
    if (event.type === 'webhook.abandoned') problems.push(`webhook: ${event.stream} was given up`);
    if (event.type !== 'webhook.delivered') continue;
    const { deliveryId: id } = dataOf(event) as unknown as { deliveryId: string };
    if (delivered.has(id)) problems.push(`webhook: ${id} is recorded as delivered twice`);
    delivered.add(id);
  }
  return problems;
}

/** What the receiver must have got, once duplicates are put aside, lane by lane in the log's order. */
export function deliveriesOf(
  events: readonly StoredEvent[],
  received: readonly Received[],
): { expected: number; problems: string[] } {
  const settings = { webhookUrl: 'http://receiver', webhookSecrets: [] } as unknown as Parameters<
    typeof hypershiftEndpoint
  >[0];
  const endpoint = hypershiftEndpoint(settings);
  if (!endpoint) throw new Error('HyperShift has no endpoint for a receiver');
  const { catalog } = registryOf([hypershift]);
  const expected = new Map<string, { lane: string; body: string }>();
  for (const event of events) {
    if (!event.stream.startsWith('hypershift.run-') || !endpoint.types.includes(event.type)) continue;
    const id = deliveryId(endpoint.id, event.id);
    const message = endpoint.message(catalog.read(event), id);
    if (message) expected.set(id, { lane: message.runId, body: message.body });
  }
  const problems: string[] = [];
  const lanes = new Map<string, string[]>();
  const seen = new Set<string>();
  for (const { deliveryId: id, body, status } of received) {
    const wanted = expected.get(id);
    if (!wanted) problems.push(`webhook: ${id} stands for no event`);
    else if (wanted.body !== body) problems.push(`webhook: ${id} came with another body`);
    if (!wanted || status >= 300 || seen.has(id)) continue;
    seen.add(id);
    lanes.set(wanted.lane, [...(lanes.get(wanted.lane) ?? []), id]);
  }
  const inOrder = new Map<string, string[]>();
  for (const [id, { lane }] of expected) {
    if (!seen.has(id)) problems.push(`webhook: ${id} of run ${lane} never arrived`);
    inOrder.set(lane, [...(inOrder.get(lane) ?? []), id]);
  }
  for (const [lane, ids] of lanes) {
    if (ids.join() !== inOrder.get(lane)?.join()) problems.push(`webhook: run ${lane} was told out of order`);
  }
  return { expected: expected.size, problems };
}

function dataOf({ data }: StoredEvent): RunEvent['data'] {
  return JSON.parse(data) as RunEvent['data'];
}

function atOf({ metadata }: StoredEvent): string {
  return (JSON.parse(metadata) as { at: string }).at;
}
