import { canonicalJson } from '../../src/kernel/canonical-json.js';
import type { EventLog } from '../../src/kernel/ports/event-log.js';
import { sealedEvent } from './sealed-event.js';

/** What a test says of an event; the rest is made up. */
export interface Happening {
  /** @default `alpha.thing-1` */
  readonly stream?: string;
  /** @default `thing.happened` */
  readonly type?: string;
  /** @default `acme`; null for an event that names no tenant */
  readonly tenant?: string | null;
  readonly actor?: string;
  readonly correlationId?: string;
  readonly causationId?: string;
  /** @default 2026-01-01T00:00:00.000Z */
  readonly at?: string;
  readonly data?: object;
}

/** Records events one by one, whatever the log holds already. @returns their positions. */
export async function record(log: EventLog, happenings: readonly Happening[]): Promise<number[]> {
  const positions: number[] = [];
  for (const happening of happenings) {
    const { stream = 'alpha.thing-1', type = 'thing.happened', tenant = 'acme', data = {}, ...named } = happening;
    const [last] = await log.readStream(stream, { backwards: true, limit: 1 });
    const metadata = canonicalJson({
      at: '2026-01-01T00:00:00.000Z',
      correlationId: 'none',
      schemaVersion: 1,
      ...(tenant === null ? {} : { tenant }),
      ...named,
    });
    const event = sealedEvent({ type, metadata, data: canonicalJson(data) });
    positions.push((await log.append(stream, last?.revision ?? 'none', [event])).position);
  }
  return positions;
}
