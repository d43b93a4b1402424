import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidSettings } from '../kernel/errors.js';
import { createLogger } from '../kernel/logger.js';
import type { EventLog } from '../kernel/ports/event-log.js';
import { EventStoreDbEventLog } from './eventstoredb/eventstoredb-event-log.js';
import { SqliteStore } from './sqlite/sqlite-store.js';
import { SystemClock } from './system/system-clock.js';

/**
 * Opens a log by its place alone, for tools: an `esdb://` URL or a data folder.
 *
 * @param mustExist Whether a folder without a log is refused, rather than given one.
 * @throws InvalidSettings when the folder holds no log, or another process has it open.
 */
export async function openLog(place: string, { mustExist = false } = {}): Promise<EventLog> {
  const clock = new SystemClock();
  if (place.includes('://')) return EventStoreDbEventLog.connect(place, { clock, logger: createLogger('warn') });
  if (mustExist && !existsSync(join(place, 'runledger.db'))) {
    throw new InvalidSettings(`The folder ${place} holds no log: runledger.db is missing`);
  }
  const store = await SqliteStore.open({ folder: place, clock });
  // The lock and the reader are the store's, and end with the log.
  return Object.assign(store.log, { close: () => store.close() });
}
