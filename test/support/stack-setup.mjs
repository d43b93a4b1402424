import { startFerretDb } from './servers/ferretdb.mjs';
import { startS3 } from './servers/s3.mjs';

/** One FerretDB and one S3 server for all services of a run, each of which has a database and a bucket of its own. */
export default async function setUp() {
  globalThis.stackServers = [];
  for (const [name, start] of [
    ['TEST_MONGODB_URL', startFerretDb],
    ['TEST_S3_URL', startS3],
  ]) {
    if (process.env[name]) continue;
    const server = await start();
    globalThis.stackServers.push(server);
    process.env[name] = server.url;
  }
}
