import { randomUUID } from 'node:crypto';
import type { ServerWritableStream, StatusObject } from '@grpc/grpc-js';
import type { ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb.js';
import type { EventStore } from './event-store.js';
import type { LoggedEvent } from './record-file.js';
import { caughtUp, checkpoint, confirmation, failure, grpc, streamDeleted } from './wire.js';

export type ReadCall = ServerWritableStream<ReadReq, ReadResp>;
export type Version = '23.10' | '24.2';

/** How one subscription looks at the log. `cursor` is a position in `$all`, and a revision in a stream. */
export interface FeedOptions {
  readonly stream: string | undefined;
  readonly cursor: number;
  readonly matches: (event: LoggedEvent) => boolean;
  /** After how many scanned records a checkpoint is due; none without a filter. */
  readonly checkpointEvery: number | undefined;
  readonly toMessage: (event: LoggedEvent) => ReadResp;
  readonly version: Version;
  /** How many live events may wait for their consumer. */
  readonly liveBuffer: number;
}

const CHUNK = 32;

/** One subscription: first what is stored, then what comes, and what becomes of a consumer that is too slow for it. */
export class Feed {
  private readonly call: ReadCall;
  private readonly store: EventStore;
  private readonly options: FeedOptions;
  private readonly live: LoggedEvent[] = [];
  private isLive = false;
  private overflown = false;
  private closed = false;
  private cursor: number;
  private scanned = 0;
  private lastCheckpoint = 0;
  private wake: () => void = () => undefined;

  constructor(call: ReadCall, store: EventStore, options: FeedOptions) {
    this.call = call;
    this.store = store;
    this.options = options;
    this.cursor = options.cursor;
  }

  async run(): Promise<void> {
    const close = (): void => {
      this.closed = true;
      this.wake();
    };
    this.call.on('cancelled', close).on('close', close).on('error', close);
    const stop = this.store.onAppended((events) => this.appended(events));
    try {
      const failed = await this.follow();
      if (failed && !this.closed) this.call.emit('error', failed);
    } finally {
      stop();
    }
  }

  /** As the server does it to a consumer that it finds too slow. */
  drop(): void {
    this.overflown = true;
    this.wake();
  }

  private async follow(): Promise<Partial<StatusObject> | undefined> {
    const { stream, version } = this.options;
    await this.send(confirmation(randomUUID()));
    while (!this.closed) {
      await this.catchUp();
      this.isLive = true;
      if (version === '24.2' || stream === undefined || this.store.exists(stream)) await this.send(caughtUp());
      for (;;) {
        if (this.closed) return undefined;
        if (stream !== undefined && this.store.isTombstoned(stream) && this.live.length === 0)
          return streamDeleted(stream);
        const event = this.live.shift();
        if (event) await this.scan(event);
        else if (this.overflown) break;
        else await new Promise<void>((resolve) => (this.wake = resolve));
      }
      this.overflown = false;
      this.isLive = false;
      if (version === '23.10') {
        return failure(
          grpc.status.ABORTED,
          'Operation timed out: Consumer too slow to handle event while live. Client resubscription required.',
        );
      }
    }
    return undefined;
  }

  private async catchUp(): Promise<void> {
    while (!this.closed) {
      const chunk = this.stored();
      if (chunk.length === 0) return;
      for (const event of chunk) await this.scan(event);
    }
  }

  private stored(): LoggedEvent[] {
    const { stream } = this.options;
    if (stream === undefined) {
      const from = this.store.indexOf(this.cursor + 1);
      return this.store.log.slice(from, from + CHUNK);
    }
    return this.store
      .readable(stream)
      .filter(({ revision }) => revision > this.cursor)
      .slice(0, CHUNK);
  }

  private appended(events: readonly LoggedEvent[]): void {
    if (!this.isLive || this.overflown) return;
    const { stream, liveBuffer } = this.options;
    for (const event of events) {
      if (stream !== undefined ? event.stream !== stream : event.position <= this.cursor) continue;
      if (this.live.length >= liveBuffer) {
        this.overflown = true;
        break;
      }
      this.live.push(event);
    }
    this.wake();
  }

  private async scan(event: LoggedEvent): Promise<void> {
    const { stream, matches, checkpointEvery, toMessage } = this.options;
    if (matches(event)) await this.send(toMessage(event));
    this.cursor = stream === undefined ? event.position : event.revision;
    if (checkpointEvery === undefined || ++this.scanned % checkpointEvery > 0) return;
    // While it catches up, the server reports the boundary before, and leaves its second half out.
    await this.send(this.isLive ? checkpoint(event.position, event.position) : checkpoint(this.lastCheckpoint, 0));
    this.lastCheckpoint = event.position;
  }

  private async send(message: ReadResp): Promise<void> {
    if (!this.closed) await sendTo(this.call, message);
  }
}

/** Writes, and waits while the consumer has no room. */
export async function sendTo(call: ReadCall, message: ReadResp): Promise<void> {
  if (call.write(message) || call.cancelled || call.destroyed) return;
  await new Promise<void>((resolve) => {
    const events = ['drain', 'cancelled', 'close', 'error'];
    const end = (): void => {
      for (const event of events) call.off(event, end);
      resolve();
    };
    for (const event of events) call.on(event, end);
  });
}
