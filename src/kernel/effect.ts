import type { Logger } from 'pino';
import type { Cursors } from './cursors.js';
import type { Clock } from './ports/clock.js';
import type { EventLog, Position, StoredEvent } from './ports/event-log.js';
import { isReadableFrom } from './readable-from.js';

export interface EffectOptions {
  readonly name: string;
  /** Where to begin when no cursor is stored. */
  readonly begin: () => Promise<Position>;
  /** Takes a batch. A rejection gives the same batch again after a pause. */
  readonly handle: (batch: readonly StoredEvent[]) => Promise<void>;
  /** Everything up to here is done for good, given that `read` is the last position handled. @default `read` */
  readonly settled?: (read: Position) => Position;
}

const BATCH = 500;
const MIN_RETRY_MS = 100;
const MAX_RETRY_MS = 10_000;
const SAVE_EVERY_MS = 1_000;

/**
 * Follows the log and acts on it, at least once, from a cursor of its own. Unlike a view it is never rebuilt.
 */
export class Effect {
  private readonly stop = new AbortController();
  private running: Promise<void> = Promise.resolve();
  private read: Position = 0;
  private saved: Position = 0;
  private savedAt = 0;

  constructor(
    private readonly log: EventLog,
    private readonly cursors: Cursors,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly options: EffectOptions,
  ) {}

  /** Position up to which everything has been handled, though perhaps not settled. */
  get position(): Position {
    return this.read;
  }

  async start(): Promise<void> {
    this.saved = (await this.storedCursor()) ?? (await this.options.begin());
    this.read = this.saved;
    this.running = this.follow();
  }

  /** Finishes the batch in hand, stores the cursor, and ends. */
  async close(): Promise<void> {
    this.stop.abort();
    await this.running;
    await this.trySave();
  }

  /** A cursor past the end of the log would let events go by unseen until the log is as long: it is another log's. */
  private async storedCursor(): Promise<Position | undefined> {
    const { name } = this.options;
    const cursor = await this.cursors.load(name);
    if (cursor === undefined || (await isReadableFrom(this.log, cursor))) return cursor;
    this.logger.error({ effect: name, cursor }, 'the cursor is no place in this log, beginning anew');
    await this.cursors.forget();
    return undefined;
  }

  private async follow(): Promise<void> {
    const { signal } = this.stop;
    let pauseMs = MIN_RETRY_MS;
    while (!signal.aborted) {
      try {
        for await (const batch of this.log.subscribe(this.read, { signal, batchSize: BATCH })) {
          await this.options.handle(batch);
          this.read = batch.at(-1)?.position ?? this.read;
          pauseMs = MIN_RETRY_MS;
          if (this.clock.steady() - this.savedAt >= SAVE_EVERY_MS) await this.trySave();
        }
      } catch (error) {
        this.logger.warn({ err: error, effect: this.options.name, position: this.read }, 'effect failed, trying again');
        await this.clock.sleep(pauseMs, signal);
        pauseMs = Math.min(pauseMs * 2, MAX_RETRY_MS);
      }
    }
  }

  /** A cursor that is not stored costs a repetition after the next start, and nothing before. */
  private async trySave(): Promise<void> {
    try {
      await this.save();
    } catch (error) {
      this.logger.warn({ err: error, effect: this.options.name }, 'the cursor could not be stored');
    }
  }

  private async save(): Promise<void> {
    const settled = this.options.settled?.(this.read) ?? this.read;
    if (settled <= this.saved) return;
    await this.cursors.save(this.options.name, settled);
    this.saved = settled;
    this.savedAt = this.clock.steady();
  }
}
