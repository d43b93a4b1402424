import type { Decider } from './decider.js';
import type { DomainEvent } from './event-catalog.js';
import type { JsonObject } from './ports/view-store.js';

/** A decider of any shape, as registries hold it. */
// oxlint-disable-next-line typescript/no-explicit-any
export type AnyDecider = Decider<any, any, any>;

/** One kind of stream: how its events fold, and what of the state may be shown. */
export interface AggregateDefinition {
  /** What the names of its streams begin with: `<system>.<kind>-`, or the whole name where there is but one. */
  readonly prefix: string;
  readonly decider: AnyDecider;
  /** Whether every stream of the kind is about one run from its first event on. */
  readonly ofRun: boolean;
  /** The state for an auditor's eyes: JSON without secrets. Left out where nothing is to be shown. */
  // oxlint-disable-next-line typescript/no-explicit-any
  show?(state: any): JsonObject;
}

/** An aggregate with its types, which are checked here and forgotten in the registry. */
export function defineAggregate<State, Command, Event extends DomainEvent>(definition: {
  readonly prefix: string;
  readonly decider: Decider<State, Command, Event>;
  readonly ofRun: boolean;
  show?(state: State): JsonObject;
}): AggregateDefinition {
  return definition;
}

/** Finds the aggregate that a stream belongs to; undefined for one that nobody declares. */
export function aggregateOf(
  aggregates: readonly AggregateDefinition[],
  stream: string,
): AggregateDefinition | undefined {
  return aggregates.find(({ prefix }) => stream.startsWith(prefix));
}
