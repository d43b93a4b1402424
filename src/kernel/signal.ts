import type { Clock } from './ports/clock.js';

/** Wakes everybody who waits. `next` is taken before the look at what one waits for, so that nothing is slept over. */
export class Signal {
  private pending = Promise.withResolvers<void>();
  private count = 0;

  /** How often it has fired: tells whether something happened meanwhile. */
  get fired(): number {
    return this.count;
  }

  next(): Promise<void> {
    return this.pending.promise;
  }

  fire(): void {
    this.count += 1;
    this.pending.resolve();
    this.pending = Promise.withResolvers();
  }
}

/** Runs pieces of work one after the other, in the order they were asked for. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();

  take<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.last.then(work, work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}

/** Waits for what never fails, at most `limitMs`. @returns whether it has come. */
export async function inTime(awaited: Promise<unknown>, limitMs: number, clock: Clock): Promise<boolean> {
  const over = new AbortController();
  const late = clock.sleep(limitMs, over.signal).then(() => false);
  try {
    return await Promise.race([awaited.then(() => true), late]);
  } finally {
    over.abort();
  }
}

/** Lets so many work at the same time; the others wait in line. */
export class Slots {
  private readonly line: (() => void)[] = [];

  constructor(private free: number) {}

  async take(): Promise<void> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.line.push(resolve));
  }

  /** Hands the slot to who has waited longest. */
  give(): void {
    const next = this.line.shift();
    if (next) next();
    else this.free += 1;
  }
}
