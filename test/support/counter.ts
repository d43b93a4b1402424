import { z } from 'zod';
import { defineEvent, type EventOf } from '../../contracts/define-event.js';
import type { Decider } from '../../src/kernel/decider.js';
import { Refused } from '../../src/kernel/errors.js';
import type { View } from '../../src/kernel/views/view.js';

const scope = z.object({ system: z.literal('sample'), tenant: z.string(), counter: z.string() });

export const counterAdded = defineEvent('counter.added', { version: 1, data: scope.extend({ by: z.number().int() }) });
export const counterClosed = defineEvent('counter.closed', { version: 1, data: scope });
export const counterEvents = [counterAdded, counterClosed] as const;
export type CounterEvent = EventOf<(typeof counterEvents)[number]>;

export type CounterCommand =
  | { readonly type: 'add'; readonly counter: string; readonly by: number }
  | { readonly type: 'close'; readonly counter: string };

export interface CounterState {
  readonly total: number;
  readonly open: boolean;
  /** Of the last event. */
  readonly at: string | null;
}

export const counterStream = (counter: string): string => `sample.counter-${counter}`;

/** The smallest aggregate that has something to refuse: a closed counter is added to no more. */
export const counterDecider: Decider<CounterState, CounterCommand, CounterEvent> = {
  initial: { total: 0, open: true, at: null },

  decide(command, state) {
    const data = { system: 'sample', tenant: 'acme', counter: command.counter } as const;
    switch (command.type) {
      case 'add':
        if (!state.open) throw new Refused('conflict', 'The counter is closed');
        return command.by === 0 ? [] : [{ type: 'counter.added', data: { ...data, by: command.by } }];
      case 'close':
        return state.open ? [{ type: 'counter.closed', data }] : [];
    }
  },

  evolve(state, event, at) {
    switch (event.type) {
      case 'counter.added':
        return { ...state, total: state.total + event.data.by, at };
      case 'counter.closed':
        return { ...state, open: false, at };
    }
  },
};

/** One document per counter. */
export interface CounterDoc {
  readonly counter: string;
  readonly total: number;
  readonly changes: number;
}

export const counterView: View<CounterDoc, CounterEvent> = {
  name: 'sample.counter',
  version: 1,
  indexes: [{ fields: ['total'] }],
  types: ['counter.added'],
  keys: ({ event }) => [event.data.counter],

  evolve(doc, { event }) {
    const { counter } = event.data;
    const { total, changes } = doc ?? { total: 0, changes: 0 };
    return event.type === 'counter.added'
      ? { counter, total: total + event.data.by, changes: changes + 1 }
      : (doc ?? null);
  },
};
