import type { EventLog, Position } from '../../kernel/ports/event-log.js';

/** So many events that were not folded yet are counted; more are estimated. */
const COUNTED = 1_000;

export interface Lag {
  readonly events: number;
  readonly exact: boolean;
  /** Age of the oldest event that is not folded yet; 0 when there is none. */
  readonly seconds: number;
}

/**
 * How far behind the log's end a position is.
 *
 * @param now Wall time in ms.
 */
export async function lagOf(log: EventLog, position: Position, head: Position, now: number): Promise<Lag> {
  if (position >= head) return { events: 0, exact: true, seconds: 0 };
  const missing = await log.readAll(position, { limit: COUNTED });
  const [oldest] = missing;
  const last = missing.at(-1);
  if (!oldest || !last) return { events: 0, exact: true, seconds: 0 };
  const { at } = JSON.parse(oldest.metadata) as { at?: string };
  const recorded = Date.parse(at ?? '');
  const seconds = Number.isNaN(recorded) ? 0 : Math.max(0, now - recorded) / 1_000;
  if (missing.length < COUNTED) return { events: missing.length, exact: true, seconds };
  // Positions are sparse, but about as sparse everywhere.
  const share = (head - position) / Math.max(1, last.position - position);
  return { events: Math.max(COUNTED, Math.round(COUNTED * share)), exact: false, seconds };
}
