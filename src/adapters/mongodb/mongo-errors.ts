import {
  MongoBulkWriteError,
  MongoClientClosedError,
  MongoError,
  MongoNetworkError,
  MongoNotConnectedError,
  MongoServerError,
  MongoServerSelectionError,
  MongoTopologyClosedError,
  MongoWriteConcernError,
} from 'mongodb';
import { Unavailable } from '../../kernel/errors.js';

const DUPLICATE_KEY = 11_000;
const NAMESPACE_NOT_FOUND = 26;

/**
 * What a server answers that cannot serve just now, by code: unreachable hosts, time limits, conflicts of writes, a lost
 * quorum, elections and shutdowns. The list of the driver's own retries, and the time limits.
 */
const PASSING = new Set([
  6, 7, 24, 50, 64, 89, 91, 112, 133, 134, 189, 202, 262, 290, 358, 9_001, 10_107, 11_600, 11_601, 11_602, 13_435,
  13_436,
]);

/** How FerretDB tells that it shuts down while it answers: as an internal error, where MongoDB says 11600. */
const INTERNAL_ERROR = 1;
const CANCELED = /context canceled/;
const LABELS = ['RetryableWriteError', 'RetryableError', 'SystemOverloadedError', 'TransientTransactionError'];

/** What an error of the driver is to callers: `Unavailable` where trying again later is right, else itself. */
export function translated(error: unknown): unknown {
  if (!isPassing(error)) return error;
  return new Unavailable(`MongoDB cannot be used: ${error.message}`, { cause: error });
}

export function isDuplicateKey(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === DUPLICATE_KEY;
}

export function isUnknownCollection(error: unknown): boolean {
  return error instanceof MongoServerError && error.code === NAMESPACE_NOT_FOUND;
}

function isPassing(error: unknown): error is MongoError {
  if (!(error instanceof MongoError)) return false;
  if (error instanceof MongoNetworkError || error instanceof MongoServerSelectionError) return true;
  if (error instanceof MongoNotConnectedError || error instanceof MongoTopologyClosedError) return true;
  if (error instanceof MongoClientClosedError || error.name === 'MongoWaitQueueTimeoutError') return true;
  // Stored, but perhaps not for good.
  if (error instanceof MongoWriteConcernError) return true;
  if (error instanceof MongoBulkWriteError && error.result.getWriteConcernError() !== undefined) return true;
  // What breaks the connection of a bulk comes as an answer of the server that has no code.
  if (error instanceof MongoBulkWriteError && error.code === undefined) return true;
  if (LABELS.some((label) => error.hasErrorLabel(label))) return true;
  if (!(error instanceof MongoServerError)) return false;
  return PASSING.has(Number(error.code)) || (error.code === INTERNAL_ERROR && CANCELED.test(error.message));
}
