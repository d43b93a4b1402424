import type { DomainEvent } from './event-catalog.js';

/**
 * The rules of one aggregate, as pure functions.
 *
 * `at` is the time of the decision (ISO 8601 UTC) and the recorded time of its events: `evolve` is given the very text
 * that `decide` was given, live and in every replay. A repeated command gives no events, or refuses.
 */
export interface Decider<State, Command, Event extends DomainEvent> {
  readonly initial: State;
  /** True where the last event of the stream alone tells the state: then no more of it is read. @default false */
  readonly lastEventOnly?: boolean;
  /** @throws Refused when the command is not allowed in this state. */
  decide(command: Command, state: State, at: string): readonly Event[];
  /** Never throws, reads no clock. */
  evolve(state: State, event: Event, at: string): State;
}
