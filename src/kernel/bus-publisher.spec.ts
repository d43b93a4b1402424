import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../../test/support/eventually.js';
import { TestLedger } from '../../test/support/test-ledger.js';
import { BusPublisher, subjectOf, toBusEvent } from './bus-publisher.js';
import { Cursors } from './cursors.js';
import { Unavailable } from './errors.js';
import type { BusEvent, EventBus } from './ports/event-bus.js';
import { inContext } from './request-context.js';

let ledger: TestLedger;
let bus: EventBus;
let running: BusPublisher[];
let heard: BusEvent[];

beforeEach(async () => {
  ledger = await TestLedger.open();
  running = [];
  heard = [];
  bus = await openBus();
});
afterEach(async () => {
  for (const publisher of running) await publisher.close();
  await bus.close();
  await ledger.close();
});

async function openBus(): Promise<EventBus> {
  const opened = ledger.openBus();
  await opened.subscribe('events.>', async (event) => void heard.push(event));
  return opened;
}

async function start(to: EventBus = bus): Promise<BusPublisher> {
  const publisher = new BusPublisher(ledger.log, to, new Cursors(ledger.store.views), ledger.clock, ledger.logger);
  await publisher.start();
  running.push(publisher);
  return publisher;
}

const untilHeard = (count: number): Promise<true> =>
  eventually(
    () => heard.length >= count,
    () => ledger.pass(50),
  );

describe('the bus publisher', () => {
  it('hands on every recorded event, in the log’s order', async () => {
    await ledger.fill(10, 30);
    await start();
    await ledger.fill(10, 3);
    await untilHeard(330);
    expect(heard.map(({ id }) => id)).toEqual((await ledger.events()).map(({ id }) => id));
  });

  it('says what happened, where, when and to whom', async () => {
    await start();
    await inContext({ correlationId: 'c-1', actor: 'ada' }, () => ledger.count('a'));
    await untilHeard(1);
    const [stored] = await ledger.events();
    const { id, subject, stream, revision, position, type, at, data, metadata } = heard[0] as BusEvent;
    expect({ id, subject, stream, revision, position, type, at, data, metadata }).toEqual({
      id: stored?.id,
      subject: 'events.sample.acme.counter.added',
      stream: 'sample.counter-a',
      revision: 0,
      position: stored?.position,
      type: 'counter.added',
      at: '2026-01-01T00:00:00.000Z',
      data: { system: 'sample', tenant: 'acme', counter: 'a', by: 1 },
      metadata: JSON.parse(stored?.metadata ?? '') as object,
    });
  });

  it('goes on after a restart behind what the bus has', async () => {
    const first = await start();
    await ledger.count('a', 3);
    await untilHeard(3);
    await first.close();
    running = [];
    await bus.close();
    bus = await openBus();
    await start();
    await ledger.count('a', 1);
    await untilHeard(4);
    expect(heard.map(({ revision }) => revision)).toEqual([0, 1, 2, 3]);
  });

  it('tries again, with the same events, while the bus is away', async () => {
    let failures = 3;
    const away = Object.create(bus, {
      publish: {
        value: async (events: readonly BusEvent[]) => {
          if (failures-- > 0) throw new Unavailable('The bus is away');
          await bus.publish(events);
        },
      },
    }) as EventBus;
    await start(away);
    await ledger.count('a', 2);
    await untilHeard(2);
    expect(heard.map(({ revision }) => revision)).toEqual([0, 1]);
  });
});

describe('a subject', () => {
  it('keeps the dots of the type, and none of what others may name', () => {
    expect(subjectOf('sample', 'acme', 'run.awaiting_approval')).toBe('events.sample.acme.run.awaiting_approval');
    expect(subjectOf('sample', 'a.b *>', 'run.created')).toBe('events.sample.a%2Eb%20%2A%3E.run.created');
    expect(subjectOf('sample', '', 'run.created')).toBe('events.sample.%.run.created');
  });

  it('is found by what it is about', async () => {
    await ledger.count('a');
    const [event] = await ledger.events();
    expect(toBusEvent(event as NonNullable<typeof event>).subject).toBe('events.sample.acme.counter.added');
  });
});
