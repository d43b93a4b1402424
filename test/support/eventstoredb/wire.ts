import { createRequire } from 'node:module';
import type * as Grpc from '@grpc/grpc-js';
import shared from '@eventstore/db-client/generated/shared_pb.js';
import statuses from '@eventstore/db-client/generated/status_pb.js';
import streams from '@eventstore/db-client/generated/streams_pb.js';
import type { StreamIdentifier, UUID } from '@eventstore/db-client/generated/shared_pb.js';
import type { Status } from '@eventstore/db-client/generated/status_pb.js';
import type {
  AppendReq,
  AppendResp,
  BatchAppendReq,
  BatchAppendResp,
  ReadResp,
} from '@eventstore/db-client/generated/streams_pb.js';
import { NEVER, type Actual, type Expected, type Outcome } from './event-store.js';
import type { LoggedEvent, ProposedEvent } from './record-file.js';

// The service definitions work with the client's own copy of gRPC, and with no other.
const ofClient = createRequire(createRequire(import.meta.url).resolve('@eventstore/db-client'));
export const grpc = ofClient('@grpc/grpc-js') as typeof Grpc;
const { Any } = ofClient(
  'google-protobuf/google/protobuf/any_pb.js',
) as typeof import('google-protobuf/google/protobuf/any_pb.js');
const empties = ofClient(
  'google-protobuf/google/protobuf/empty_pb.js',
) as typeof import('google-protobuf/google/protobuf/empty_pb.js');

/** The most data that one append may carry, and the largest message that the server takes. */
export const MAX_APPEND_SIZE = 1_048_576;
export const MAX_MESSAGE_SIZE = 16 * 1_048_576;

const UUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TICKS_PER_MS = 10_000n;

export const nameOf = (identifier: StreamIdentifier | undefined): string =>
  Buffer.from(identifier?.getStreamName_asU8() ?? []).toString('utf8');

function identifierOf(stream: string): StreamIdentifier {
  return new shared.StreamIdentifier().setStreamName(Uint8Array.from(Buffer.from(stream, 'utf8')));
}

interface Expectation {
  hasNoStream(): boolean;
  hasStreamExists(): boolean;
  hasAny(): boolean;
}

export function expectedOf(options: Expectation, exact: () => string): Expected {
  if (options.hasNoStream()) return 'no_stream';
  if (options.hasStreamExists()) return 'stream_exists';
  return options.hasAny() ? 'any' : BigInt(exact());
}

export function proposedOf(message: AppendReq.ProposedMessage | BatchAppendReq.ProposedMessage): ProposedEvent {
  return {
    id: (message.getId() as UUID).getString().toLowerCase(),
    type: message.getMetadataMap().get('type') ?? '',
    contentType: message.getMetadataMap().get('content-type') ?? '',
    metadata: Buffer.from(message.getCustomMetadata_asU8()),
    data: Buffer.from(message.getData_asU8()),
  };
}

/** Why the server does not take an append, before it looks at the stream. */
export function flawOf(stream: string, events: readonly ProposedEvent[]): 'bad_request' | 'too_large' | undefined {
  if (stream === '' || events.some(({ id, type }) => type === '' || !UUID_TEXT.test(id))) return 'bad_request';
  return events.reduce((size, { data }) => size + data.length, 0) > MAX_APPEND_SIZE ? 'too_large' : undefined;
}

export function readEvent(event: LoggedEvent | undefined, link?: LoggedEvent): ReadResp {
  const read = new streams.ReadResp.ReadEvent();
  if (event) read.setEvent(recorded(event));
  if (link) read.setLink(recorded(link));
  const position = (link ?? event)?.position;
  if (position === undefined) read.setNoPosition(new shared.Empty());
  else read.setCommitPosition(String(position));
  return new streams.ReadResp().setEvent(read);
}

function recorded(event: LoggedEvent): ReadResp.ReadEvent.RecordedEvent {
  const message = new streams.ReadResp.ReadEvent.RecordedEvent()
    .setId(new shared.UUID().setString(event.id))
    .setStreamIdentifier(identifierOf(event.stream))
    .setStreamRevision(String(event.type === '$streamDeleted' ? NEVER : event.revision))
    .setCommitPosition(String(event.position))
    .setPreparePosition(String(event.position))
    .setCustomMetadata(Uint8Array.from(event.metadata))
    .setData(Uint8Array.from(event.data));
  const metadata = message.getMetadataMap();
  metadata.set('type', event.type);
  metadata.set('content-type', event.contentType);
  metadata.set('created', String(BigInt(event.created) * TICKS_PER_MS));
  return message;
}

export function confirmation(id: string): ReadResp {
  const message = new streams.ReadResp.SubscriptionConfirmation().setSubscriptionId(id);
  return new streams.ReadResp().setConfirmation(message);
}

export function checkpoint(commit: number, prepare: number): ReadResp {
  const message = new streams.ReadResp.Checkpoint()
    .setCommitPosition(String(commit))
    .setPreparePosition(String(prepare));
  return new streams.ReadResp().setCheckpoint(message);
}

export function streamNotFound(stream: string): ReadResp {
  const message = new streams.ReadResp.StreamNotFound().setStreamIdentifier(identifierOf(stream));
  return new streams.ReadResp().setStreamNotFound(message);
}

export function caughtUp(): ReadResp {
  return new streams.ReadResp().setCaughtUp(new streams.ReadResp.CaughtUp());
}

export function appendStored({ revision, position }: Extract<Outcome, { kind: 'stored' }>): AppendResp {
  const success = new streams.AppendResp.Success();
  if (revision === undefined) success.setNoStream(new shared.Empty());
  else success.setCurrentRevision(String(revision));
  if (position === undefined) success.setNoPosition(new shared.Empty());
  else {
    success.setPosition(
      new streams.AppendResp.Position().setCommitPosition(String(position)).setPreparePosition(String(position)),
    );
  }
  return new streams.AppendResp().setSuccess(success);
}

export function appendWrongVersion(expected: Expected, actual: Actual): AppendResp {
  const wrong = new streams.AppendResp.WrongExpectedVersion();
  if (actual === 'no_stream') wrong.setCurrentNoStream(new shared.Empty()).setNoStream2060(new shared.Empty());
  else wrong.setCurrentRevision(String(actual)).setCurrentRevision2060(actual);
  if (expected === 'any') wrong.setExpectedAny(new shared.Empty());
  else if (expected === 'no_stream') wrong.setExpectedNoStream(new shared.Empty());
  else if (expected === 'stream_exists') wrong.setExpectedStreamExists(new shared.Empty());
  else wrong.setExpectedRevision(String(expected));
  return new streams.AppendResp().setWrongExpectedVersion(wrong);
}

export function batchStored({ revision, position }: Extract<Outcome, { kind: 'stored' }>): BatchAppendResp {
  const success = new streams.BatchAppendResp.Success();
  if (revision === undefined) success.setNoStream(new empties.Empty());
  else success.setCurrentRevision(String(revision));
  if (position === undefined) success.setNoPosition(new empties.Empty());
  else {
    success.setPosition(
      new shared.AllStreamPosition().setCommitPosition(String(position)).setPreparePosition(String(position)),
    );
  }
  return new streams.BatchAppendResp().setSuccess(success);
}

export type BatchFailure = 'deleted' | 'too_large' | 'timeout' | 'bad_request' | 'not_ready';

export function batchFailed(failure: BatchFailure): BatchAppendResp {
  const [code, message, type, details] = {
    deleted: [5, 'StreamDeleted', 'StreamDeleted', new shared.StreamDeleted()],
    too_large: [
      3,
      'MaximumAppendSizeExceeded',
      'MaximumAppendSizeExceeded',
      new shared.MaximumAppendSizeExceeded().setMaxappendsize(MAX_APPEND_SIZE),
    ],
    timeout: [4, 'Timeout', 'Timeout', new shared.Timeout()],
    bad_request: [3, 'BadRequest', 'BadRequest', new shared.BadRequest().setMessage('Not an event')],
    not_ready: [14, 'Server Is Not Ready', 'Empty', new shared.Empty()],
  }[failure] as [number, string, string, shared.Empty];
  return batchError(code, message, type, details.serializeBinary());
}

export function batchWrongVersion(expected: Expected, actual: Actual): BatchAppendResp {
  const wrong = new shared.WrongExpectedVersion();
  if (actual === 'no_stream') wrong.setCurrentNoStream(new empties.Empty());
  else wrong.setCurrentStreamRevision(String(actual));
  if (expected === 'any') wrong.setExpectedAny(new empties.Empty());
  else if (expected === 'no_stream') wrong.setExpectedNoStream(new empties.Empty());
  else if (expected === 'stream_exists') wrong.setExpectedStreamExists(new empties.Empty());
  else wrong.setExpectedStreamPosition(String(expected));
  return batchError(6, 'WrongExpectedVersion', 'WrongExpectedVersion', wrong.serializeBinary());
}

export function addressed(response: BatchAppendResp, correlationId: string, stream: string): BatchAppendResp {
  return response
    .setCorrelationId(new shared.UUID().setString(correlationId))
    .setStreamIdentifier(identifierOf(stream));
}

function batchError(code: number, message: string, type: string, details: Uint8Array): BatchAppendResp {
  const any = new Any();
  any.pack(details, `event_store.client.${type}`);
  const status = new statuses.Status()
    .setCode(code as never)
    .setMessage(message)
    .setDetails(any);
  return new streams.BatchAppendResp().setError(status as Status);
}

/** A gRPC status with the trailers by which the client finds its class. */
export function failure(
  code: number,
  details: string,
  trailers: Readonly<Record<string, string | number | bigint>> = {},
): Partial<Grpc.StatusObject> {
  const metadata = new grpc.Metadata();
  for (const [key, value] of Object.entries(trailers)) metadata.set(key, String(value));
  return { code, details, metadata };
}

export function streamDeleted(stream: string): Partial<Grpc.StatusObject> {
  return failure(grpc.status.FAILED_PRECONDITION, `Event stream '${stream}' is deleted.`, {
    exception: 'stream-deleted',
    'stream-name': encodeURI(stream),
  });
}
