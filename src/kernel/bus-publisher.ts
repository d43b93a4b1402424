import type { Logger } from 'pino';
import type { Cursors } from './cursors.js';
import { Effect } from './effect.js';
import { systemOf, type EventMetadata } from './event-catalog.js';
import type { Clock } from './ports/clock.js';
import { subjectToken, type BusEvent, type EventBus } from './ports/event-bus.js';
import { START, type EventLog, type Position, type StoredEvent } from './ports/event-log.js';
import type { JsonObject } from './ports/view-store.js';

/** Whose event it is when its metadata does not say. */
const NOBODY = 'runledger';

/** Hands every recorded event to the bus, in the log's order. */
export class BusPublisher {
  private readonly effect: Effect;

  constructor(log: EventLog, bus: EventBus, cursors: Cursors, clock: Clock, logger: Logger) {
    this.effect = new Effect(log, cursors, clock, logger, {
      name: 'bus',
      begin: async () => START,
      handle: (batch) => bus.publish(batch.map(toBusEvent)),
    });
  }

  start(): Promise<void> {
    return this.effect.start();
  }

  close(): Promise<void> {
    return this.effect.close();
  }
}

/** `events.<system>.<tenant>.<type>`; the dots of the type stay, so that `events.*.*.run.>` is all about runs. */
export function subjectOf(system: string, tenant: string, type: string): string {
  return `events.${subjectToken(system)}.${subjectToken(tenant)}.${type.split('.').map(subjectToken).join('.')}`;
}

/** A recorded event as the bus carries it. Its texts are parsed when a subscriber looks: often there is none. */
class LoggedEvent implements BusEvent {
  private facts: EventMetadata | undefined;

  constructor(private readonly stored: StoredEvent) {}

  get id(): string {
    return this.stored.id;
  }
  get stream(): string {
    return this.stored.stream;
  }
  get revision(): number {
    return this.stored.revision;
  }
  get position(): Position {
    return this.stored.position;
  }
  get type(): string {
    return this.stored.type;
  }
  get subject(): string {
    const { tenant } = this.known as { tenant?: unknown };
    return subjectOf(systemOf(this.stream), typeof tenant === 'string' ? tenant : NOBODY, this.type);
  }
  get at(): string {
    return this.known.at;
  }
  get data(): JsonObject {
    return JSON.parse(this.stored.data) as JsonObject;
  }
  get metadata(): JsonObject {
    return { ...this.known };
  }

  private get known(): EventMetadata {
    return (this.facts ??= JSON.parse(this.stored.metadata) as EventMetadata);
  }
}

export function toBusEvent(stored: StoredEvent): BusEvent {
  return new LoggedEvent(stored);
}
