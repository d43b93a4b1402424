import type { StreamingRead } from '@eventstore/db-client';
import { Unavailable } from '../../kernel/errors.js';
import type { Clock } from '../../kernel/ports/clock.js';
import { isTransient } from './client-errors.js';

export interface PatienceOptions {
  /** How long a call is repeated before it is `Unavailable`, in ms. @default 5_000 */
  readonly patienceMs?: number;
  /** How long one attempt may take without an answer, or a read without its next event, in ms. @default 2_500 */
  readonly attemptMs?: number;
}

const MIN_PAUSE_MS = 20;
const MAX_PAUSE_MS = 500;

/** Repeats what fails for a while, and gives up what does not answer: the client does neither by itself. */
export class Patience {
  readonly attemptMs: number;
  private readonly patienceMs: number;

  constructor(
    private readonly clock: Clock,
    { patienceMs = 5_000, attemptMs = 2_500 }: PatienceOptions = {},
  ) {
    this.patienceMs = patienceMs;
    this.attemptMs = attemptMs;
  }

  /** Until when a call that begins now may be repeated. */
  limit(): number {
    return this.clock.steady() + this.patienceMs;
  }

  /**
   * @param attempt One attempt, which must not take longer than it is told.
   * @throws Unavailable when no attempt succeeded in time; anything that does not pass by itself as it is.
   */
  async until<Result>(limit: number, what: string, attempt: (limitMs: number) => Promise<Result>): Promise<Result> {
    let cause: unknown;
    for (let pauseMs = MIN_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS)) {
      const left = limit - this.clock.steady();
      if (left <= 0) throw new Unavailable(`EventStoreDB: ${what} did not succeed in time`, { cause });
      try {
        return await attempt(Math.min(left, this.attemptMs));
      } catch (error) {
        if (!isTransient(error)) throw error;
        cause = error;
      }
      await this.clock.sleep(Math.min(pauseMs, limit - this.clock.steady()));
    }
  }

  /** Gives a call up that has no limit of its own. What becomes of it is then unknown. */
  async limited<Result>(call: Promise<Result>, limitMs: number): Promise<Result> {
    const settled = new AbortController();
    const expired = this.clock.sleep(limitMs, settled.signal).then(() => {
      throw new Unavailable(`EventStoreDB did not answer within ${limitMs} ms`);
    });
    expired.catch(() => undefined);
    try {
      return await Promise.race([call, expired]);
    } finally {
      settled.abort();
      // A call that was given up may still fail.
      call.catch(() => undefined);
    }
  }

  /** Everything that a read gives. It is given up when nothing comes for `limitMs`. */
  collect<Item>(read: StreamingRead<Item>, limitMs: number): Promise<Item[]> {
    const items: Item[] = [];
    const { promise, resolve, reject } = Promise.withResolvers<Item[]>();
    const settled = new AbortController();
    // The listeners stay: an error that comes late would end the process if nobody heard it.
    read.on('data', (item) => items.push(item));
    read.on('error', reject);
    read.on('end', () => resolve(items));
    const watch = async (): Promise<void> => {
      for (let seen = -1; seen < items.length;) {
        seen = items.length;
        await this.clock.sleep(limitMs, settled.signal);
        if (settled.signal.aborted) return;
      }
      reject(new Unavailable(`EventStoreDB sent nothing for ${limitMs} ms`));
    };
    void watch();
    return promise.finally(() => {
      settled.abort();
      read.cancel().catch(() => undefined);
    });
  }
}
