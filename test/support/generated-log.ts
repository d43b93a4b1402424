import { canonicalJson } from '../../src/kernel/canonical-json.js';
import type { Decider } from '../../src/kernel/decider.js';
import { Refused } from '../../src/kernel/errors.js';
import { systemOf, type DomainEvent, type EventCatalog } from '../../src/kernel/event-catalog.js';
import type { StoredEvent } from '../../src/kernel/ports/event-log.js';

const START_MS = Date.UTC(2026, 0, 30);

interface Stream {
  state: unknown;
  revision: number;
}

/** A log in memory that grows by what deciders accept: any sequence of commands gives one that could have been. */
export class GeneratedLog {
  readonly events: StoredEvent[] = [];
  private readonly streams = new Map<string, Stream>();
  private ms = START_MS;

  constructor(private readonly catalog: EventCatalog) {}

  /** Lets time pass between two commands. */
  pass(ms: number): void {
    this.ms += ms;
  }

  get at(): string {
    return new Date(this.ms).toISOString();
  }

  state<State, Command, Event extends DomainEvent>(decider: Decider<State, Command, Event>, stream: string): State {
    return (this.streams.get(stream)?.state as State | undefined) ?? decider.initial;
  }

  /** Carries out a command. @returns whether it was not refused. */
  command<State, Command, Event extends DomainEvent>(
    decider: Decider<State, Command, Event>,
    stream: string,
    command: Command,
  ): boolean {
    const { at } = this;
    let state = this.state(decider, stream);
    let decided: readonly Event[];
    try {
      decided = decider.decide(command, state, at);
    } catch (error) {
      if (error instanceof Refused) return false;
      throw error;
    }
    for (const event of decided) {
      const revision = (this.streams.get(stream)?.revision ?? -1) + 1;
      this.events.push(this.stored(stream, revision, event));
      state = decider.evolve(state, event, at);
      this.streams.set(stream, { state, revision });
    }
    return true;
  }

  private stored(stream: string, revision: number, event: DomainEvent): StoredEvent {
    const schemaVersion = this.catalog.check(systemOf(stream), event);
    const { tenant } = event.data as { tenant: string };
    // Sparse, as some logs are.
    const position = this.events.length * 3 + 1;
    return {
      id: `01900000-0000-7000-8000-${position.toString(16).padStart(12, '0')}`,
      stream,
      revision,
      position,
      type: event.type,
      data: canonicalJson(event.data),
      metadata: canonicalJson({
        at: this.at,
        schemaVersion,
        tenant,
        correlationId: 'c',
        actor: revision % 2 ? 'ada' : undefined,
      }),
      hash: '',
    };
  }
}
