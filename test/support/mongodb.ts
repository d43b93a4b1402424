import { startFerretDb } from './servers/ferretdb.mjs';
import type { TestServer } from './servers/server-process.mjs';
import { unique } from './unique.js';

/** A server that speaks MongoDB's protocol, and a database on it that no other test uses. */
export interface TestMongo {
  readonly url: string;
  readonly database: string;
  /** The server's process, where it is ours to stop: undefined for one that `TEST_MONGODB_URL` names. */
  readonly server: TestServer | undefined;
  close(): Promise<void>;
}

/** The server that `TEST_MONGODB_URL` names, or else a FerretDB of our own. */
export async function openTestMongo(url = process.env['TEST_MONGODB_URL']): Promise<TestMongo> {
  const database = unique('runledger').slice(0, 38);
  if (url) return { url, database, server: undefined, close: async () => undefined };
  const server = await startFerretDb();
  return { url: server.url, database, server, close: () => server.close() };
}
