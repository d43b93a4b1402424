/** Identifiers, so that tests can own them. */
export abstract class Ids {
  /** A UUIDv7 in lower case: ordered by time, so that indexes grow at their end. */
  abstract uuid(): string;

  /** `length` characters of [0-9a-z] that nobody can guess. */
  abstract token(length: number): string;
}
