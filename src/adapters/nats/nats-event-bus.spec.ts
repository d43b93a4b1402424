import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connect, nanos, type NatsConnection, type StreamConfig } from 'nats';
import { Received } from '../../../test/support/received.js';
import { startNatsServer } from '../../../test/support/servers/nats.mjs';
import type { TestServer } from '../../../test/support/servers/server-process.mjs';
import { TcpProxy } from '../../../test/support/tcp-proxy.js';
import { until } from '../../../test/support/until.js';
import { Unavailable } from '../../kernel/errors.js';
import { createLogger } from '../../kernel/logger.js';
import type { BusEvent } from '../../kernel/ports/event-bus.js';
import { SystemClock } from '../system/system-clock.js';
import type { CloudEvent } from './cloud-event.js';
import { NatsEventBus, type NatsEventBusOptions } from './nats-event-bus.js';

const STREAM = 'RUNLEDGER_EVENTS';

describe('the NATS event bus', () => {
  let server: TestServer;
  let proxy: TcpProxy;
  let buses: NatsEventBus[];
  let observer: NatsConnection | undefined;
  let position: number;

  beforeEach(async () => {
    server = await startNatsServer();
    proxy = await TcpProxy.open(server.port);
    buses = [];
    position = 0;
  });
  afterEach(async () => {
    server.thaw();
    proxy.unmute();
    for (const bus of buses) await bus.close();
    await observer?.close();
    observer = undefined;
    await proxy.close();
    await server.close();
  });

  async function open(options: Partial<NatsEventBusOptions> = {}): Promise<NatsEventBus> {
    const bus = await NatsEventBus.open({
      url: server.url,
      clock: new SystemClock(),
      logger: createLogger('silent'),
      ...options,
    });
    buses.push(bus);
    return bus;
  }

  function throughProxy(): Promise<NatsEventBus> {
    return open({ url: `nats://127.0.0.1:${proxy.port}`, pingMs: 500, timeoutMs: 1_000 });
  }

  function events(count: number, data: BusEvent['data'] = {}): BusEvent[] {
    return Array.from({ length: count }, () => ({
      id: randomUUID(),
      subject: 'events.sample.tenant.run.created',
      stream: 'sample.run-1',
      revision: position,
      position: ++position,
      type: 'run.created',
      at: '2026-01-01T00:00:00.000Z',
      data,
      metadata: { tenant: 'tenant' },
    }));
  }

  /** Publishes as the service does: the same batch again until it is in the bus's keeping. */
  async function patiently(bus: NatsEventBus, batch: readonly BusEvent[]): Promise<void> {
    await until('the batch is published', async () => {
      try {
        await bus.publish(batch);
        return true;
      } catch (error) {
        if (!(error instanceof Unavailable)) throw error;
        return false;
      }
    });
  }

  /** What a subscriber without any code of ours reads from the stream, from its beginning. */
  async function stored(): Promise<{ readonly subject: string; readonly type: string; readonly event: CloudEvent }[]> {
    observer ??= await connect({ servers: server.url });
    const manager = await observer.jetstreamManager();
    const { messages } = (await manager.streams.info(STREAM)).state;
    const found: { subject: string; type: string; event: CloudEvent }[] = [];
    if (messages === 0) return found;
    const consumer = await observer.jetstream().consumers.get(STREAM);
    for await (const message of await consumer.consume()) {
      const type = message.headers?.get('content-type') ?? '';
      found.push({ subject: message.subject, type, event: message.json<CloudEvent>() });
      if (found.length === messages) break;
    }
    return found;
  }

  async function storedIds(): Promise<string[]> {
    return (await stored()).map(({ event }) => event.id);
  }

  async function changeStream(change: Partial<StreamConfig>): Promise<void> {
    observer ??= await connect({ servers: server.url });
    await (await observer.jetstreamManager()).streams.update(STREAM, change);
  }

  it('keeps CloudEvents that anybody can replay', async () => {
    const bus = await open();
    const [event] = events(1, { runId: 'r-1', text: 'ünï' }) as [BusEvent];
    await bus.publish([{ ...event, metadata: { tenant: 'tenant', traceparent: '00-1-2-01', actor: 'me' } }]);
    expect(await stored()).toEqual([
      {
        subject: 'events.sample.tenant.run.created',
        type: 'application/cloudevents+json; charset=utf-8',
        event: {
          specversion: '1.0',
          id: event.id,
          source: '/sample',
          type: 'run.created',
          subject: 'sample.run-1',
          time: '2026-01-01T00:00:00.000Z',
          datacontenttype: 'application/json',
          data: { runId: 'r-1', text: 'ünï' },
          stream: 'sample.run-1',
          revision: 0,
          position: '1',
          metadata: '{"tenant":"tenant","traceparent":"00-1-2-01","actor":"me"}',
          tenant: 'tenant',
          traceparent: '00-1-2-01',
        },
      },
    ]);
  });

  it.each(['stop', 'kill'] as const)(
    'goes on after a %s of the server where publisher and subscriber were',
    async (end) => {
      const bus = await open();
      const received = new Received<BusEvent>();
      await bus.subscribe('events.>', received.take);
      const [before, after] = [events(20), events(20)];
      await bus.publish(before);
      await received.count(20);
      await server[end]();
      await expect(bus.publish(after)).rejects.toThrow(Unavailable);
      await expect(bus.subscribe('events.>', received.take)).rejects.toThrow(Unavailable);
      await server.start();
      await patiently(bus, after);
      expect(idsOf(await received.count(40))).toEqual(idsOf([...before, ...after]));
      expect(await storedIds()).toEqual(idsOf([...before, ...after]));
    },
  );

  it('is Unavailable at once where no server is', async () => {
    await server.stop();
    await expect(open()).rejects.toThrow(Unavailable);
    await server.start();
  });

  it('keeps all events once and in order while the connection is cut again and again', async () => {
    const bus = await throughProxy();
    const received = new Received<BusEvent>();
    await bus.subscribe('events.>', received.take);
    const all = events(1_000);
    for (let from = 0; from < all.length; from += 100) {
      const publishing = patiently(bus, all.slice(from, from + 100));
      await until('some have arrived', () => proxy.size > 0);
      proxy.cut();
      await publishing;
    }
    expect(await storedIds()).toEqual(idsOf(all));
    expect(idsOf(await received.count(all.length))).toEqual(idsOf(all));
  });

  it('stores nothing twice whose acknowledgement was lost', async () => {
    const bus = await throughProxy();
    const batch = events(10);
    await bus.publish(batch.slice(0, 2));
    proxy.muteServer();
    await expect(bus.publish(batch.slice(0, 7))).rejects.toThrow(Unavailable);
    proxy.unmute();
    proxy.cut();
    expect(await storedIds()).toEqual(idsOf(batch.slice(0, 7)));
    await patiently(bus, batch);
    expect(await storedIds()).toEqual(idsOf(batch));
  });

  it('is Unavailable while the server is frozen, and keeps each event once afterwards', async () => {
    const bus = await open({ timeoutMs: 500 });
    const batch = events(10);
    server.freeze();
    await expect(bus.publish(batch)).rejects.toThrow(Unavailable);
    server.thaw();
    await patiently(bus, batch);
    expect(await storedIds()).toEqual(idsOf(batch));
  });

  it('closes while the server is frozen', async () => {
    const bus = await open({ timeoutMs: 500 });
    await bus.subscribe('events.>', async () => undefined);
    server.freeze();
    await bus.close();
    await expect(bus.publish(events(1))).rejects.toThrow(Unavailable);
  });

  it('stores nothing twice that comes after the server has forgotten its message id', async () => {
    const batch = events(50);
    await (await open()).publish(batch.slice(0, 40));
    await changeStream({ duplicate_window: nanos(100) });
    const forgotten = events(1);
    const other = await open();
    await other.publish(forgotten);
    await other.publish(batch);
    expect(await storedIds()).toEqual(idsOf([...batch.slice(0, 40), ...forgotten, ...batch.slice(40)]));
  });

  it('keeps each event once and in order when two processes publish the same', async () => {
    const [one, two] = [await open(), await open()];
    const all = events(1_000);
    for (let from = 0; from < all.length; from += 250) {
      const batch = all.slice(from, from + 250);
      await Promise.all([patiently(one, batch), patiently(two, batch)]);
    }
    expect(await storedIds()).toEqual(idsOf(all));
  });

  it('is Unavailable while the stream is full: it keeps what it has, and goes on in order once there is room', async () => {
    const bus = await open();
    await changeStream({ max_msgs: 7 });
    const batch = events(20);
    await expect(bus.publish(batch)).rejects.toThrow(Unavailable);
    await expect(bus.publish(batch)).rejects.toThrow(Unavailable);
    expect(await storedIds()).toEqual(idsOf(batch.slice(0, 7)));
    await changeStream({ max_msgs: -1 });
    await bus.publish(batch);
    expect(await storedIds()).toEqual(idsOf(batch));
  });

  it('keeps to the limits that it was opened with', async () => {
    const bus = await open({ maxBytes: 20_000 });
    const batch = events(20, { text: 'x'.repeat(2_000) });
    await expect(bus.publish(batch)).rejects.toThrow(Unavailable);
    const kept = await storedIds();
    expect(kept.length).toBeGreaterThan(0);
    expect(kept).toEqual(idsOf(batch.slice(0, kept.length)));
  });

  it('holds up nobody for a slow subscriber, and loses nothing for it', async () => {
    const bus = await open();
    const gate = Promise.withResolvers<void>();
    const [slow, quick] = [new Received<BusEvent>(), new Received<BusEvent>()];
    await bus.subscribe('events.>', async (event) => {
      await gate.promise;
      await slow.take(event);
    });
    await bus.subscribe('events.>', quick.take);
    const all = events(3_000, { text: 'x'.repeat(5_000) });
    for (let from = 0; from < all.length; from += 500) await patiently(bus, all.slice(from, from + 500));
    expect(idsOf(await quick.count(all.length))).toEqual(idsOf(all));
    expect(slow.items).toEqual([]);
    gate.resolve();
    expect(idsOf(await slow.count(all.length))).toEqual(idsOf(all));
  });

  it('goes on after the server has forgotten its reader', async () => {
    const bus = await open();
    const received = new Received<BusEvent>();
    await bus.subscribe('events.>', received.take);
    const [before, after] = [events(3), events(3)];
    await bus.publish(before);
    await received.count(3);
    observer ??= await connect({ servers: server.url });
    const manager = await observer.jetstreamManager();
    for await (const { name } of manager.consumers.list(STREAM)) await manager.consumers.delete(STREAM, name);
    await bus.publish(after);
    expect(idsOf(await received.count(6))).toEqual(idsOf([...before, ...after]));
  });

  it('begins a new stream when the server has lost it', async () => {
    const bus = await open();
    const received = new Received<BusEvent>();
    await bus.subscribe('events.>', received.take);
    const [before, after] = [events(5), events(3)];
    await bus.publish(before);
    await received.count(5);
    observer ??= await connect({ servers: server.url });
    await (await observer.jetstreamManager()).streams.delete(STREAM);
    await patiently(bus, after);
    expect(await storedIds()).toEqual(idsOf(after));
    expect(idsOf(await received.count(8))).toEqual(idsOf([...before, ...after]));
  });

  it('carries an event of a megabyte', async () => {
    const bus = await open();
    const received = new Received<BusEvent>();
    await bus.subscribe('events.>', received.take);
    const batch = events(2, { text: 'x'.repeat(1_048_000) });
    await bus.publish(batch);
    expect(await received.count(2)).toEqual(batch);
  });
});

function idsOf(batch: readonly { readonly id: string }[]): string[] {
  return batch.map(({ id }) => id);
}
