import { randomUUID } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import { Received } from '../../../test/support/received.js';
import { TestClock } from '../../../test/support/test-clock.js';
import { Unavailable } from '../../kernel/errors.js';
import type { BusEvent } from '../../kernel/ports/event-bus.js';
import { InProcessEventBus } from './in-process-event-bus.js';

function openBus(maxWaiting?: number) {
  const clock = new TestClock();
  const lines: Record<string, unknown>[] = [];
  const logger = pino({}, { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) });
  const bus = new InProcessEventBus({ clock, logger, ...(maxWaiting === undefined ? {} : { maxWaiting }) });
  return { bus, clock, errors: () => lines.filter(({ level }) => level === 50) };
}

function busEvents(count: number, first = 1): BusEvent[] {
  return Array.from({ length: count }, (_, index) => ({
    id: randomUUID(),
    subject: 'events.sample.acme.run.created',
    stream: 'sample.run-1',
    revision: first + index - 1,
    position: first + index,
    type: 'run.created',
    at: '2026-01-01T00:00:00.000Z',
    data: {},
    metadata: {},
  }));
}

const positions = (events: readonly BusEvent[]): number[] => events.map(({ position }) => position);

describe('InProcessEventBus', () => {
  it('tries again after 100 ms, doubling to 5 s, and begins anew with the next event', async () => {
    const { bus, clock } = openBus();
    const tries: number[] = [];
    await bus.subscribe('>', async ({ position }) => {
      tries.push(clock.steady());
      if (position === 1 ? tries.length < 9 : tries.length < 11) throw new Error('not yet');
    });
    await bus.publish(busEvents(2));
    await clock.whenSleeping();
    await clock.advance(30_000);
    expect(tries.slice(0, 9)).toEqual([0, 100, 300, 700, 1_500, 3_100, 6_300, 11_300, 16_300]);
    expect(tries.slice(9)).toEqual([16_300, 16_400]);
  });

  it('drops a subscription that lags too far, says so, and goes on with the others', async () => {
    const { bus, errors } = openBus(10);
    const gate = Promise.withResolvers<void>();
    const [slow, well] = [new Received<BusEvent>(), new Received<BusEvent>()];
    const lagging = await bus.subscribe('events.>', async (event) => {
      await slow.take(event);
      await gate.promise;
    });
    const quick = await bus.subscribe('events.>', well.take);
    const events = busEvents(25);
    for (const event of events.slice(0, 10)) await bus.publish([event]);
    await well.count(10);
    expect([lagging.dropped.aborted, errors()]).toEqual([false, []]);

    for (const event of events.slice(10)) await bus.publish([event]);
    expect(positions(await well.count(25))).toEqual(positions(events));
    expect(quick.dropped.aborted).toBe(false);
    expect(lagging.dropped.reason).toBeInstanceOf(Unavailable);
    expect(errors()).toEqual([expect.objectContaining({ subject: 'events.>', position: 1, maxWaiting: 10 })]);

    gate.resolve();
    await lagging.stop();
    expect(positions(slow.items)).toEqual([1]);
  });

  it('keeps a slow subscription that stays within the limit', async () => {
    const { bus, errors } = openBus(10);
    const slow = new Received<BusEvent>();
    const subscription = await bus.subscribe('>', slow.take);
    const events = busEvents(3_000);
    // The last event of a round may still be in the handler's hands when the next nine come.
    for (let from = 0; from < events.length; from += 9) {
      await bus.publish(events.slice(from, from + 9));
      await slow.count(Math.min(from + 9, events.length));
    }
    expect(positions(slow.items)).toEqual(positions(events));
    expect([subscription.dropped.aborted, errors()]).toEqual([false, []]);
  });

  it('takes 10,000 waiting events by default', async () => {
    const { bus } = openBus();
    const received = new Received<BusEvent>();
    const subscription = await bus.subscribe('>', received.take);
    await bus.publish(busEvents(10_000));
    await received.count(10_000);
    expect(subscription.dropped.aborted).toBe(false);
    await bus.publish(busEvents(10_001, 10_001));
    expect(subscription.dropped.aborted).toBe(true);
  });

  it('remembers at least the last 10,000 ids, and at most twice as many', async () => {
    const { bus } = openBus();
    const received = new Received<BusEvent>();
    await bus.subscribe('events.sample.acme.run.marked', received.take);
    const marked = { ...(busEvents(1)[0] as BusEvent), subject: 'events.sample.acme.run.marked' };
    await bus.publish([marked, ...busEvents(9_999)]);
    await bus.publish([marked]);
    await bus.publish(busEvents(10_001));
    await bus.publish([marked]);
    await received.count(2);
    expect(received.items).toHaveLength(2);
  });

  it('misses no event that is published just when its handler has run dry', async () => {
    const { bus } = openBus();
    const received = new Received<BusEvent>();
    await bus.subscribe('>', received.take);
    const events = busEvents(200);
    for (const [turns, event] of events.entries()) {
      await bus.publish([event]);
      for (let turn = 0; turn < turns % 10; turn++) await Promise.resolve();
    }
    expect(positions(await received.count(200))).toEqual(positions(events));
  });

  it('awaits running handlers when it closes, and is unavailable from then on', async () => {
    const { bus } = openBus();
    const gate = Promise.withResolvers<void>();
    const entered = new Received<BusEvent>();
    let left = false;
    await bus.subscribe('>', async (event) => {
      await entered.take(event);
      await gate.promise;
      left = true;
    });
    await bus.publish(busEvents(2));
    await entered.count(1);
    const closing = bus.close();
    await expect(bus.publish(busEvents(1))).rejects.toThrow(Unavailable);
    await expect(bus.subscribe('>', entered.take)).rejects.toThrow(Unavailable);
    gate.resolve();
    await closing;
    expect([left, entered.items.length]).toEqual([true, 1]);
  });
});
