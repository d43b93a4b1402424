import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type {
  sendUnaryData,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServiceError,
  StatusObject,
} from '@grpc/grpc-js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import type {
  AppendReq,
  AppendResp,
  BatchAppendReq,
  BatchAppendResp,
  DeleteReq,
  DeleteResp,
  TombstoneReq,
  TombstoneResp,
} from '@eventstore/db-client/generated/streams_pb.js';
import type { EventStore, Expected, Outcome } from './event-store.js';
import type { ProposedEvent } from './record-file.js';
import {
  addressed,
  appendStored,
  appendWrongVersion,
  batchFailed,
  batchStored,
  batchWrongVersion,
  expectedOf,
  failure,
  flawOf,
  grpc,
  MAX_APPEND_SIZE,
  nameOf,
  proposedOf,
  streamDeleted,
} from './wire.js';

/** What a test does to appends. Counts go down with every append that was treated so. */
export interface AppendFaults {
  /** How long every append lies about before it is stored. */
  appendDelayMs: number;
  /** So many appends are stored, and their connections break before the answer. */
  loseAnswers: number;
  /** So many appends are stored and never answered, on a connection that stays. */
  swallowAnswers: number;
  /** So many appends are refused by a server that is about to stop. */
  notReady: number;
}

interface Request {
  readonly stream: string;
  readonly expected: Expected;
  readonly events: ProposedEvent[];
  readonly deadline: number;
}

/** How long after its refusal of a bad request the server sends the second answer, its write timeout. */
const WRITE_TIMEOUT_MS = 2_000;

/** `Streams/Append`, `BatchAppend`, `Delete` and `Tombstone`. */
export class Appends {
  private readonly store: EventStore;
  private readonly faults: AppendFaults;
  private readonly cut: () => void;

  /** @param cut Breaks every connection. */
  constructor(store: EventStore, faults: AppendFaults, cut: () => void) {
    this.store = store;
    this.faults = faults;
    this.cut = cut;
  }

  append(call: ServerReadableStream<AppendReq, AppendResp>, answer: sendUnaryData<AppendResp>): void {
    let options: AppendReq.Options | undefined;
    const events: ProposedEvent[] = [];
    call.on('data', (request: AppendReq) => {
      options ??= request.getOptions();
      const message = request.getProposedMessage();
      if (message) events.push(proposedOf(message));
    });
    call.on('error', () => undefined);
    call.on('end', () => {
      const stream = nameOf(options?.getStreamIdentifier());
      const expected = options ? expectedOf(options, () => (options as AppendReq.Options).getRevision()) : 'any';
      this.single(call, { stream, expected, events, deadline: Infinity }, answer).catch(() => undefined);
    });
  }

  batchAppend(call: ServerDuplexStream<BatchAppendReq, BatchAppendResp>): void {
    const open = new Map<string, Request>();
    call.on('data', (message: BatchAppendReq) => {
      const id = message.getCorrelationId()?.getString() ?? '';
      const request = open.get(id) ?? requestOf(message.getOptions() as BatchAppendReq.Options);
      open.set(id, request);
      request.events.push(...message.getProposedMessagesList().map(proposedOf));
      if (!message.getIsFinal()) return;
      open.delete(id);
      this.batch(call, id, request).catch(() => undefined);
    });
    call.on('error', () => undefined);
    call.on('end', () => call.end());
  }

  delete(call: ServerUnaryCall<DeleteReq, DeleteResp>, answer: sendUnaryData<DeleteResp>): void {
    const options = call.request.getOptions() as DeleteReq.Options;
    const stream = nameOf(options.getStreamIdentifier());
    const expected = expectedOf(options, () => options.getRevision());
    const respond = (position: number): DeleteResp =>
      new streams.DeleteResp().setPosition(
        new streams.DeleteResp.Position().setCommitPosition(String(position)).setPreparePosition(String(position)),
      );
    this.end(stream, expected, this.store.delete(stream, expected), respond, answer);
  }

  tombstone(call: ServerUnaryCall<TombstoneReq, TombstoneResp>, answer: sendUnaryData<TombstoneResp>): void {
    const options = call.request.getOptions() as TombstoneReq.Options;
    const stream = nameOf(options.getStreamIdentifier());
    const expected = expectedOf(options, () => options.getRevision());
    const respond = (position: number): TombstoneResp =>
      new streams.TombstoneResp().setPosition(
        new streams.TombstoneResp.Position().setCommitPosition(String(position)).setPreparePosition(String(position)),
      );
    this.end(stream, expected, this.store.tombstone(stream, expected), respond, answer);
  }

  private async single(
    call: ServerReadableStream<AppendReq, AppendResp>,
    { stream, expected, events }: Request,
    answer: sendUnaryData<AppendResp>,
  ): Promise<void> {
    const refuse = (status: Partial<StatusObject>): void => answer(status as ServiceError);
    const flaw = flawOf(stream, events);
    if (flaw === 'too_large') {
      const trailers = { exception: 'maximum-append-size-exceeded', 'maximum-append-size': MAX_APPEND_SIZE };
      return refuse(failure(grpc.status.INVALID_ARGUMENT, 'Maximum Append Size Exceeded', trailers));
    }
    if (flaw) return refuse(failure(grpc.status.INVALID_ARGUMENT, 'Not an event'));
    if (this.isNotReady()) return refuse(failure(grpc.status.UNAVAILABLE, 'Server Is Not Ready'));
    // A caller that has given up takes its request back; that message may lie right behind the request.
    await nextTurn();
    await this.wait();
    if (call.cancelled) return undefined;
    const outcome = await this.store.append(stream, expected, events);
    if (this.losesAnswer()) return undefined;
    switch (outcome.kind) {
      case 'stored':
        return answer(null, appendStored(outcome));
      case 'wrong_version':
        return answer(null, appendWrongVersion(expected, outcome.actual));
      case 'deleted':
        return refuse(streamDeleted(stream));
      case 'timeout':
        return refuse(failure(grpc.status.ABORTED, 'Operation timed out: Commit phase timeout'));
    }
  }

  private async batch(
    call: ServerDuplexStream<BatchAppendReq, BatchAppendResp>,
    id: string,
    { stream, expected, events, deadline }: Request,
  ): Promise<void> {
    const send = (response: BatchAppendResp): void => {
      if (!call.cancelled) call.write(addressed(response, id, stream));
    };
    const flaw = flawOf(stream, events);
    if (flaw) send(batchFailed(flaw));
    if (flaw === 'bad_request' && stream !== '') {
      // The request was refused, but the server goes on to wait for it.
      setTimeout(() => send(batchFailed('timeout')), WRITE_TIMEOUT_MS).unref();
    }
    if (flaw) return;
    if (deadline <= Date.now()) return send(batchFailed('timeout'));
    if (this.isNotReady()) return send(batchFailed('not_ready'));
    if (this.faults.appendDelayMs > 0) await this.wait();
    const outcome = await this.store.append(stream, expected, events);
    if (this.losesAnswer()) return;
    if (outcome.kind === 'stored') send(batchStored(outcome));
    else if (outcome.kind === 'wrong_version') send(batchWrongVersion(expected, outcome.actual));
    else send(batchFailed(outcome.kind));
  }

  private end<Response>(
    stream: string,
    expected: Expected,
    ending: Promise<Outcome>,
    respond: (position: number) => Response,
    answer: sendUnaryData<Response>,
  ): void {
    const done = (outcome: Outcome): void => {
      if (outcome.kind === 'stored') return answer(null, respond(outcome.position ?? 0));
      if (outcome.kind !== 'wrong_version') return answer(streamDeleted(stream) as ServiceError);
      const trailers = {
        exception: 'wrong-expected-version',
        'stream-name': encodeURI(stream),
        'expected-version':
          typeof expected === 'bigint' ? expected : { no_stream: -1, any: -2, stream_exists: -4 }[expected],
        'actual-version': outcome.actual === 'no_stream' ? -1 : outcome.actual,
      };
      return answer(
        failure(
          grpc.status.FAILED_PRECONDITION,
          'Append failed due to WrongExpectedVersion.',
          trailers,
        ) as ServiceError,
      );
    };
    ending.then(done, (error: unknown) => answer(failure(grpc.status.UNKNOWN, String(error)) as ServiceError));
  }

  private async wait(): Promise<void> {
    if (this.faults.appendDelayMs > 0) await pause(this.faults.appendDelayMs);
  }

  private isNotReady(): boolean {
    if (this.faults.notReady <= 0) return false;
    this.faults.notReady -= 1;
    return true;
  }

  private losesAnswer(): boolean {
    if (this.faults.swallowAnswers > 0) {
      this.faults.swallowAnswers -= 1;
      return true;
    }
    if (this.faults.loseAnswers <= 0) return false;
    this.faults.loseAnswers -= 1;
    this.cut();
    return true;
  }
}

function requestOf(options: BatchAppendReq.Options): Request {
  const deadline = options.getDeadline()?.toDate().getTime() ?? Infinity;
  const expected = expectedOf(options, () => options.getStreamPosition());
  return { stream: nameOf(options.getStreamIdentifier()), expected, events: [], deadline };
}
