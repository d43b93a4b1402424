import { SqliteFolder } from '../support/sqlite-folder.js';
import { describeWorkQueue } from './work-queue.suite.js';

describeWorkQueue('sqlite', async () => {
  const folder = await SqliteFolder.open();
  /** The writer answers in order: once it has, all that was asked for before has been done. */
  const settled = (): Promise<unknown> => folder.store.queue.cancel('nobody');
  return {
    queue: folder.store.queue,
    clock: {
      async advance(ms) {
        await settled();
        await folder.clock.advance(ms);
        await settled();
      },
    },
    reopen: async () => (await folder.reopen()).queue,
    close: () => folder.close(),
  };
});
