import { expect } from '@jest/globals';
import type { Decider } from '../../src/kernel/decider.js';
import { Refused, type RefusalKind } from '../../src/kernel/errors.js';
import type { DomainEvent } from '../../src/kernel/event-catalog.js';

/** When what is given happened, and a second and a half later, when it is decided. */
export const BEFORE = '2026-01-01T00:00:00.000Z';
export const NOW = '2026-01-01T00:00:01.500Z';

interface Decision<Event> {
  /** Exactly these events, in this order. */
  gives(...events: Event[]): void;
  /** The events' types, where the data is not the point. */
  givesTypes(...types: string[]): void;
  refuses(kind: RefusalKind, message?: string, details?: object): void;
  /** No events: the command is out of date, or has been carried out. */
  changesNothing(): void;
}

/** `given(decider, ...events).when(command).gives(...)`: a rule, as one sentence. */
export function given<State, Command, Event extends DomainEvent>(
  decider: Decider<State, Command, Event>,
  ...events: readonly Event[]
): { readonly state: State; when(command: Command, at?: string): Decision<Event> } {
  const state = events.reduce((before, event) => decider.evolve(before, event, BEFORE), decider.initial);
  return {
    state,
    when(command, at = NOW) {
      const decide = (): readonly Event[] => decider.decide(command, state, at);
      return {
        gives: (...expected) => expect(decide()).toEqual(expected),
        givesTypes: (...types) => expect(decide().map(({ type }) => type)).toEqual(types),
        changesNothing: () => expect(decide()).toEqual([]),
        refuses(kind, message, details) {
          const refusal = refusalOf(decide);
          expect(refusal?.kind).toBe(kind);
          if (message !== undefined) expect(refusal?.message).toBe(message);
          if (details !== undefined) expect(refusal?.details).toEqual(details);
        },
      };
    },
  };
}

function refusalOf(decide: () => unknown): Refused | undefined {
  try {
    decide();
    return undefined;
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
}
