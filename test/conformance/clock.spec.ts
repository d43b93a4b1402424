import { SystemClock } from '../../src/adapters/system/system-clock.js';
import { TestClock } from '../support/test-clock.js';
import { describeClock } from './clock.suite.js';

describeClock('system', () => {
  const clock = new SystemClock();
  return { clock, advance: (ms) => clock.sleep(ms) };
});

describeClock('test', () => {
  const clock = new TestClock();
  return { clock, advance: (ms) => clock.advance(ms) };
});
