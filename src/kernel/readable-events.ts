import type { Logger } from 'pino';
import type { EventCatalog, StoredReading } from './event-catalog.js';
import type { Metrics } from './metrics.js';
import type { StoredEvent } from './ports/event-log.js';

/**
 * What effects read of the log. A view that cannot read an event stops, because it can go on later as if nothing had
 * been. An effect must not guess, so it does nothing for such an event; and others wait for what follows, so it goes on.
 */
export class ReadableEvents {
  constructor(
    private readonly catalog: EventCatalog,
    private readonly metrics: Metrics,
    private readonly logger: Logger,
  ) {}

  /** An event that is what its contract says. Anything else is reported, and undefined. */
  read(stored: StoredEvent, effect: string): StoredReading | undefined {
    try {
      return this.catalog.read(stored).check();
    } catch (error) {
      const { position, stream, revision, type } = stored;
      this.metrics.unreadable.inc({ effect });
      this.logger.error({ err: error, effect, position, stream, revision, type }, 'unreadable event passed over');
      return undefined;
    }
  }
}
