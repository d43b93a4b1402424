import { Refused } from './errors.js';
import type { EventLog, Position } from './ports/event-log.js';

/**
 * Whether the log can be read on from a position that was kept elsewhere. Not so after a log was copied from another
 * store, or put back from an old backup: positions are a store's own.
 *
 * @throws Unavailable
 */
export async function isReadableFrom(log: EventLog, position: Position): Promise<boolean> {
  if (position > (await log.head())) return false;
  try {
    await log.readAll(position, { limit: 1 });
    return true;
  } catch (error) {
    if (error instanceof Refused) return false;
    throw error;
  }
}
