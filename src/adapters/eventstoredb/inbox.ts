import type { AllStreamResolvedEvent, AllStreamSubscription } from '@eventstore/db-client';
import type { Position, StoredEvent } from '../../kernel/ports/event-log.js';
import { positionOf, toStored } from './stored-form.js';

const MAX_CHARACTERS = 16_000_000;

/**
 * What a subscription has sent and its consumer has not fetched yet. Bounded: when it is full the subscription pauses,
 * and the server waits, or drops it.
 */
export class Inbox {
  /** Why the subscription ended, if by an error. */
  failure: unknown;
  private events: StoredEvent[] = [];
  private characters = 0;
  private ended = false;
  private paused = false;
  private wake: () => void = () => undefined;

  constructor(
    private readonly subscription: AllStreamSubscription,
    private last: Position,
    private readonly capacity: number,
  ) {
    const end = (error?: unknown): void => {
      if (!this.ended) this.failure = error;
      this.ended = true;
      this.wake();
    };
    // After an error the client's subscription says nothing more, neither `end` nor `close`. The listeners stay: an
    // error that nobody hears would end the process.
    subscription.on('error', end);
    subscription.on('end', () => end());
    subscription.on('close', () => end());
    subscription.on('data', (resolved: AllStreamResolvedEvent) => {
      try {
        this.put(resolved);
      } catch (error) {
        end(error);
      }
    });
  }

  /** @returns at most `size` events; none when the subscription has ended or `signal` has fired. */
  async take(size: number, signal: AbortSignal): Promise<readonly StoredEvent[]> {
    while (this.events.length === 0 && !this.ended && !signal.aborted) await this.next(signal);
    if (signal.aborted) return [];
    const batch = this.events.splice(0, size);
    for (const event of batch) this.characters -= lengthOf(event);
    if (this.paused && !this.isFull()) {
      this.paused = false;
      this.subscription.resume();
    }
    return batch;
  }

  close(): void {
    this.ended = true;
    this.subscription.unsubscribe().catch(() => undefined);
    this.subscription.resume();
  }

  private put({ event: recorded }: AllStreamResolvedEvent): void {
    if (this.ended || !recorded) return;
    // A subscription that begins at a checkpoint gives the event there once more, on some versions.
    if (positionOf(recorded) <= this.last) return;
    this.last = positionOf(recorded);
    const event = toStored(recorded);
    if (!event) return;
    this.events.push(event);
    this.characters += lengthOf(event);
    if (this.isFull() && !this.paused) {
      this.paused = true;
      this.subscription.pause();
    }
    this.wake();
  }

  private isFull(): boolean {
    return this.events.length >= this.capacity || this.characters >= MAX_CHARACTERS;
  }

  private next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        this.wake = () => undefined;
        resolve();
      };
      this.wake = wake;
      signal.addEventListener('abort', wake);
    });
  }
}

function lengthOf({ data, metadata }: StoredEvent): number {
  return data.length + metadata.length;
}
