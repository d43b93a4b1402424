import type { BusEvent } from '../../kernel/ports/event-bus.js';
import type { JsonObject } from '../../kernel/ports/view-store.js';

/** What a message with a whole CloudEvent in its body says of itself. */
export const CLOUD_EVENT_TYPE = 'application/cloudevents+json; charset=utf-8';

/**
 * A recorded event as a CloudEvent 1.0 in JSON (structured mode), as subscribers in any language read it.
 *
 * `source` with `id` names it; `source` is `/<system>` and `subject` the stream. The names of extensions are lower-case
 * letters only, and their values no objects: so `metadata` is a JSON text. `position` is decimal digits, because an
 * integer of CloudEvents ends at 2,147,483,647.
 */
export interface CloudEvent {
  readonly specversion: '1.0';
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly data: JsonObject;
  readonly stream: string;
  /** Place in its stream, from 0: a gap tells a subscriber that it has missed something. */
  readonly revision: number;
  readonly position: string;
  readonly metadata: string;
  readonly tenant?: string;
  /** W3C trace context, after the extension "Distributed Tracing". */
  readonly traceparent?: string;
}

export function toCloudEvent(event: BusEvent): CloudEvent {
  const { id, subject, stream, revision, position, type, at, data, metadata } = event;
  const { tenant, traceparent } = metadata;
  return {
    specversion: '1.0',
    id,
    // A token of a subject holds no character that a URI reference may not hold.
    source: `/${subject.split('.')[1] ?? ''}`,
    type,
    subject: stream,
    time: at,
    datacontenttype: 'application/json',
    data,
    stream,
    revision,
    position: String(position),
    metadata: JSON.stringify(metadata),
    ...(typeof tenant === 'string' ? { tenant } : {}),
    ...(typeof traceparent === 'string' ? { traceparent } : {}),
  };
}

/** @param subject The NATS subject that the CloudEvent came on. */
export function fromCloudEvent(cloudEvent: CloudEvent, subject: string): BusEvent {
  const { id, stream, revision, position, type, time, data, metadata } = cloudEvent;
  return {
    id,
    subject,
    stream,
    revision,
    position: Number(position),
    type,
    at: time,
    data,
    metadata: JSON.parse(metadata) as JsonObject,
  };
}
