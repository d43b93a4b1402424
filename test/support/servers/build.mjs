/**
 * Builds every server that tests start, where it is not in the cache folder yet: some minutes each the first time. Run it
 * before the tests: a hook of theirs has no such time.
 */
import { buildFerretDb } from './ferretdb.mjs';
import { buildNatsServer } from './nats.mjs';
import { buildS3 } from './s3.mjs';

for (const build of [buildFerretDb, buildNatsServer, buildS3]) await build();
