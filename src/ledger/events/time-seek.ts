import { Refused } from '../../kernel/errors.js';
import { START, type EventLog, type Position } from '../../kernel/ports/event-log.js';
import { LedgerEvent } from './ledger-event.js';

/** Clocks of processes differ, and are set; positions are the log's order. Further apart than this they never are. */
const CLOCKS_DIFFER_MS = 24 * 3_600_000;

/** Positions outside of which nothing was recorded in a range of time: both are exclusive. */
export interface Span {
  readonly after: Position;
  readonly before: Position;
}

/**
 * Narrows a range of time down to one of positions, with a day to spare at both ends, by some twenty looks at the log.
 * A log that cannot be asked for any position (see `EventLog.readAll` of its adapter) is not narrowed down.
 */
export async function spanOf(log: EventLog, fromMs: number | undefined, toMs: number | undefined): Promise<Span> {
  const [after] = fromMs === undefined ? [START] : await turningPoint(log, fromMs - CLOCKS_DIFFER_MS);
  const [, before] = toMs === undefined ? [START, Infinity] : await turningPoint(log, toMs + CLOCKS_DIFFER_MS);
  return { after, before };
}

/** Positions of two events: that at the first was recorded before `ms`, and what is at the second or later was not. */
async function turningPoint(log: EventLog, ms: number): Promise<[Position, Position]> {
  let [newest] = await log.readAll(Infinity, { backwards: true, limit: 1 });
  if (!newest || timeOf(newest) < ms) return [newest?.position ?? START, Infinity];
  let [earlier, later, turned] = [START, newest.position, newest.position];
  try {
    while (later - earlier > 1) {
      const middle = Math.floor((earlier + later) / 2);
      [newest] = await log.readAll(middle, { limit: 1 });
      if (newest && newest.position <= later && timeOf(newest) < ms) {
        earlier = newest.position;
      } else {
        later = middle;
        turned = Math.min(turned, newest?.position ?? Infinity);
      }
    }
  } catch (error) {
    if (error instanceof Refused) return [START, Infinity];
    throw error;
  }
  return [earlier, turned];
}

/** What has no time does not lead astray: it counts as recorded at the beginning. */
function timeOf(stored: LedgerEvent['stored']): number {
  const ms = Date.parse(new LedgerEvent(stored).metadata.at ?? '');
  return Number.isNaN(ms) ? -Infinity : ms;
}
