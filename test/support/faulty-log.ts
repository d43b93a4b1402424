import { Unavailable } from '../../src/kernel/errors.js';
import {
  EventLog,
  type Appended,
  type ExpectedRevision,
  type Position,
  type ReadAllOptions,
  type ReadStreamOptions,
  type SealedEvent,
  type StoredEvent,
  type SubscribeOptions,
} from '../../src/kernel/ports/event-log.js';

/** A real log on a bad line. It also tells what was asked of it. */
export class FaultyLog extends EventLog {
  /** So many appends are stored, and then not acknowledged. */
  loseAnswers = 0;
  /** So many appends never arrive. */
  refuseAppends = 0;
  /** Appends wait for it before they are sent. */
  frozen: Promise<void> = Promise.resolve();
  /** Who asks where the log ends waits for it. */
  endless: Promise<void> = Promise.resolve();
  readonly sent: (readonly SealedEvent[])[] = [];
  readonly streamsRead: string[] = [];

  constructor(private readonly log: EventLog) {
    super();
  }

  override async append(stream: string, expected: ExpectedRevision, events: readonly SealedEvent[]): Promise<Appended> {
    await this.frozen;
    this.sent.push(events);
    if (this.refuseAppends-- > 0) throw new Unavailable('The log did not get it');
    const appended = await this.log.append(stream, expected, events);
    if (this.loseAnswers-- > 0) throw new Unavailable('The answer was lost');
    return appended;
  }

  override readStream(stream: string, options?: ReadStreamOptions): Promise<readonly StoredEvent[]> {
    this.streamsRead.push(stream);
    return this.log.readStream(stream, options);
  }

  override readAll(from: Position, options?: ReadAllOptions): Promise<readonly StoredEvent[]> {
    return this.log.readAll(from, options);
  }

  override async head(): Promise<Position> {
    await this.endless;
    return this.log.head();
  }

  override subscribe(after: Position, options: SubscribeOptions): AsyncIterable<readonly StoredEvent[]> {
    return this.log.subscribe(after, options);
  }

  override async close(): Promise<void> {
    await this.log.close();
  }
}
