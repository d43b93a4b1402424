import type { ExpectedRevision } from './ports/event-log.js';

/** Why the domain says no. A dialect gives each kind its own status and body. */
export type RefusalKind =
  | 'invalid'
  | 'malformed'
  | 'unauthorized'
  | 'forbidden'
  | 'not_found'
  | 'conflict'
  | 'limit_exceeded'
  | 'too_large'
  | 'mismatch';

/** The caller's turn: the request cannot be carried out as it stands, and nothing has changed. */
export class Refused extends Error {
  override readonly name = 'Refused';
  constructor(
    readonly kind: RefusalKind,
    message: string,
    /** Further fields of the error body. */
    readonly details: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
  }
}

/** A port is down or does not answer in time. Trying again later is right: 503 with `Retry-After`. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
  readonly code = 'RUNLEDGER_UNAVAILABLE';
}

/** The stream is not where the append expected it. Load again, decide again. */
export class Conflict extends Error {
  override readonly name = 'Conflict';
  readonly code = 'RUNLEDGER_CONFLICT';
  constructor(
    readonly stream: string,
    readonly expected: ExpectedRevision,
    readonly actual: ExpectedRevision,
  ) {
    super(`Stream ${stream} is at ${actual}, not at ${expected}`);
  }
}

/** An event or a stream name that no log may hold: a bug of the caller. */
export class InvalidEvent extends Error {
  override readonly name = 'InvalidEvent';
  readonly code = 'RUNLEDGER_INVALID_EVENT';
}

/** More than the store takes at once. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';
  readonly code = 'RUNLEDGER_TOO_LARGE';
  constructor(
    message: string,
    readonly limitBytes: number,
  ) {
    super(message);
  }
}

/** A blob key that is not well formed. */
export class InvalidKey extends Error {
  override readonly name = 'InvalidKey';
  readonly code = 'RUNLEDGER_INVALID_KEY';
}

/** Stored history that this code cannot read: an unknown or future schema version, or data that is not its shape. */
export class UnreadableEvent extends Error {
  override readonly name = 'UnreadableEvent';
  readonly code = 'RUNLEDGER_UNREADABLE_EVENT';
}

/** A setting that does not hold; stops the start with this one line. */
export class InvalidSettings extends Error {
  override readonly name = 'InvalidSettings';
  readonly code = 'RUNLEDGER_INVALID_SETTINGS';
}

/** Every stable code, with what to do about it. The README's table is compared with this list by a test. */
export const errorCodes: Readonly<Record<string, string>> = {
  RUNLEDGER_UNAVAILABLE: 'A store, queue or agent cannot be reached: try again; look at /readyz and the log.',
  RUNLEDGER_CONFLICT: 'Others kept writing to the same stream: try again.',
  RUNLEDGER_INVALID_EVENT: 'A bug in a command: report it with the correlation id.',
  RUNLEDGER_TOO_LARGE: 'Send less at once: one append carries at most 1 MiB of data.',
  RUNLEDGER_INVALID_KEY: 'Name the artifact without dot segments, backslashes or control characters.',
  RUNLEDGER_UNREADABLE_EVENT: 'The log was written by newer code, or was altered: upgrade, or verify the log.',
  RUNLEDGER_INVALID_SETTINGS: 'Correct the named environment variable and start again.',
};
