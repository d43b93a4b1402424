/** Lets a limited number of tasks run at once; the others wait in the order of their arrival. */
export class Slots {
  private readonly waiting: (() => void)[] = [];

  /** @param free How many tasks may run at once, at least 1. */
  constructor(private free: number) {}

  /** Runs `task` when a slot is free. @throws The signal's reason, when it fires while the task waits. */
  async use<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    await this.take(signal);
    try {
      return await task();
    } finally {
      this.give();
    }
  }

  private async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.free > 0) {
      this.free -= 1;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = (): void => {
      const place = this.waiting.indexOf(resolve);
      if (place >= 0) this.waiting.splice(place, 1);
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', giveUp, { once: true });
    this.waiting.push(resolve);
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
    }
  }

  /** Hands the slot to whoever waits longest: nobody who comes later can take it on the way. */
  private give(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.free += 1;
  }
}
