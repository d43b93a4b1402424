import type { Logger } from 'pino';
import type { Cursors } from './cursors.js';
import { Effect } from './effect.js';
import { systemOf, type EventMetadata } from './event-catalog.js';
import type { Clock } from './ports/clock.js';
import { subjectToken, type BusEvent, type EventBus } from './ports/event-bus.js';
import { START, type EventLog, type StoredEvent } from './ports/event-log.js';
import type { JsonObject } from './ports/view-store.js';

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

export function toBusEvent({ id, stream, revision, position, type, data, metadata }: StoredEvent): BusEvent {
  const facts = JSON.parse(metadata) as EventMetadata;
  return {
    id,
    subject: subjectOf(systemOf(stream), facts.tenant, type),
    stream,
    revision,
    position,
    type,
    at: facts.at,
    data: JSON.parse(data) as JsonObject,
    metadata: JSON.parse(metadata) as JsonObject,
  };
}
