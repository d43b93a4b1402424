import type { Logger } from 'pino';
import type { Clock } from '../ports/clock.js';
import type { EventLog, Position } from '../ports/event-log.js';
import { inTime } from '../signal.js';

/**
 * Where a log ends to which other processes write too: so that a read shows what any of them had acknowledged before it.
 *
 * One look at the log answers everybody who asked before it began. A log that does not answer is waited for once, and
 * then by nobody until it does.
 */
export class LogEnd {
  private running: Promise<Position | undefined> | undefined;
  private following: Promise<Position | undefined> | undefined;
  private silent = false;

  constructor(
    private readonly log: EventLog,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** @returns a position that is no lower than any acknowledged before the call; undefined when the log does not tell. */
  async position(timeoutMs: number): Promise<Position | undefined> {
    const look = this.joined();
    if (this.silent) return undefined;
    if (await inTime(look, timeoutMs, this.clock)) return look;
    this.isSilent();
    return undefined;
  }

  /** A look that begins with this call, or later. */
  private joined(): Promise<Position | undefined> {
    if (!this.running) return this.look();
    return (this.following ??= this.running.then(() => this.look()));
  }

  private look(): Promise<Position | undefined> {
    this.following = undefined;
    const look = this.log.head().then(
      (position) => {
        this.silent = false;
        return position;
      },
      (error: unknown) => {
        this.isSilent(error);
        return undefined;
      },
    );
    this.running = look;
    void look.then(() => {
      if (this.running === look) this.running = undefined;
    });
    return look;
  }

  private isSilent(error?: unknown): void {
    if (!this.silent)
      this.logger.warn({ err: error }, 'the log does not tell where it ends: what is read may be older');
    this.silent = true;
  }
}
