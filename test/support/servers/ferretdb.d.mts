import type { TestServer } from './server-process.mjs';

/** Builds FerretDB when it is not there yet: some minutes. @returns the path of the program. */
export function buildFerretDb(): Promise<string>;

/** Starts an empty one. `url` names no database. */
export function startFerretDb(): Promise<TestServer>;
