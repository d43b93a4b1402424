import { afterAll, beforeAll, describe } from '@jest/globals';
import { NatsWorkQueue } from '../../src/adapters/nats/nats-work-queue.js';
import { describeWorkQueue } from '../conformance/work-queue.suite.js';
import { NatsStore } from '../support/nats-store.js';
import { unique } from '../support/unique.js';

describe('on a server', () => {
  const stream = unique('WORK').replaceAll('.', '-');
  let nats: NatsStore;
  beforeAll(async () => {
    nats = await NatsStore.open();
  });
  afterAll(() => nats.close(stream));

  describeWorkQueue('nats', async () => {
    let queue = await NatsWorkQueue.open({ ...nats.options, stream });
    return {
      queue,
      clock: nats.clock,
      async reopen() {
        await queue.close();
        queue = await NatsWorkQueue.open({ ...nats.options, stream });
        return queue;
      },
      close: () => queue.close(),
    };
  });
});
