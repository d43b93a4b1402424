import { describe, expect, it } from '@jest/globals';
import type { EventLog } from '../../../src/kernel/ports/event-log.js';
import { startApp, type TestApp } from '../../support/app.js';
import { Luck, scaled } from '../../support/fault-scale.js';
import { record } from '../../support/recorded-log.js';
import { SseListener, type SseMessage } from '../../support/sse.js';
import { until } from '../../support/until.js';

const EVENTS = scaled(400, 8_000);
const SUBSCRIBERS = 5;
const STREAMS = 9;
/** What each subscriber listens to: one to little, the others to much. */
const systemOf = (index: number): string => (index === 0 ? 'beta' : 'alpha');

interface Seen {
  readonly id: string;
  readonly stream: string;
  readonly revision: number;
}

/** Listens until it has seen as many different events as it waits for, and is cut off at any character meanwhile. */
class Unlucky {
  readonly seen = new Map<string, Seen>();
  cuts = 0;
  repeated = 0;
  private lastEventId = '0';
  private over = false;

  constructor(
    private readonly origin: () => string | undefined,
    private readonly luck: Luck,
    private readonly streams: string,
  ) {}

  async listen(): Promise<void> {
    while (!this.over) {
      const origin = await until('the service', () => this.over || this.origin());
      if (typeof origin !== 'string') return;
      const cutAfter = this.luck.pick([this.luck.whole(1, 300), this.luck.whole(1, 20_000)]);
      let listener: SseListener;
      try {
        listener = await SseListener.open(
          `${origin}/ledger/events/stream?system=${this.streams}`,
          { 'last-event-id': this.lastEventId },
          cutAfter,
        );
      } catch {
        continue; // The service is being started again.
      }
      const { statusCode } = listener.response;
      if (statusCode === 503) continue; // It is stopping.
      if (statusCode !== 200) throw new Error(`Answered ${statusCode}`);
      let taken = 0;
      const look = (): boolean => {
        const { ended } = listener;
        this.take(listener.messages.slice(taken));
        taken = listener.messages.length;
        return ended || this.over;
      };
      await until('the end of the connection', look, 60_000).finally(() => listener.close());
      this.cuts += 1;
      this.remember(listener);
    }
  }

  stop(): void {
    this.over = true;
  }

  private take(messages: readonly SseMessage[]): void {
    for (const { data } of messages) {
      const { id, stream, revision } = JSON.parse(data) as Seen;
      if (this.seen.has(id)) this.repeated += 1;
      else this.seen.set(id, { id, stream, revision });
    }
  }

  private remember({ messages, lastEventId }: SseListener): void {
    if (lastEventId === '') return;
    // Somebody who wrote down less than they had seen gets it once more.
    const last: SseMessage | undefined = this.luck.number(1) < 0.3 ? messages.at(-3) : undefined;
    this.lastEventId = last?.id ?? lastEventId;
  }
}

describe('subscribers that are cut off at any moment', () => {
  it('see every event exactly once after deduplication by id, in order per stream', async () => {
    const luck = new Luck();
    let service: TestApp | undefined = await startApp({ RUNLEDGER_ROLES: 'api' });
    const origin = (): string | undefined => service?.origin;
    const subscribers = Array.from(
      { length: SUBSCRIBERS },
      (_, index) => new Unlucky(origin, new Luck(luck.whole(0, 2 ** 31)), systemOf(index)),
    );
    const listening = Promise.all(subscribers.map((subscriber) => subscriber.listen()));
    // Met below; a failure of a subscriber before that must not count as unhandled.
    listening.catch(() => undefined);
    const wanted: Seen[] = [];
    const of = (index: number): Seen[] => wanted.filter(({ stream }) => stream.startsWith(`${systemOf(index)}.`));
    const write = async (log: EventLog, count: number): Promise<void> => {
      const names = Array.from({ length: count }, () => {
        const system = luck.pick(['alpha', 'alpha', 'alpha', 'beta']);
        return `${system}.thing-${luck.whole(1, STREAMS)}`;
      });
      for (const stream of names) {
        await record(log, [{ stream, data: { text: 'x'.repeat(luck.whole(0, 500)) } }]);
        // Gives subscribers a turn now and then, so that some of it is live and some of it is not.
        if (luck.number(1) < 0.2) await new Promise(setImmediate);
      }
    };
    try {
      await write(service.app.kernel.ports.log, EVENTS / 2);
      const stopped = service;
      service = undefined;
      service = await stopped.restart();
      await write(service.app.kernel.ports.log, EVENTS / 2);
      for (const { id, stream, revision } of await service.app.kernel.ports.log.readAll(0, { limit: EVENTS * 2 })) {
        if (/^(alpha|beta)\./.test(stream)) wanted.push({ id, stream, revision });
      }
      const everything = Promise.all(
        subscribers.map((subscriber, index) =>
          until('everything to be seen', () => subscriber.seen.size >= of(index).length, 60_000),
        ),
      );
      // A subscriber ends before only when it fails.
      await Promise.race([everything, listening]);
    } finally {
      for (const subscriber of subscribers) subscriber.stop();
      await service?.close();
    }
    await listening;
    const [cuts, repeated] = (['cuts', 'repeated'] as const).map((what) =>
      subscribers.reduce((sum, subscriber) => sum + subscriber[what], 0),
    );
    process.stderr.write(
      `subscribers cut off: seed ${luck.seed}, events ${wanted.length}, cuts ${cuts}, repeated ${repeated}\n`,
    );
    expect(wanted.length).toBe(EVENTS);
    // The order of the whole log, which is that of each stream.
    for (const [index, { seen }] of subscribers.entries()) {
      expect([...seen.values()]).toEqual(of(index));
    }
    expect(cuts).toBeGreaterThan(SUBSCRIBERS);
  }, 180_000);
});
