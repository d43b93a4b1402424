import { aggregateOf, type AggregateDefinition } from '../../kernel/aggregate.js';
import { UnreadableEvent } from '../../kernel/errors.js';
import type { EventCatalog, StoredReading } from '../../kernel/event-catalog.js';
import { START, type EventLog, type Position, type StoredEvent } from '../../kernel/ports/event-log.js';
import type { JsonObject } from '../../kernel/ports/view-store.js';
import type { RunIndexDoc } from '../../kernel/runs/run-index.view.js';
import type { View } from '../../kernel/views/view.js';

const PAGE = 1_000;

/** Every event about a run, in log order: those of its own streams, and those that mention it elsewhere. */
export async function historyOf(log: EventLog, catalog: EventCatalog, run: RunIndexDoc): Promise<StoredReading[]> {
  const own = await Promise.all(run.streams.map((stream) => wholeStream(log, stream)));
  const mentions = await Promise.all(run.mentions.map(([stream, from]) => log.readStream(stream, { from, limit: 1 })));
  return [...own.flat(), ...mentions.flat()]
    .sort((a, b) => a.position - b.position)
    .map((stored) => catalog.read(stored));
}

export async function wholeStream(log: EventLog, stream: string): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  for (;;) {
    const page = await log.readStream(stream, { from: events.length, limit: PAGE });
    events.push(...page);
    if (page.length < PAGE) return events;
  }
}

/** A moment in a run's history: after the event at a position, or at a time. */
export type Moment = { readonly position: Position } | { readonly time: string };

/**
 * The events up to a moment. By time: those before the first that was recorded later, since the log's order is what
 * counts when a clock was set back.
 */
export function upTo(history: readonly StoredReading[], moment: Moment | undefined): readonly StoredReading[] {
  if (!moment) return history;
  const { position, time } = { position: undefined, time: undefined, ...moment };
  const after = history.findIndex((reading) =>
    position === undefined ? reading.at > (time ?? '') : reading.position > position,
  );
  return after < 0 ? history : history.slice(0, after);
}

/** What a stream had come to. */
export interface StreamState {
  readonly stream: string;
  /** Of the last event that is folded in. */
  readonly revision: number;
  /** As the rules of the stream see it; null where they show nothing, or an event cannot be read. */
  readonly state: JsonObject | null;
  /** Why the state cannot be told. */
  readonly unreadable?: string;
}

/** A run as it was after some of its events. */
export interface RunState {
  /** Of the last event that is folded in; 0 and null where there is none. */
  readonly position: Position;
  readonly at: string | null;
  readonly events: number;
  /** As the index of runs has it. */
  readonly state: string | null;
  readonly stateSince: string | null;
  readonly streams: readonly StreamState[];
}

/** Folds events of a run with the rules that decide about it. */
export function foldRun(
  events: readonly StoredReading[],
  index: View<RunIndexDoc>,
  aggregates: readonly AggregateDefinition[],
): RunState {
  const streams = new Map<string, StoredReading[]>();
  for (const reading of events) {
    if (aggregateOf(aggregates, reading.stream)?.ofRun !== true) continue;
    const before = streams.get(reading.stream);
    if (before) before.push(reading);
    else streams.set(reading.stream, [reading]);
  }
  const last = events.at(-1);
  const indexed = foldIndex(events, index);
  return {
    position: last?.position ?? START,
    at: last?.at ?? null,
    events: events.length,
    state: indexed?.state ?? null,
    stateSince: indexed?.stateSince ?? null,
    streams: [...streams].map(([stream, readings]) => foldStream(stream, readings, aggregateOf(aggregates, stream))),
  };
}

function foldStream(
  stream: string,
  readings: readonly StoredReading[],
  aggregate: AggregateDefinition | undefined,
): StreamState {
  const revision = readings.at(-1)?.revision ?? -1;
  if (!aggregate?.show) return { stream, revision, state: null };
  try {
    let state: unknown = aggregate.decider.initial;
    for (const { event, at } of readings) state = aggregate.decider.evolve(state, event, at);
    return { stream, revision, state: aggregate.show(state) };
  } catch (error) {
    if (!(error instanceof UnreadableEvent)) throw error;
    return { stream, revision, state: null, unreadable: error.message };
  }
}

function foldIndex(events: readonly StoredReading[], index: View<RunIndexDoc>): RunIndexDoc | undefined {
  let doc: RunIndexDoc | undefined;
  for (const reading of events) {
    if (!index.types.includes(reading.stored.type)) continue;
    try {
      const [key] = index.keys(reading);
      if (key !== undefined) doc = index.evolve(doc, reading, key) ?? undefined;
    } catch (error) {
      // The state of its stream says so; the index has not gone past it either.
      if (error instanceof UnreadableEvent) return doc;
      throw error;
    }
  }
  return doc;
}
