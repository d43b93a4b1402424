import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { defineEvent } from '../../contracts/define-event.js';
import { counterAdded, counterClosed, counterDecider, counterStream } from '../../test/support/counter.js';
import { FaultyLog } from '../../test/support/faulty-log.js';
import { catalogOf, TestLedger } from '../../test/support/test-ledger.js';
import type { Decider } from './decider.js';
import { Conflict, InvalidEvent, Refused, Unavailable, UnreadableEvent } from './errors.js';
import type { EventMetadata } from './event-catalog.js';
import { CHAIN_START, chainHash } from './hash-chain.js';
import type { StoredEvent } from './ports/event-log.js';
import { inContext } from './request-context.js';
import type { Streams } from './streams.js';

const stream = counterStream('a');
const add = (by: number) => ({ type: 'add', counter: 'a', by }) as const;
const close = { type: 'close', counter: 'a' } as const;

let ledger: TestLedger;
let streams: Streams;

beforeEach(async () => {
  ledger = await TestLedger.open();
  streams = ledger.streams();
});
afterEach(() => ledger.close());

const metadataOf = ({ metadata }: StoredEvent): EventMetadata => JSON.parse(metadata) as EventMetadata;
const addTo = (by: number, by_: Streams = streams) => by_.transact(counterDecider, stream, add(by));

describe('a command on a stream', () => {
  it('loads, decides and appends', async () => {
    await addTo(2);
    const outcome = await addTo(3);
    const stored = await ledger.log.readStream(stream);
    expect(outcome.state).toMatchObject({ total: 5, open: true });
    expect(outcome.events).toEqual([
      { type: 'counter.added', data: { system: 'sample', tenant: 'acme', counter: 'a', by: 3 } },
    ]);
    expect(outcome.position).toBe(stored[1]?.position);
    expect(stored.map(({ data }) => JSON.parse(data) as object)).toMatchObject([{ by: 2 }, { by: 3 }]);
  });

  it('appends nothing when the decider has nothing to say', async () => {
    await addTo(2);
    const outcome = await addTo(0);
    expect(outcome).toMatchObject({ state: { total: 2 }, events: [], position: undefined });
    expect(await ledger.events()).toHaveLength(1);
  });

  it('is refused as the decider says, and changes nothing', async () => {
    await streams.transact(counterDecider, stream, close);
    await expect(addTo(1)).rejects.toThrow(Refused);
    expect(await ledger.events()).toHaveLength(1);
  });

  it('comes to the same state from a cold start as from a warm cache', async () => {
    for (const by of [1, 2, 3]) await addTo(by);
    await streams.transact(counterDecider, stream, close);
    const warm = await streams.read(counterDecider, stream);
    const cold = await ledger.streams().read(counterDecider, stream);
    expect(cold).toEqual(warm);
    expect(cold).toMatchObject({ total: 6, open: false });
  });

  it('reads a history of several pages to its end', async () => {
    const many: Decider<null, number, { type: 'counter.added'; data: object }> = {
      initial: null,
      decide: (times) => Array.from({ length: times }, () => ({ type: 'counter.added', data: { ...scope, by: 1 } })),
      evolve: () => null,
    };
    await streams.transact(many, stream, 2_001);
    expect((await ledger.streams().read(counterDecider, stream)).total).toBe(2_001);
  });

  it('closes the hash chain over every event', async () => {
    const both: Decider<null, null, { type: 'counter.added'; data: object }> = {
      initial: null,
      decide: () => [1, 2].map((by) => ({ type: 'counter.added', data: { ...scope, by } })),
      evolve: () => null,
    };
    await streams.transact(both, stream, null);
    await addTo(3);
    let previous = CHAIN_START;
    const stored = await ledger.log.readStream(stream);
    for (const event of stored) {
      previous = chainHash(previous, stream, event.revision, event);
      expect(event.hash).toBe(previous);
    }
    expect(stored).toHaveLength(3);
  });
});

const scope = { system: 'sample', tenant: 'acme', counter: 'a' } as const;

describe('what is recorded beside an event', () => {
  it('is the time of its decision, live and in every replay', async () => {
    await addTo(1);
    await ledger.clock.advance(1_234);
    const { state } = await addTo(1);
    const times = (await ledger.log.readStream(stream)).map((event) => metadataOf(event).at);
    expect(times).toEqual(['2026-01-01T00:00:00.000Z', '2026-01-01T00:00:01.234Z']);
    expect(state.at).toBe(times[1]);
    expect((await ledger.streams().read(counterDecider, stream)).at).toBe(times[1]);
  });

  it('is who asked, as part of what, and the trace', async () => {
    const context = {
      correlationId: 'c-1',
      causationId: 'r-1',
      actor: 'ada',
      traceparent: '00-ab-cd-01',
      commandId: 'k-1',
    };
    await inContext(context, () => addTo(1));
    const [event] = await ledger.log.readStream(stream);
    expect(metadataOf(event as StoredEvent)).toEqual({
      at: '2026-01-01T00:00:00.000Z',
      schemaVersion: 1,
      tenant: 'acme',
      ...context,
    });
  });

  it('leaves out what nobody knows', async () => {
    await addTo(1);
    const [event] = await ledger.log.readStream(stream);
    expect(Object.keys(metadataOf(event as StoredEvent)).sort()).toEqual([
      'at',
      'correlationId',
      'schemaVersion',
      'tenant',
    ]);
  });

  it('tells the process which tenant wrote, and up to where', async () => {
    const { position } = await addTo(1);
    expect(ledger.freshness.lastWrite('acme')).toBe(position);
    expect(ledger.freshness.lastWrite('other')).toBe(0);
  });
});

describe('two processes on one stream', () => {
  it('lose no update', async () => {
    const other = ledger.streams();
    await Promise.all(Array.from({ length: 60 }, (_, at) => addTo(1, at % 2 === 0 ? streams : other)));
    expect((await ledger.streams().read(counterDecider, stream)).total).toBe(60);
    expect(await ledger.log.readStream(stream)).toHaveLength(60);
  });

  it('decide anew on what the other wrote', async () => {
    const other = ledger.streams();
    await addTo(1);
    await other.transact(counterDecider, stream, close);
    await expect(addTo(1)).rejects.toThrow(new Refused('conflict', 'The counter is closed'));
    expect(await ledger.log.readStream(stream)).toHaveLength(2);
  });

  it('refuse nothing because of what has changed since they looked', async () => {
    const openAgain: Decider<boolean, 'open' | 'use', { type: 'counter.added' | 'counter.closed'; data: object }> = {
      initial: false,
      decide(command, open) {
        if (command === 'use' && !open) throw new Refused('conflict', 'Not open');
        return command === 'use'
          ? [{ type: 'counter.closed', data: scope }]
          : [{ type: 'counter.added', data: { ...scope, by: 1 } }];
      },
      evolve: (_open, event) => event.type === 'counter.added',
    };
    const other = ledger.streams();
    await streams.transact(openAgain, stream, 'open');
    await streams.transact(openAgain, stream, 'use');
    await other.transact(openAgain, stream, 'open');
    expect((await streams.transact(openAgain, stream, 'use')).events).toHaveLength(1);
  });

  it('read what the other wrote', async () => {
    const other = ledger.streams();
    await addTo(1);
    await addTo(5, other);
    expect((await streams.read(counterDecider, stream)).total).toBe(6);
  });

  it('give up after fifty conflicts in a row', async () => {
    const other = ledger.streams();
    let lost = 0;
    const overtaken = new (class extends FaultyLog {
      override async append(...args: Parameters<FaultyLog['append']>): ReturnType<FaultyLog['append']> {
        lost += 1;
        await addTo(1, other);
        return super.append(...args);
      }
    })(ledger.log);
    await expect(addTo(1, ledger.streams(overtaken))).rejects.toThrow(Conflict);
    expect(lost).toBe(50);
    expect((await streams.read(counterDecider, stream)).total).toBe(50);
  });
});

describe('a command with an Idempotency-Key', () => {
  const asCommand = <Result>(commandId: string, work: () => Promise<Result>): Promise<Result> =>
    inContext({ correlationId: 'test', commandId }, work);

  it('is accepted by a stream once', async () => {
    const first = await asCommand('k-1', () => addTo(2));
    const again = await asCommand('k-1', () => addTo(2));
    expect(first.events).toHaveLength(1);
    expect(again).toEqual({ state: first.state, events: [], position: undefined });
  });

  it('is accepted once over a restart, and by whichever process', async () => {
    await asCommand('k-1', () => addTo(2));
    await asCommand('k-1', () => addTo(2, ledger.streams()));
    await ledger.reopen();
    await asCommand('k-1', () => addTo(2, ledger.streams()));
    expect(await ledger.events()).toHaveLength(1);
  });

  it('is accepted once when two processes get it at the same time', async () => {
    const other = ledger.streams();
    await Promise.all([streams, other].map((each) => asCommand('k-1', () => addTo(2, each))));
    expect(await ledger.events()).toHaveLength(1);
  });

  it('holds up no other command', async () => {
    await asCommand('k-1', () => addTo(2));
    await asCommand('k-2', () => addTo(2));
    await addTo(2);
    expect((await streams.read(counterDecider, stream)).total).toBe(6);
  });
});

describe('a log that does not answer', () => {
  it('is sent the same events again, and holds them once', async () => {
    const log = new FaultyLog(ledger.log);
    log.loseAnswers = 2;
    const { state } = await ledger.whileTimePasses(addTo(4, ledger.streams(log)));
    expect(state.total).toBe(4);
    expect(log.sent).toHaveLength(3);
    expect(new Set(log.sent.map(([event]) => event?.id)).size).toBe(1);
    expect(await ledger.events()).toHaveLength(1);
  });

  it('is given up after three times, and nothing is believed that is not stored', async () => {
    const log = new FaultyLog(ledger.log);
    const bad = ledger.streams(log);
    await addTo(1, bad);
    log.refuseAppends = 3;
    await expect(ledger.whileTimePasses(addTo(4, bad))).rejects.toThrow(Unavailable);
    expect((await bad.read(counterDecider, stream)).total).toBe(1);
    expect((await addTo(2, bad)).state.total).toBe(3);
  });

  it('may have stored what it never acknowledged: the next command sees it', async () => {
    const log = new FaultyLog(ledger.log);
    const bad = ledger.streams(log);
    await addTo(1, bad);
    log.loseAnswers = 3;
    await expect(ledger.whileTimePasses(addTo(4, bad))).rejects.toThrow(Unavailable);
    expect((await addTo(2, bad)).state.total).toBe(7);
  });

  it('holds up no command for longer than ten seconds before its turn, and lets no two pass at once', async () => {
    const log = new FaultyLog(ledger.log);
    const frozen = Promise.withResolvers<void>();
    log.frozen = frozen.promise;
    const bad = ledger.streams(log);
    const first = addTo(1, bad);
    const late = Promise.allSettled([addTo(2, bad), addTo(3, bad)]);
    await ledger.pass(10_000);
    const reasons = (await late).map((outcome) => outcome.status === 'rejected' && outcome.reason);
    expect(reasons).toEqual([expect.any(Unavailable), expect.any(Unavailable)]);
    const next = addTo(4, bad);
    frozen.resolve();
    expect((await Promise.all([first, next])).map(({ state }) => state.total)).toEqual([1, 5]);
    expect(log.sent).toHaveLength(2);
  });
});

describe('history that this code cannot read', () => {
  const newer = defineEvent('counter.added', {
    version: 2,
    data: z.object({}),
    upcasts: { 1: (data: object) => data },
  });
  const unheard = defineEvent('counter.reset', { version: 1, data: z.object({}) });
  const writing = (definitions: Parameters<typeof catalogOf>[0], type: string) => {
    const decider: Decider<null, null, { type: string; data: object }> = {
      initial: null,
      decide: () => [{ type, data: { tenant: 'acme' } }],
      evolve: () => null,
    };
    return ledger.streams(ledger.log, catalogOf(definitions)).transact(decider, stream, null);
  };

  it('of an unknown type is refused by name and place', async () => {
    await addTo(1);
    await writing([counterAdded, unheard], 'counter.reset');
    await expect(ledger.streams().read(counterDecider, stream)).rejects.toThrow(
      new UnreadableEvent(`counter.reset at revision 1 of ${stream} is of a type this version does not know`),
    );
    await expect(addTo(1, ledger.streams())).rejects.toThrow(UnreadableEvent);
    expect(await ledger.events()).toHaveLength(2);
  });

  it('of a future schema version is refused', async () => {
    await writing([newer, counterClosed], 'counter.added');
    await expect(ledger.streams().read(counterDecider, stream)).rejects.toThrow(
      'schema version 2; this version reads up to 1',
    );
  });
});

describe('an event outside of its contract', () => {
  const saying = (event: { type: string; data: object }): Decider<null, null, { type: string; data: object }> => ({
    initial: null,
    decide: () => [event],
    evolve: () => null,
  });

  it.each([
    ['with a wrong field', { type: 'counter.added', data: { ...scope, by: 'two' } }],
    ['without a field', { type: 'counter.added', data: scope }],
    ['of an undeclared type', { type: 'counter.doubled', data: scope }],
  ])('%s is never stored', async (_name, event) => {
    await expect(streams.transact(saying(event), stream, null)).rejects.toThrow(InvalidEvent);
    expect(await ledger.events()).toEqual([]);
  });

  it('keeps the good ones beside it out too', async () => {
    const decider: Decider<null, null, { type: string; data: object }> = {
      ...saying({ type: '', data: {} }),
      decide: () => [
        { type: counterClosed.type, data: scope },
        { type: counterAdded.type, data: scope },
      ],
    };
    await expect(streams.transact(decider, stream, null)).rejects.toThrow(InvalidEvent);
    expect(await ledger.events()).toEqual([]);
  });

  it('of another system is none of its own', async () => {
    await expect(streams.transact(counterDecider, 'other.counter-a', add(1))).rejects.toThrow(
      'other declares no event counter.added',
    );
  });
});

describe('a decider that the last event tells all', () => {
  const last: Decider<number, number, { type: 'counter.added'; data: { by: number } }> = {
    initial: 0,
    lastEventOnly: true,
    decide: (by, before) => (by === before ? [] : [{ type: 'counter.added', data: { ...scope, by } }]),
    evolve: (_before, event) => event.data.by,
  };

  it('is given no more of the stream', async () => {
    const log = new FaultyLog(ledger.log);
    for (const by of [1, 2, 3]) await streams.transact(last, stream, by);
    let read = 0;
    const counting: typeof last = { ...last, evolve: (_before, event) => ((read += 1), event.data.by) };
    expect(await ledger.streams(log).read(counting, stream)).toBe(3);
    expect(read).toBe(1);
  });

  it('still decides on what others wrote last, and chains on to it', async () => {
    const other = ledger.streams();
    await streams.transact(last, stream, 1);
    await other.transact(last, stream, 2);
    expect((await streams.transact(last, stream, 2)).events).toEqual([]);
    await streams.transact(last, stream, 3);
    const [first, second, third] = await ledger.log.readStream(stream);
    expect(third?.hash).toBe(chainHash(second?.hash ?? '', stream, 2, third as StoredEvent));
    expect(first?.hash).not.toBe(third?.hash);
  });
});

describe('the cache of states', () => {
  it('spares the history of a stream that was used lately, and forgets the oldest', async () => {
    const log = new FaultyLog(ledger.log);
    const small = ledger.streams(log, ledger.catalog, { streams: 2, characters: 1_000_000 });
    for (const counter of ['a', 'b', 'c']) await ledger.count(counter, 1, small);
    log.streamsRead.length = 0;
    await ledger.count('c', 1, small);
    expect(log.streamsRead).toEqual([]);
    await ledger.count('a', 1, small);
    expect(log.streamsRead).toEqual([counterStream('a')]);
  });

  it('keeps no state whose history is larger than all of it', async () => {
    const log = new FaultyLog(ledger.log);
    const small = ledger.streams(log, ledger.catalog, { streams: 10, characters: 300 });
    await ledger.count('a', 5, small);
    log.streamsRead.length = 0;
    await ledger.count('a', 1, small);
    expect(log.streamsRead).toEqual([stream]);
    expect((await small.read(counterDecider, stream)).total).toBe(6);
  });
});
