/**
 * FerretDB 1.24: a server that speaks MongoDB's protocol and keeps its documents in SQLite files. For tests where no
 * MongoDB is at hand. It has no sessions and no transactions. Its updates are not atomic as it comes (it looks which
 * document matches and then writes it, so that of two at once one is lost); here they are, as in MongoDB.
 */
import { join } from 'node:path';
import { builtByGo } from './built-by-go.mjs';
import { runAsScript, ServerProcess } from './server-process.mjs';

/** Builds it when it is not there yet: some minutes. @returns the path of the program. */
export async function buildFerretDb() {
  return builtByGo({
    name: 'ferretdb',
    module: 'github.com/FerretDB/FerretDB',
    version: 'v1.24.0',
    source: join(import.meta.dirname, 'ferretdb.go'),
    patches: [
      {
        // Its index on _id is over another expression than its look-ups by _id: each would read the whole collection.
        file: 'internal/backends/sqlite/metadata/metadata.go',
        text: `"->'$._id'"`,
        by: '`->"_id"`',
      },
      {
        // Each update of a document keeps a connection to SQLite until the whole command ends, and there are a hundred.
        file: 'internal/handler/msg_update.go',
        text: 'common.UpdateDocument(ctx, c, "update", iter, &u)',
        by: 'common.UpdateDocument(ctx, c, "update", iter, &u)\n\t\tcloser.Close()\n\t\tupdates.Unlock()',
      },
      // One update at a time.
      { file: 'internal/handler/msg_update.go', text: '\t"fmt"\n', by: '\t"fmt"\n\t"sync"\n' },
      {
        file: 'internal/handler/msg_update.go',
        text: '// updateDocument iterate',
        by: 'var updates sync.Mutex\n\n// updateDocument iterate',
      },
      {
        file: 'internal/handler/msg_update.go',
        text: 'res, err := c.Query(ctx, &qp)\n\t\tif err != nil {\n',
        by: 'updates.Lock()\n\n\t\tres, err := c.Query(ctx, &qp)\n\t\tif err != nil {\n\t\t\tupdates.Unlock()\n',
      },
    ],
  });
}

/** Starts an empty one. `url` names no database. */
export async function startFerretDb() {
  const program = await buildFerretDb();
  const server = await ServerProcess.start('ferretdb', (port, folder) => ({
    program,
    args: [`127.0.0.1:${port}`, folder],
  }));
  return Object.assign(server, { url: `mongodb://127.0.0.1:${server.port}/` });
}

await runAsScript(import.meta.url, startFerretDb);
