import { LRUCache } from 'lru-cache';

/** Enough for what a sender repeats in days; the oldest are forgotten first. */
const MAX_KNOWN = 100_000;

/**
 * The deliveries that one process has taken, by id. What must hold beyond it belongs into the log: see `asDelivery`.
 */
export class KnownDeliveries {
  private readonly known: LRUCache<string, Promise<unknown>>;

  constructor(max = MAX_KNOWN) {
    this.known = new LRUCache({ max });
  }

  /**
   * Handles a delivery unless it was handled before. One that comes while it is being handled waits for the outcome.
   * A failure is forgotten: whoever sends it again gets it handled.
   *
   * @returns whether it was handled by this call.
   * @throws what `handle` throws, to all who wait for it.
   */
  async once(id: string, handle: () => Promise<void>): Promise<boolean> {
    const known = this.known.get(id);
    if (known) {
      await known;
      return false;
    }
    const handling = handle();
    this.known.set(id, handling);
    try {
      await handling;
      return true;
    } catch (error) {
      if (this.known.get(id) === handling) this.known.delete(id);
      throw error;
    }
  }
}
