import type { SystemDefinition } from '../../kernel/system.js';
import { describedEvents, nameOf, schemaOf, type DescribedEvent, type JsonSchema } from './event-schemas.js';

const text: JsonSchema = { type: 'string' };
const nullableText: JsonSchema = { type: ['string', 'null'] };
const time: JsonSchema = { type: 'string', format: 'date-time' };
const whole = (minimum: number): JsonSchema => ({ type: 'integer', minimum });
const objectOf = (properties: Readonly<Record<string, JsonSchema>>, optional: readonly string[] = []): JsonSchema => ({
  type: 'object',
  properties,
  required: Object.keys(properties).filter((name) => !optional.includes(name)),
});

/** What a message of `/ledger/events/stream` holds, whatever its type: see `EventBody`. */
const envelope = objectOf({
  position: { ...whole(1), description: 'Place in the whole log: rising, with gaps. The id of the message.' },
  id: { ...text, format: 'uuid', description: 'Names the event: one that comes again has the same.' },
  type: text,
  system: text,
  tenant: nullableText,
  stream: text,
  revision: { ...whole(0), description: 'Place in its stream: 0, 1, 2 … without gaps.' },
  at: time,
  actor: { ...nullableText, description: 'Who acted; null when nobody was named.' },
  correlationId: { ...text, description: 'Shared by everything that followed from one request from outside.' },
  causationId: nullableText,
  traceparent: { ...nullableText, description: 'W3C trace context.' },
  commandId: nullableText,
  schemaVersion: { ...whole(1), description: 'Of data. Older events keep that of their time.' },
  hash: { ...text, description: 'SHA-256 in hex: closes the chain of the stream.' },
  data: { type: 'object' },
});

/** What a message on NATS holds: a CloudEvent 1.0 in structured mode. */
const cloudEvent = objectOf(
  {
    specversion: { const: '1.0' },
    id: { ...text, format: 'uuid' },
    source: { ...text, description: '`/<system>`' },
    type: text,
    subject: { ...text, description: 'The stream.' },
    time,
    datacontenttype: { const: 'application/json' },
    stream: text,
    revision: whole(0),
    position: { ...text, pattern: '^[0-9]+$' },
    metadata: { ...text, description: 'JSON of what is known of the event beside its data.' },
    tenant: text,
    traceparent: text,
    data: { type: 'object' },
  },
  ['tenant', 'traceparent'],
);

const ref = (path: string): JsonSchema => ({ $ref: `#/${path}` });

/**
 * The AsyncAPI 3 document of everything that is published, made from the contracts. One channel holds all events as
 * Server-Sent Events; on NATS every system has one.
 */
export function describeEvents(systems: readonly Pick<SystemDefinition, 'name' | 'events'>[]): JsonSchema {
  const events = describedEvents(systems);
  const names = [...new Set(events.flatMap((event) => event.systems))].sort();
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Runledger events',
      version: '0.1.0',
      description:
        'Every event of every system, at least once, in order per stream. An event that comes again is known by its id. A consumer passes over types that it does not know, and fields too: new ones are no new version.',
    },
    defaultContentType: 'application/json',
    servers: {
      http: {
        host: '{host}',
        protocol: 'http',
        description: 'The service itself.',
        variables: { host: { default: '127.0.0.1:3000' } },
        security: [ref('components/securitySchemes/token')],
      },
      nats: {
        host: '{host}',
        protocol: 'nats',
        description: 'JetStream, where the service was given a NATS server.',
        variables: { host: { default: '127.0.0.1:4222' } },
      },
    },
    channels: {
      stream: {
        address: '/ledger/events/stream',
        title: 'All events, as Server-Sent Events',
        description:
          'The id of a message is its position: `Last-Event-ID` goes on after it without a gap. Filters are query parameters: see the OpenAPI document.',
        servers: [ref('servers/http')],
        messages: Object.fromEntries(events.map((event) => [nameOf(event), ref(messagePath(event))])),
      },
      ...Object.fromEntries(names.map((system) => [system, natsChannel(system, events)])),
    },
    operations: {
      stream: { action: 'send', channel: ref('channels/stream'), summary: 'Whatever is recorded, to who listens' },
      ...Object.fromEntries(
        names.map((system) => [
          system,
          { action: 'send', channel: ref(`channels/${system}`), summary: `Whatever is recorded of ${system}` },
        ]),
      ),
    },
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'A token with the scope read.' },
      },
      messages: Object.fromEntries(
        events.flatMap((event) => [
          [nameOf(event), message(event)],
          [`cloudevent.${nameOf(event)}`, cloudMessage(event)],
        ]),
      ),
      schemas: {
        envelope,
        cloudevent: cloudEvent,
        ...Object.fromEntries(events.map((event) => [nameOf(event), schemaOf(event.definition)])),
      },
    },
  };
}

function natsChannel(system: string, events: readonly DescribedEvent[]): JsonSchema {
  const own = events.filter(({ systems }) => systems.includes(system));
  return {
    address: `events.${system}.{tenant}.{type}`,
    title: `Events of ${system}, on NATS`,
    parameters: {
      tenant: { description: 'Whose event it is; what is no letter, digit, `-`, `_` or `:` is written as %XX.' },
      type: { description: 'The type, with its dots: `run.>` is everything about runs.' },
    },
    servers: [ref('servers/nats')],
    messages: Object.fromEntries(own.map((event) => [nameOf(event), ref(messagePath(event, 'cloudevent.'))])),
  };
}

function message(event: DescribedEvent): JsonSchema {
  const { type, version } = event.definition;
  return {
    name: type,
    title: `${type}, version ${version}`,
    contentType: 'application/json',
    payload: {
      allOf: [
        ref('components/schemas/envelope'),
        {
          properties: {
            type: { const: type },
            schemaVersion: { const: version },
            data: ref(`components/schemas/${nameOf(event)}`),
          },
        },
      ],
    },
  };
}

function cloudMessage(event: DescribedEvent): JsonSchema {
  const { type, version } = event.definition;
  return {
    name: type,
    title: `${type}, version ${version}, as a CloudEvent`,
    contentType: 'application/cloudevents+json',
    payload: {
      allOf: [
        ref('components/schemas/cloudevent'),
        { properties: { type: { const: type }, data: ref(`components/schemas/${nameOf(event)}`) } },
      ],
    },
  };
}

function messagePath(event: DescribedEvent, prefix = ''): string {
  return `components/messages/${prefix}${nameOf(event)}`;
}
