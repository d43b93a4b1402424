import type { JsonObject } from './view-store.js';
import type { Position } from './event-log.js';

/** A recorded event on its way to subscribers outside. */
export interface BusEvent {
  /** The event's id; a second publication of it within the deduplication window is dropped. */
  readonly id: string;
  /** `events.<system>.<tenant>.<type>`, every part escaped by `subjectToken` but the dots of the type. */
  readonly subject: string;
  readonly stream: string;
  readonly revision: number;
  readonly position: Position;
  readonly type: string;
  /** ISO 8601 UTC. */
  readonly at: string;
  readonly data: JsonObject;
  readonly metadata: JsonObject;
}

export interface BusSubscription {
  /** Stops delivery; a handler that runs is awaited. */
  stop(): Promise<void>;
}

/**
 * Carries every recorded event to downstream subscribers: at least once, in order per stream, deduplicated by id.
 * Subjects are dotted; `*` stands for one token and a last `>` for one or more.
 */
export abstract class EventBus {
  /** Resolves when the events are in the bus's keeping. @throws Unavailable */
  abstract publish(events: readonly BusEvent[]): Promise<void>;

  /**
   * Delivers matching events that are published from now on, one at a time and in order. A handler that rejects gets
   * the same event again after a pause; it holds up only its own subscription.
   */
  abstract subscribe(subject: string, handler: (event: BusEvent) => Promise<void>): Promise<BusSubscription>;

  abstract close(): Promise<void>;
}

/** Makes any text one token of a subject: everything but letters, digits, `-`, `_` and `:` becomes `%XX`. */
export function subjectToken(text: string): string {
  const bytes = Buffer.from(text, 'utf8');
  let token = '';
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    token += /[A-Za-z0-9_:-]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return token === '' ? '%' : token;
}

/** Whether `subject` falls under `pattern`. */
export function subjectMatches(pattern: string, subject: string): boolean {
  const wanted = pattern.split('.');
  const tokens = subject.split('.');
  for (const [index, token] of wanted.entries()) {
    if (token === '>') return tokens.length > index;
    if (tokens[index] === undefined || (token !== '*' && token !== tokens[index])) return false;
  }
  return tokens.length === wanted.length;
}
