import { afterAll, beforeAll, describe } from '@jest/globals';
import { MongoViewStore } from '../../src/adapters/mongodb/mongo-view-store.js';
import { describeViewStore } from '../conformance/view-store.suite.js';
import { openTestMongo, type TestMongo } from '../support/mongodb.js';

describe('on a server', () => {
  let mongo: TestMongo;
  beforeAll(async () => {
    mongo = await openTestMongo();
  });
  afterAll(() => mongo.close());

  describeViewStore('mongodb', async () => {
    const open = (): Promise<MongoViewStore> => MongoViewStore.connect(mongo.url, { database: mongo.database });
    let views = await open();
    return {
      views,
      async reopen() {
        await views.close();
        views = await open();
        return views;
      },
      async close() {
        for (const collection of await views.collections()) await views.drop(collection);
        await views.close();
      },
    };
  });
});
