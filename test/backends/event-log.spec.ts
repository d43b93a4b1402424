import { describeEventLog } from '../conformance/event-log.suite.js';
import { connectLog, DoubleFolder } from '../support/eventstoredb/double-folder.js';

const named = process.env['TEST_EVENTSTORE_URL'];

for (const version of ['23.10', '24.2'] as const) {
  describeEventLog(`eventstoredb, double of ${version}`, async () => {
    const folder = await DoubleFolder.open({ version });
    let log = connectLog(folder.server.url);
    return {
      log,
      async reopen() {
        await log.close();
        log = connectLog(folder.server.url);
        return log;
      },
      async close() {
        await log.close();
        await folder.close();
      },
    };
  });
}

if (named) {
  describeEventLog('eventstoredb', async () => {
    let log = connectLog(named);
    return {
      log,
      async reopen() {
        await log.close();
        log = connectLog(named);
        return log;
      },
      close: () => log.close(),
    };
  });
}
