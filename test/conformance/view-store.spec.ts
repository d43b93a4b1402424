import { SqliteFolder } from '../support/sqlite-folder.js';
import { describeViewStore } from './view-store.suite.js';

describeViewStore('sqlite', async () => {
  const folder = await SqliteFolder.open();
  return {
    views: folder.store.views,
    reopen: async () => (await folder.reopen()).views,
    close: () => folder.close(),
  };
});
