import { SqliteFolder } from '../support/sqlite-folder.js';
import { describeEventLog } from './event-log.suite.js';

describeEventLog('sqlite', async () => {
  const folder = await SqliteFolder.open();
  return {
    log: folder.store.log,
    reopen: async () => (await folder.reopen()).log,
    close: () => folder.close(),
  };
});
