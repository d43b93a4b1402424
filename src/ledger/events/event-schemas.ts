import { z } from 'zod';
import type { EventDefinition } from '../../../contracts/define-event.js';
import { ledgerEvents } from '../../../contracts/runledger/ledger.events.js';
import { webhookEvents } from '../../../contracts/webhook.events.js';
import type { SystemDefinition } from '../../kernel/system.js';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** An event of the published language, as it is described to those who read it. */
export interface DescribedEvent {
  /** The folder below `contracts` that its schema and samples lie in. */
  readonly folder: string;
  /** Systems in whose streams it is found. */
  readonly systems: readonly string[];
  readonly definition: EventDefinition;
}

const SHARED = 'webhooks';

/** Every event that is written, those that all systems share once. Sorted, so that documents made of it stay as they are. */
export function describedEvents(systems: readonly Pick<SystemDefinition, 'name' | 'events'>[]): DescribedEvent[] {
  const shared = systems.map(({ name }) => name).sort();
  const described = [
    ...ledgerEvents.map((definition) => ({ folder: 'runledger', systems: ['runledger'], definition })),
    ...webhookEvents.map((definition) => ({ folder: SHARED, systems: shared, definition })),
    ...systems.flatMap(({ name, events }) =>
      events.map((definition) => ({ folder: name, systems: [name], definition })),
    ),
  ];
  return described.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

/** Names an event among all of them: `<folder>.<type>`. */
export function nameOf({ folder, definition }: Pick<DescribedEvent, 'folder' | 'definition'>): string {
  return `${folder}.${definition.type}`;
}

/** The JSON Schema (draft 7) of an event's data, in the version that is written today. */
export function schemaOf({ data }: Pick<EventDefinition, 'data'>): JsonSchema {
  // What may be written: fields that later versions add are no error to who knows this one only.
  const { $schema: _, ...schema } = z.toJSONSchema(data, { target: 'draft-7', io: 'input' });
  return schema;
}

/** The same as a document of its own. */
export function schemaDocument(event: DescribedEvent): JsonSchema {
  const { folder, definition } = event;
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    $id: `urn:runledger:${folder}:${definition.type}:${definition.version}`,
    title: definition.type,
    ...schemaOf(definition),
  };
}
