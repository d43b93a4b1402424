import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { canonicalJson } from '../../src/kernel/canonical-json.js';
import { subjectToken, type BusEvent, type EventBus } from '../../src/kernel/ports/event-bus.js';
import { whileTimePasses, type PassingTime } from '../support/passing-time.js';
import { Received } from '../support/received.js';
import { unique } from '../support/unique.js';

/** A bus, and the time that its pauses go by. The bus may be shared with others. */
export interface EventBusHarness {
  readonly bus: EventBus;
  readonly clock: PassingTime;
  close(): Promise<void>;
}

/** What every event bus promises, under repetition, failing handlers and slow ones. */
export function describeEventBus(adapter: string, open: () => Promise<EventBusHarness>): void {
  describe(`EventBus: ${adapter}`, () => {
    let harness: EventBusHarness;
    let bus: EventBus;
    /** A part of the subject tree for one test. */
    let tenant: string;
    let position = 0;

    beforeAll(async () => {
      harness = await open();
      bus = harness.bus;
    });
    afterAll(() => harness.close());
    beforeEach(() => {
      tenant = unique('tenant');
    });

    function busEvent(fields: Partial<BusEvent> = {}): BusEvent {
      const type = fields.type ?? 'run.created';
      position += 1;
      return {
        id: randomUUID(),
        subject: `events.sample.${tenant}.${type}`,
        stream: `sample.run-${tenant}`,
        revision: 0,
        position,
        type,
        at: '2026-01-01T00:00:00.000Z',
        data: { runId: 'r-1' },
        metadata: { tenant },
        ...fields,
      };
    }

    function busEvents(count: number): BusEvent[] {
      return Array.from({ length: count }, (_, revision) => busEvent({ revision }));
    }

    /** Publishes one more event to everybody in this test and waits for it: what came before it has then come. */
    async function settle(received: Received<BusEvent>): Promise<readonly string[]> {
      const last = busEvent({ type: 'run.settled' });
      await bus.publish([last]);
      const items = await received.one(({ id }) => id === last.id);
      return ids(items).filter((id) => id !== last.id);
    }

    it('delivers what is published, in order and unchanged', async () => {
      const received = new Received<BusEvent>();
      const subscription = await bus.subscribe(`events.sample.${tenant}.>`, received.take);
      const odd = busEvent({
        stream: 'it\'s "a" stream',
        data: JSON.parse(
          '{"ünï":"😀\\u0000","__proto__":{"a":1},"big":1e+21,"list":[null,true,[{}]]}',
        ) as BusEvent['data'],
      });
      const events = [...busEvents(50), odd];
      await bus.publish(events.slice(0, 20));
      await bus.publish(events.slice(20));
      const items = await received.count(events.length);
      expect(items.map(canonicalJson)).toEqual(events.map(canonicalJson));
      await subscription.stop();
    });

    it('delivers to every subscription', async () => {
      const [one, two] = [new Received<BusEvent>(), new Received<BusEvent>()];
      const subscriptions = [
        await bus.subscribe(`events.sample.${tenant}.>`, one.take),
        await bus.subscribe(`events.sample.${tenant}.>`, two.take),
      ];
      const events = busEvents(10);
      await bus.publish(events);
      expect(ids(await one.count(10))).toEqual(ids(events));
      expect(ids(await two.count(10))).toEqual(ids(events));
      for (const subscription of subscriptions) await subscription.stop();
    });

    it('takes an empty publication', async () => {
      await expect(bus.publish([])).resolves.toBeUndefined();
    });

    it.each<[string, string, readonly string[]]>([
      ['a whole subject', 'events.sample.{tenant}.run.created', ['run.created']],
      ['`*` for one token', 'events.*.{tenant}.run.*', ['run.created', 'run.started']],
      ['`*` for no more than one token', 'events.*.{tenant}.*', ['plain']],
      [
        'a last `>` for one or more tokens',
        'events.sample.{tenant}.run.>',
        ['run.created', 'run.started', 'run.step.failed'],
      ],
      ['`*` and `>` together', '*.*.{tenant}.*.created.>', []],
      ['no prefix of a token', 'events.sample.{tenant}.run.create', []],
    ])('matches %s', async (_, pattern, wanted) => {
      const [matched, all] = [new Received<BusEvent>(), new Received<BusEvent>()];
      const subscriptions = [
        await bus.subscribe(pattern.replace('{tenant}', tenant), matched.take),
        await bus.subscribe(`events.sample.${tenant}.>`, all.take),
      ];
      const published = ['run.created', 'plain', 'run.started', 'run.step.failed', 'runs.created'];
      await bus.publish(published.map((type) => busEvent({ type })));
      await settle(all);
      for (const subscription of subscriptions) await subscription.stop();
      const types = matched.items.map(({ type }) => type).filter((type) => type !== 'run.settled');
      expect(types).toEqual(wanted);
    });

    it('carries subjects of any text that was made a token', async () => {
      const received = new Received<BusEvent>();
      const names = ['a.b', 'with space', '*', '>', 'ümlaut', '', '$x', '%'];
      const subscriptions = await Promise.all(
        names.map((name) => bus.subscribe(`events.${tenant}.${subjectToken(name)}.*`, received.take)),
      );
      for (const name of names) {
        await bus.publish([busEvent({ subject: `events.${tenant}.${subjectToken(name)}.seen`, data: { name } })]);
      }
      const items = await received.count(names.length);
      expect(items.map(({ data }) => data['name']).sort()).toEqual([...names].sort());
      for (const subscription of subscriptions) await subscription.stop();
    });

    it('delivers nothing that was published before the subscription', async () => {
      await bus.publish(busEvents(5));
      const received = new Received<BusEvent>();
      const subscription = await bus.subscribe(`events.sample.${tenant}.>`, received.take);
      expect(await settle(received)).toEqual([]);
      await subscription.stop();
    });

    it('drops a second publication of the same id, alone, in one call, in parallel and after others', async () => {
      const received = new Received<BusEvent>();
      const subscription = await bus.subscribe(`events.sample.${tenant}.>`, received.take);
      const events = busEvents(3);
      const [first, second] = events as [BusEvent, BusEvent];
      await bus.publish([first, first]);
      await bus.publish([second]);
      await Promise.all(Array.from({ length: 20 }, () => bus.publish([second])));
      await bus.publish(events);
      expect(await settle(received)).toEqual(ids(events));
      await subscription.stop();
    });

    it('keeps the order of each stream when many publish at once', async () => {
      const received = new Received<BusEvent>();
      const subscription = await bus.subscribe(`events.sample.${tenant}.>`, received.take);
      const streams = Array.from({ length: 10 }, (_, index) => `sample.run-${tenant}-${index}`);
      await Promise.all(
        streams.map(async (stream) => {
          for (let revision = 0; revision < 20; revision++) await bus.publish([busEvent({ stream, revision })]);
        }),
      );
      const items = await received.count(200);
      for (const stream of streams) {
        const revisions = items.filter((event) => event.stream === stream).map(({ revision }) => revision);
        expect(revisions).toEqual(Array.from({ length: 20 }, (_, revision) => revision));
      }
      await subscription.stop();
    });

    it('calls the handler for one event at a time', async () => {
      const received = new Received<BusEvent>();
      let running = 0;
      let most = 0;
      const subscription = await bus.subscribe(`events.sample.${tenant}.>`, async (event) => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        await received.take(event);
      });
      const events = busEvents(30);
      await bus.publish(events);
      expect(ids(await received.count(30))).toEqual(ids(events));
      expect(most).toBe(1);
      await subscription.stop();
    });

    it('gives a handler that rejects the same event again until it is taken, and only then the next', async () => {
      const taken = new Received<BusEvent>();
      const calls: string[] = [];
      const events = busEvents(3);
      const subscription = await bus.subscribe(`events.sample.${tenant}.>`, async (event) => {
        calls.push(event.id);
        if (event.id === events[1]?.id && calls.length < 5) throw new Error('not yet');
        await taken.take(event);
      });
      await bus.publish(events);
      const items = await whileTimePasses(harness.clock, taken.count(3));
      expect(ids(items)).toEqual(ids(events));
      expect(calls).toEqual([0, 1, 1, 1, 1, 2].map((index) => events[index]?.id));
      await subscription.stop();
    });

    it('survives a handler that throws at once instead of rejecting', async () => {
      const taken = new Received<BusEvent>();
      let thrown = false;
      const subscription = await bus.subscribe(`events.sample.${tenant}.>`, (event) => {
        if (thrown) return taken.take(event);
        thrown = true;
        throw new Error('at once');
      });
      const events = busEvents(2);
      await bus.publish(events);
      expect(ids(await whileTimePasses(harness.clock, taken.count(2)))).toEqual(ids(events));
      await subscription.stop();
    });

    it('lets a failing subscription and one that never ends hold up only themselves', async () => {
      const gate = Promise.withResolvers<void>();
      const [slow, well] = [new Received<BusEvent>(), new Received<BusEvent>()];
      const subscriptions = [
        await bus.subscribe(`events.sample.${tenant}.>`, () => Promise.reject(new Error('never'))),
        await bus.subscribe(`events.sample.${tenant}.>`, async (event) => {
          await gate.promise;
          await slow.take(event);
        }),
        await bus.subscribe(`events.sample.${tenant}.>`, well.take),
      ];
      const events = busEvents(100);
      await bus.publish(events.slice(0, 50));
      await bus.publish(events.slice(50));
      expect(ids(await well.count(100))).toEqual(ids(events));
      expect(slow.items).toEqual([]);
      gate.resolve();
      expect(ids(await slow.count(100))).toEqual(ids(events));
      for (const subscription of subscriptions) await subscription.stop();
    });

    it('awaits the running handler when a subscription stops, and delivers nothing after it', async () => {
      const gate = Promise.withResolvers<void>();
      const [entered, witness] = [new Received<BusEvent>(), new Received<BusEvent>()];
      let left = 0;
      const subscription = await bus.subscribe(`events.sample.${tenant}.>`, async (event) => {
        await entered.take(event);
        await gate.promise;
        left += 1;
      });
      const other = await bus.subscribe(`events.sample.${tenant}.>`, witness.take);
      await bus.publish(busEvents(3));
      await entered.count(1);
      let stopped = false;
      const stopping = subscription.stop().then(() => (stopped = true));
      await settle(witness);
      expect(stopped).toBe(false);
      gate.resolve();
      await stopping;
      expect(left).toBe(1);
      await settle(witness);
      expect(entered.items).toHaveLength(1);
      await other.stop();
    });

    it('stops a subscription that waits to try again, more than once too', async () => {
      const failed = new Received<BusEvent>();
      const subscription = await bus.subscribe(`events.sample.${tenant}.>`, async (event) => {
        await failed.take(event);
        throw new Error('never');
      });
      await bus.publish(busEvents(1));
      await failed.count(1);
      await subscription.stop();
      await subscription.stop();
      const tries = failed.items.length;
      await harness.clock.advance(10_000);
      expect(failed.items).toHaveLength(tries);
    });
  });
}

function ids(events: readonly BusEvent[]): string[] {
  return events.map(({ id }) => id);
}
