import type { StoredReading } from '../../kernel/event-catalog.js';

/** A line of a run's timeline: who did what and when, and what led to it. */
export interface TimelineEntry {
  readonly position: number;
  readonly id: string;
  readonly type: string;
  readonly at: string;
  readonly actor: string | null;
  readonly correlationId: string;
  /** The event that led to it; null where it was a request from outside. */
  readonly causationId: string | null;
  readonly stream: string;
  readonly revision: number;
  /** As it was recorded; only when it was asked for. */
  readonly data?: unknown;
}

/** An event, and the events that it led to. */
export interface CauseNode extends Pick<TimelineEntry, 'position' | 'id' | 'type' | 'at' | 'actor'> {
  readonly causes: CauseNode[];
}

/** What led to events of the run from outside of it: a request, or an event elsewhere. */
export interface CauseRoot {
  /** Null for a request. */
  readonly causationId: string | null;
  readonly correlationId: string;
  readonly causes: CauseNode[];
}

/** A job is named by the event that opened it, or by something that begins with its id. */
const EVENT_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

export function timelineEntry(reading: StoredReading, withData: boolean): TimelineEntry {
  const { id, stream, revision, position, stored, at, actor, correlationId } = reading;
  return {
    position,
    id,
    type: stored.type,
    at,
    actor,
    correlationId,
    causationId: causeOf(reading),
    stream,
    revision,
    ...(withData ? { data: JSON.parse(stored.data) as unknown } : {}),
  };
}

/** What led to what, from the requests and events outside of the run down. */
export function causationTree(history: readonly StoredReading[]): CauseRoot[] {
  const nodes = new Map<string, CauseNode>();
  const roots = new Map<string, CauseRoot>();
  for (const reading of history) {
    const { id, position, stored, at, actor, correlationId } = reading;
    const node: CauseNode = { position, id, type: stored.type, at, actor, causes: [] };
    const causationId = causeOf(reading);
    // A cause comes before what it causes: whatever says otherwise is no cause of this run's.
    const parent = causationId === null ? undefined : nodes.get(causationId);
    if (parent) parent.causes.push(node);
    else rootOf(roots, causationId, correlationId).causes.push(node);
    nodes.set(id, node);
  }
  return [...roots.values()];
}

function rootOf(roots: Map<string, CauseRoot>, causationId: string | null, correlationId: string): CauseRoot {
  const key = JSON.stringify([causationId, correlationId]);
  const known = roots.get(key);
  if (known) return known;
  const root: CauseRoot = { causationId, correlationId, causes: [] };
  roots.set(key, root);
  return root;
}

function causeOf({ metadata }: StoredReading): string | null {
  const { causationId } = metadata;
  return causationId === undefined ? null : (EVENT_ID.exec(causationId)?.[0] ?? causationId);
}
