import { afterAll, beforeAll, describe } from '@jest/globals';
import { NatsEventBus } from '../../src/adapters/nats/nats-event-bus.js';
import { describeEventBus } from '../conformance/event-bus.suite.js';
import { NatsStore } from '../support/nats-store.js';
import { unique } from '../support/unique.js';

describe('on a server', () => {
  const stream = unique('EVENTS').replaceAll('.', '-');
  let nats: NatsStore;
  beforeAll(async () => {
    nats = await NatsStore.open();
  });
  afterAll(() => nats.close(stream));

  describeEventBus('nats', async () => {
    const bus = await NatsEventBus.open({ ...nats.options, stream });
    return { bus, clock: nats.clock, close: () => bus.close() };
  });
});
