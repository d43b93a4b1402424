import { bundleLines } from '../../kernel/audit/bundle.js';
import { Refused } from '../../kernel/errors.js';
import type { StoredReading } from '../../kernel/event-catalog.js';
import type { BlobStore } from '../../kernel/ports/blob-store.js';
import { START, type EventLog, type Position } from '../../kernel/ports/event-log.js';
import type { Registry } from '../../kernel/registry.js';
import type { RunIndexDoc } from '../../kernel/runs/run-index.view.js';
import type { SystemDefinition } from '../../kernel/system.js';
import { causationTree, timelineEntry, type CauseRoot, type TimelineEntry } from './causation.js';
import { differences, type Difference } from '../../kernel/differences.js';
import { foldRun, historyOf, upTo, type Moment, type RunState } from './run-history.js';

export interface RunDifference {
  readonly from: RunState;
  readonly to: RunState;
  readonly differences: readonly Difference[];
}

/** A run in a list: its streams are for whoever looks at it alone. */
export type RunSummary = Omit<RunIndexDoc, 'streams' | 'mentions'>;

export function summaryOf({ system, tenant, runId, state, createdAt, stateSince }: RunIndexDoc): RunSummary {
  return { system, tenant, runId, state, createdAt, stateSince };
}

export interface ReportQuery {
  /** As of when; now, where it is left out. */
  readonly moment?: Moment | undefined;
  /** Timeline after this position. */
  readonly after?: Position;
  /** Lines of the timeline. */
  readonly limit: number;
  /** Whether the timeline shows what was recorded. */
  readonly data?: boolean;
}

export interface RunReport extends RunSummary {
  readonly streams: readonly string[];
  readonly asOf: RunState;
  readonly timeline: readonly TimelineEntry[];
  /** Where the next page of the timeline begins; null on the last. */
  readonly next: Position | null;
  /** Over the whole history up to the moment. */
  readonly causation: readonly CauseRoot[];
}

/** What an auditor asks of one run. Reads the log, and nothing else but the artifacts. */
export class RunAudit {
  constructor(
    private readonly log: EventLog,
    private readonly blobs: BlobStore,
    private readonly registry: Registry,
    private readonly systems: readonly SystemDefinition[],
  ) {}

  /** Every event about it up to a moment, in log order. */
  async history(run: RunIndexDoc, moment?: Moment): Promise<readonly StoredReading[]> {
    return upTo(await historyOf(this.log, this.registry.catalog, run), moment);
  }

  /** The run as its own rules saw it after these events. */
  state(history: readonly StoredReading[]): RunState {
    return foldRun(history, this.registry.runIndex, this.registry.aggregates);
  }

  /** What became different between two moments. Now, where the second is left out; the beginning, where the first is. */
  async difference(run: RunIndexDoc, from?: Moment, to?: Moment): Promise<RunDifference> {
    const history = await this.history(run);
    const before = this.state(from ? upTo(history, from) : []);
    const after = this.state(upTo(history, to));
    return { from: before, to: after, differences: differences(comparable(before), comparable(after)) };
  }

  /** What there is to tell of the run up to a moment. */
  async report(run: RunIndexDoc, { moment, after = START, limit, data = false }: ReportQuery): Promise<RunReport> {
    const history = await this.history(run, moment);
    const rest = history.filter(({ position }) => position > after);
    const page = rest.slice(0, limit);
    return {
      ...summaryOf(run),
      streams: run.streams,
      asOf: this.state(history),
      timeline: page.map((reading) => timelineEntry(reading, data)),
      next: rest.length > page.length ? (page.at(-1)?.position ?? null) : null,
      causation: causationTree(history),
    };
  }

  /** The lines of the run's bundle. */
  async *bundle(run: RunIndexDoc): AsyncGenerator<string> {
    const head = await this.log.head();
    const history = (await this.history(run)).map(({ stored }) => stored);
    const system = this.systems.find(({ name }) => name === run.system);
    const artifacts = system?.runs.artifacts(run.runId) ?? [];
    yield* bundleLines({ log: this.log, blobs: this.blobs, run, head, history, artifacts });
  }
}

/** What of a run's state can differ, by stream: places in a list would shift. */
function comparable({ state, streams }: RunState): object {
  return {
    state,
    streams: Object.fromEntries(streams.map(({ stream, revision, state: own }) => [stream, { revision, state: own }])),
  };
}

/**
 * A moment as people write it: a position in the log, or an ISO 8601 time.
 *
 * @throws Refused for what is neither.
 */
export function parseMoment(name: string, text: string | undefined): Moment | undefined {
  if (text === undefined || text === '') return undefined;
  if (/^\d{1,16}$/.test(text)) {
    const position = Number(text);
    if (Number.isSafeInteger(position)) return { position };
  }
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return { time: new Date(time).toISOString() };
  throw new Refused('invalid', `${name} is a position in the log, or a time like 2026-01-30T12:00:00Z`);
}
