import { aggregateOf, type AggregateDefinition } from '../aggregate.js';
import { systemOf, type DomainEvent, type Recorded } from '../event-catalog.js';
import type { View } from '../views/view.js';

/** What a system's events say about its runs. An event about a run names it in `data.runId`. */
export interface RunRules {
  /**
   * The event types that begin a run, change its state, or are about it in a stream that is not its own. Few of them:
   * each writes to the index of all runs.
   */
  readonly types: readonly string[];
  /**
   * The state that an event brings a run to, in the words of the system's API; undefined when it leaves it as it is.
   *
   * @param before Null where none is known yet.
   */
  state(event: DomainEvent, before: string | null): string | undefined;
  /** What the keys of a run's artifacts begin with. */
  artifacts(runId: string): readonly string[];
}

/** A run of any system, as far as an index needs to know it. Small: it is written whenever the state changes. */
export interface RunIndexDoc {
  readonly system: string;
  readonly tenant: string;
  readonly runId: string;
  /** Null while nothing is known but that somebody spoke of it. */
  readonly state: string | null;
  /** When it was first heard of, and when its state changed last; ISO 8601 UTC. */
  readonly createdAt: string;
  readonly stateSince: string;
  /** Streams that are about this run from their first event on. */
  readonly streams: readonly string[];
  /** Events about it in streams that are about other things, too: stream and revision. */
  readonly mentions: readonly (readonly [stream: string, revision: number])[];
}

export function runKey(system: string, runId: string): string {
  return `${system}:${runId.toWellFormed()}`;
}

/** One index over the runs of all systems. */
export function runIndexView(
  rules: ReadonlyMap<string, RunRules>,
  aggregates: readonly AggregateDefinition[],
  everywhere: readonly string[],
): View<RunIndexDoc> {
  const rulesOf = ({ stream, event }: Recorded): RunRules | undefined => {
    const own = rules.get(systemOf(stream));
    return own && (own.types.includes(event.type) || everywhere.includes(event.type)) ? own : undefined;
  };
  return {
    name: 'runledger.runs',
    version: 1,
    indexes: [{ fields: ['createdAt'] }, { fields: ['tenant', 'createdAt'] }, { fields: ['state', 'createdAt'] }],
    types: [...new Set([...[...rules.values()].flatMap(({ types }) => types), ...everywhere])],
    keys(recorded) {
      const { runId } = about(recorded);
      return runId !== undefined && rulesOf(recorded) ? [runKey(systemOf(recorded.stream), runId)] : [];
    },
    evolve(doc, recorded) {
      const { runId = '', tenant } = about(recorded);
      const { stream, revision, at, event } = recorded;
      const before = doc ?? begun(systemOf(stream), tenant, runId, at);
      const state = rulesOf(recorded)?.state(event, before.state) ?? before.state;
      const known = before.streams.includes(stream);
      const own = known || aggregateOf(aggregates, stream)?.ofRun === true;
      if (state === before.state && known) return before;
      return {
        ...before,
        ...(state === before.state ? {} : { state, stateSince: at }),
        streams: own && !known ? [...before.streams, stream] : before.streams,
        mentions: own ? before.mentions : [...before.mentions, [stream, revision]],
      };
    },
  };
}

function about({ event }: Recorded): { readonly runId: string | undefined; readonly tenant: string } {
  const { runId, tenant } = event.data as { runId?: unknown; tenant?: unknown };
  return {
    runId: typeof runId === 'string' && runId !== '' ? runId : undefined,
    tenant: typeof tenant === 'string' ? tenant : 'runledger',
  };
}

function begun(system: string, tenant: string, runId: string, at: string): RunIndexDoc {
  return { system, tenant, runId, state: null, createdAt: at, stateSince: at, streams: [], mentions: [] };
}
