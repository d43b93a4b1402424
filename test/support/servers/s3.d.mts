import type { TestServer } from './server-process.mjs';

/** Builds the servers when they are not there yet: some minutes. */
export function buildS3(): Promise<{ readonly gateway: string; readonly objects: string }>;

/** Starts an empty one. `url` names no bucket. What is stored outlives `stop` and `kill`, and ends with `close`. */
export function startS3(): Promise<TestServer>;
