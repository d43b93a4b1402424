import type { Readable } from 'node:stream';

export interface BlobInfo {
  readonly key: string;
  readonly sizeBytes: number;
  readonly contentType: string;
  /** SHA-256 of the content in hex. */
  readonly sha256: string;
  /** ISO 8601 UTC. */
  readonly storedAt: string;
  /** ISO 8601 UTC; null when it never expires. */
  readonly expiresAt: string | null;
}

export interface PutOptions {
  /** @default 'application/octet-stream' */
  readonly contentType?: string;
  /** ISO 8601 UTC. @default never */
  readonly expiresAt?: string;
  /** Refuses content above so many bytes, and stores nothing. @default no limit */
  readonly maxBytes?: number;
}

/**
 * Keeps artifacts. Keys are slash-separated segments of 1 to 255 bytes, without `.`/`..` segments, backslashes or
 * control characters, 900 bytes in all. A put is atomic: readers see the old content or the new one, whole.
 */
export abstract class BlobStore {
  /** Stores a stream, replacing what the key held. @throws InvalidKey, TooLarge, Unavailable */
  abstract put(key: string, content: Readable | Uint8Array, options?: PutOptions): Promise<BlobInfo>;

  /** What is known of a key; undefined when there is nothing or it has expired. @throws InvalidKey */
  abstract stat(key: string): Promise<BlobInfo | undefined>;

  /** The content, from `start` to `end` (inclusive) when given; undefined as with `stat`. @throws InvalidKey */
  abstract get(
    key: string,
    range?: { readonly start: number; readonly end: number },
  ): Promise<{ readonly info: BlobInfo; readonly content: Readable } | undefined>;

  /** Everything whose key begins with `prefix`, by key. @param limit @default 1000 */
  abstract list(
    prefix: string,
    options?: { readonly after?: string; readonly limit?: number },
  ): Promise<readonly BlobInfo[]>;

  /** Removes a blob; no error when there is none. @throws InvalidKey */
  abstract delete(key: string): Promise<void>;

  /** Removes what has expired. @returns how many blobs that was. */
  abstract sweep(): Promise<number>;

  /**
   * A URL that lets its bearer read or write one key without any other credential until it expires.
   *
   * @param expiresInMs At least 1,000.
   */
  abstract presign(method: 'GET' | 'PUT', key: string, expiresInMs: number): Promise<string>;

  abstract close(): Promise<void>;
}
