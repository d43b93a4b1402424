import type { Clock } from '../ports/clock.js';
import type { Position } from '../ports/event-log.js';
import { Signal, Slots } from '../signal.js';

/** How long a stop waits for attempts that run. */
const STOP_GRACE_MS = 2_000;

/** Something to deliver. */
export interface Queued {
  readonly id: string;
  /** Deliveries of one lane go out one after the other. */
  readonly lane: string;
  /** Where to read on from to meet its event again: the event before. */
  readonly after: Position;
  /** Steady time before which no attempt is made. */
  due: number;
}

export interface LanesOptions<Item extends Queued> {
  /** Lanes that are sent at the same time. */
  readonly concurrency: number;
  /** Asked before each attempt: another process may have the duty. */
  readonly mayAct: () => boolean;
  /** Makes one attempt. Afterwards the item is removed, or due later. */
  readonly attempt: (item: Item) => Promise<void>;
  readonly onError: (error: unknown, lane: string) => void;
}

/** Deliveries that wait, in lanes: one that fails holds up only its own lane. */
export class Lanes<Item extends Queued> {
  private readonly pending = new Map<string, Item>();
  private readonly lanes = new Map<string, Item[]>();
  private readonly running = new Set<Promise<void>>();
  private readonly hurries = new Map<string, AbortController>();
  private readonly stop = new AbortController();
  private readonly freed = new Signal();
  private readonly slots: Slots;
  private begun = false;

  constructor(
    private readonly clock: Clock,
    private readonly options: LanesOptions<Item>,
  ) {
    this.slots = new Slots(options.concurrency);
  }

  /** Fires when the lanes close. */
  get stopped(): AbortSignal {
    return this.stop.signal;
  }

  /** Whether anything is sent yet. */
  get sending(): boolean {
    return this.begun;
  }

  get size(): number {
    return this.pending.size;
  }

  get(id: string): Item | undefined {
    return this.pending.get(id);
  }

  /** Puts an item at the end of its lane. */
  add(item: Item): void {
    this.pending.set(item.id, item);
    const lane = this.lanes.get(item.lane);
    if (lane) {
      lane.push(item);
      return;
    }
    this.lanes.set(item.lane, [item]);
    if (this.begun) this.run(item.lane);
  }

  /** The item is over. */
  remove(item: Item): void {
    this.pending.delete(item.id);
    this.freed.fire();
    const lane = (this.lanes.get(item.lane) ?? []).filter(({ id }) => id !== item.id);
    // An empty lane that is being sent is removed by its own loop: two loops would send everything twice.
    if (lane.length > 0 || this.begun) this.lanes.set(item.lane, lane);
    else this.lanes.delete(item.lane);
  }

  /** Its due time has changed: whoever waits for it looks again. */
  hurry({ lane }: Item): void {
    this.hurries.get(lane)?.abort();
  }

  begin(): void {
    if (this.begun) return;
    this.begun = true;
    for (const lane of this.lanes.keys()) this.run(lane);
  }

  /** Everything up to here is over, given that `read` is the last position that was read. */
  settledUpTo(read: Position): Position {
    let settled = read;
    for (const { after } of this.pending.values()) settled = Math.min(settled, after);
    return settled;
  }

  /** Waits until no more than `max` are pending, or the lanes close. */
  async room(max: number): Promise<void> {
    while (this.pending.size > max && !this.stop.signal.aborted) await this.freed.next();
  }

  /**
   * Lets attempts that run finish for two seconds, and ends. What waits, or has not been answered by then, is sent after
   * the next start.
   */
  async close(): Promise<void> {
    this.stop.abort();
    this.freed.fire();
    const over = new AbortController();
    await Promise.race([Promise.all(this.running), this.clock.sleep(STOP_GRACE_MS, over.signal)]);
    over.abort();
  }

  private run(lane: string): void {
    const run = this.send(lane)
      .catch((error: unknown) => this.options.onError(error, lane))
      .finally(() => this.running.delete(run));
    this.running.add(run);
  }

  private async send(lane: string): Promise<void> {
    const { signal } = this.stop;
    for (;;) {
      const item = this.lanes.get(lane)?.[0];
      if (!item) break;
      await this.untilDue(item);
      await this.slots.take();
      try {
        // Who may act no longer is closed in a moment.
        if (signal.aborted || !this.options.mayAct()) return;
        await this.options.attempt(item);
      } finally {
        this.slots.give();
      }
    }
    this.lanes.delete(lane);
  }

  private async untilDue(item: Item): Promise<void> {
    const { signal } = this.stop;
    for (;;) {
      const waitMs = item.due - this.clock.steady();
      if (waitMs <= 0 || signal.aborted) return;
      const hurry = new AbortController();
      this.hurries.set(item.lane, hurry);
      await this.clock.sleep(waitMs, AbortSignal.any([signal, hurry.signal]));
      this.hurries.delete(item.lane);
    }
  }
}
