import { InvalidEvent, TooLarge } from './errors.js';
import { MAX_APPEND_BYTES, MAX_STREAM_NAME, type SealedEvent } from './ports/event-log.js';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
// oxlint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/;

/** Events whose texts were made here, and therefore are what they must be. */
const made = new WeakSet<SealedEvent>();

/** An event whose texts come straight from `canonicalJson`: they need not be parsed again to be believed. */
export function sealed(event: SealedEvent): SealedEvent {
  made.add(event);
  return event;
}

/**
 * What every adapter checks before it sends anything: some stores answer a bad event by breaking the connection.
 *
 * @throws InvalidEvent, TooLarge as `EventLog.append` promises.
 */
export function assertAppendable(stream: string, events: readonly SealedEvent[]): void {
  if (stream === '' || stream.length > MAX_STREAM_NAME)
    throw new InvalidEvent(`A stream name has 1 to ${MAX_STREAM_NAME} characters`);
  // Stores keep UTF-8: a lone surrogate would come back as another character, and the chain would not verify.
  if (stream.startsWith('$') || CONTROL.test(stream) || !stream.isWellFormed())
    throw new InvalidEvent(`Not a stream name: ${JSON.stringify(stream)}`);
  if (events.length === 0) throw new InvalidEvent('An append needs at least one event');
  let bytes = 0;
  for (const event of events) {
    if (!UUID.test(event.id))
      throw new InvalidEvent(`An event id is a UUID in lower case, not ${JSON.stringify(event.id)}`);
    if (event.type === '' || event.type.startsWith('$') || !event.type.isWellFormed())
      throw new InvalidEvent(`Not an event type: ${JSON.stringify(event.type)}`);
    if (!made.has(event)) {
      assertJsonObject('data', event.data);
      assertJsonObject('metadata', event.metadata);
    }
    bytes += Buffer.byteLength(event.data);
  }
  if (bytes > MAX_APPEND_BYTES)
    throw new TooLarge(`An append carries ${bytes} bytes of data, more than ${MAX_APPEND_BYTES}`, MAX_APPEND_BYTES);
}

function assertJsonObject(what: string, text: string): void {
  if (!text.isWellFormed()) throw new InvalidEvent(`Event ${what} holds a lone surrogate that is not escaped`);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return;
  } catch (cause) {
    throw new InvalidEvent(`Event ${what} is not JSON`, { cause });
  }
  throw new InvalidEvent(`Event ${what} is not a JSON object`);
}
