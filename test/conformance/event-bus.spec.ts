import { InProcessEventBus } from '../../src/adapters/memory/in-process-event-bus.js';
import { createLogger } from '../../src/kernel/logger.js';
import { TestClock } from '../support/test-clock.js';
import { describeEventBus } from './event-bus.suite.js';

describeEventBus('in process', async () => {
  const clock = new TestClock();
  const bus = new InProcessEventBus({ clock, logger: createLogger('silent') });
  return { bus, clock, close: () => bus.close() };
});
