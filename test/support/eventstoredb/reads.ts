import type { StatusObject } from '@grpc/grpc-js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import type { ReadReq, ReadResp } from '@eventstore/db-client/generated/streams_pb.js';
import type { EventStore } from './event-store.js';
import { Feed, sendTo, type ReadCall, type Version } from './feed.js';
import type { LoggedEvent } from './record-file.js';
import { failure, grpc, nameOf, readEvent, streamDeleted, streamNotFound } from './wire.js';

export interface ReadHabits {
  readonly version: Version;
  readonly liveBuffer: number;
}

type Options = ReadReq.Options;

const DEFAULT_WINDOW = 32;
const BACKWARDS = streams.ReadReq.Options.ReadDirection.BACKWARDS;

/** `Streams/Read`: reads of a stream and of `$all`, both ways, and subscriptions to either. */
export class Reads {
  private readonly feeds = new Set<Feed>();
  private readonly store: EventStore;
  private readonly habits: ReadHabits;

  constructor(store: EventStore, habits: ReadHabits) {
    this.store = store;
    this.habits = habits;
  }

  handle(call: ReadCall): void {
    const options = call.request.getOptions() as Options;
    this.answer(call, options).catch((error: unknown) =>
      call.emit('error', failure(grpc.status.UNKNOWN, String(error))),
    );
  }

  dropSubscriptions(): void {
    for (const feed of this.feeds) feed.drop();
  }

  private async answer(call: ReadCall, options: Options): Promise<void> {
    const answer = options.hasSubscription() ? this.feed(call, options) : this.read(options);
    if (answer instanceof Feed) {
      this.feeds.add(answer);
      await answer.run().finally(() => this.feeds.delete(answer));
      return;
    }
    if (!Array.isArray(answer)) {
      call.emit('error', answer);
      return;
    }
    for (const message of answer) {
      if (call.cancelled) return;
      await sendTo(call, message());
    }
    call.end();
  }

  private read(options: Options): (() => ReadResp)[] | Partial<StatusObject> {
    const count = Number(options.getCount());
    if (count === 0) return failure(grpc.status.UNKNOWN, 'Unexpected ReadStreamResult: Error');
    const backwards = options.getReadDirection() === BACKWARDS;
    const events = options.hasStream() ? this.readStream(options, backwards) : this.readAll(options, backwards, count);
    if (!Array.isArray(events)) return events;
    return events.slice(0, count).map((event) => () => (isEvent(event) ? this.message(options, event) : event));
  }

  private readStream(options: Options, backwards: boolean): (LoggedEvent | ReadResp)[] | Partial<StatusObject> {
    const from = options.getStream() as ReadReq.Options.StreamOptions;
    const stream = nameOf(from.getStreamIdentifier());
    if (this.store.isTombstoned(stream)) return streamDeleted(stream);
    if (!this.store.exists(stream)) return [streamNotFound(stream)];
    const events = this.store.readable(stream);
    if (backwards) {
      const first = from.hasEnd() ? Infinity : from.hasStart() ? 0 : Number(from.getRevision());
      return events.filter(({ revision }) => revision <= first).toReversed();
    }
    if (from.hasEnd()) return failure(grpc.status.UNKNOWN, 'Unexpected ReadStreamResult: Error');
    const first = from.hasStart() ? 0 : Number(from.getRevision());
    return events.filter(({ revision }) => revision >= first);
  }

  private readAll(options: Options, backwards: boolean, count: number): LoggedEvent[] | Partial<StatusObject> {
    const { log } = this.store;
    const from = options.getAll() as ReadReq.Options.AllOptions;
    const position = Number(from.getPosition()?.getCommitPosition() ?? 0);
    if (this.isInside(position)) return failure(grpc.status.UNKNOWN, 'Exception was thrown by handler.');
    const index = from.hasEnd() ? log.length : from.hasStart() ? 0 : this.store.indexOf(position);
    return backwards ? log.slice(Math.max(0, index - count), index).toReversed() : log.slice(index, index + count);
  }

  private feed(call: ReadCall, options: Options): Feed | Partial<StatusObject> {
    const name = options.hasStream() ? nameOf(options.getStream()?.getStreamIdentifier()) : undefined;
    if (name !== undefined && this.store.isTombstoned(name)) return streamDeleted(name);
    const cursor = name === undefined ? this.allCursor(options) : this.streamCursor(options, name);
    if (typeof cursor !== 'number') return cursor;
    const filter = options.getFilter();
    const window = filter?.hasMax() ? filter.getMax() : DEFAULT_WINDOW;
    try {
      return new Feed(call, this.store, {
        ...this.habits,
        stream: name,
        cursor,
        matches: matcher(filter),
        checkpointEvery: filter && window * Math.max(1, filter.getCheckpointintervalmultiplier()),
        toMessage: (event) => this.message(options, event),
      });
    } catch (error) {
      return failure(grpc.status.UNKNOWN, `Exception was thrown by handler. ${String(error)}`);
    }
  }

  private streamCursor(options: Options, stream: string): number {
    const from = options.getStream() as ReadReq.Options.StreamOptions;
    if (from.hasRevision()) return Number(from.getRevision());
    return from.hasEnd() ? (this.store.readable(stream).at(-1)?.revision ?? -1) : -1;
  }

  private allCursor(options: Options): number | Partial<StatusObject> {
    const { log } = this.store;
    const from = options.getAll() as ReadReq.Options.AllOptions;
    const position = from.getPosition();
    if (!position) return from.hasEnd() ? (log.at(-1)?.position ?? -1) : -1;
    const commit = Number(position.getCommitPosition());
    const old = this.habits.version === '23.10';
    if (this.isInside(commit)) {
      return old
        ? failure(grpc.status.UNKNOWN, 'Exception was thrown by handler.')
        : failure(grpc.status.INVALID_ARGUMENT, 'Trying to read from an invalid position.');
    }
    // Behind the end the old version takes the end instead; the new one waits for what lies behind.
    if (commit >= this.store.end) return old ? (log.at(-1)?.position ?? -1) : Infinity;
    const found = log[this.store.indexOf(commit)];
    // The old version passes over the record that it finds, whether it is the one it looked for or not.
    if (old) return found?.position ?? commit;
    return position.getPreparePosition() === '0' ? commit - 1 : commit;
  }

  private isInside(position: number): boolean {
    return position > 0 && position < this.store.end && !this.store.isPlace(position);
  }

  private message(options: Options, event: LoggedEvent): ReadResp {
    if (!options.getResolveLinks() || event.type !== '$>') return readEvent(event);
    const [, revision, stream] = /^(\d+)@(.*)$/s.exec(event.data.toString()) ?? [];
    const target = this.store.readable(stream ?? '').find((other) => other.revision === Number(revision));
    return readEvent(target, event);
  }
}

function isEvent(item: LoggedEvent | ReadResp): item is LoggedEvent {
  return 'position' in item;
}

/** @throws SyntaxError for a regular expression that is none. */
function matcher(filter: ReadReq.Options.FilterOptions | undefined): (event: LoggedEvent) => boolean {
  if (!filter) return () => true;
  const byStream = filter.hasStreamIdentifier();
  const expression = byStream ? filter.getStreamIdentifier() : filter.getEventType();
  const pattern = expression?.getRegex() ? new RegExp(expression.getRegex()) : undefined;
  const prefixes = expression?.getPrefixList() ?? [];
  return (event) => {
    const text = byStream ? event.stream : event.type;
    return pattern ? pattern.test(text) : prefixes.some((prefix) => text.startsWith(prefix));
  };
}
