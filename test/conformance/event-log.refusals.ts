import { expect, it } from '@jest/globals';
import { canonicalJson } from '../../src/kernel/canonical-json.js';
import { InvalidEvent, TooLarge } from '../../src/kernel/errors.js';
import { MAX_APPEND_BYTES, MAX_STREAM_NAME, type SealedEvent } from '../../src/kernel/ports/event-log.js';
import { sealedEvent, sealedEvents } from '../support/sealed-event.js';
import { unique } from '../support/unique.js';
import { after, dataOf, failureOf, ofStreams, plain, subscribed, type Context } from './event-log.support.js';

/** What is turned away, and up to where events are taken. */
export function describeRefusals(context: Context): void {
  const badEvents: [string, Partial<SealedEvent>][] = [
    ['an id that is no UUID', { id: 'not-a-uuid' }],
    ['an empty id', { id: '' }],
    ['an id with more behind it', { id: `${sealedEvent().id}0` }],
    ['an id in upper case', { id: '0190F000-0000-7000-8000-00000000000A' }],
    ['an empty type', { type: '' }],
    ...['[]', '1', 'null', 'true', '"text"', '', '{', '{"a":1', 'undefined', "{'a':1}", '{} {}'].flatMap(
      (text): [string, Partial<SealedEvent>][] => [
        [`data that is ${JSON.stringify(text)}`, { data: text }],
        [`metadata that is ${JSON.stringify(text)}`, { metadata: text }],
      ],
    ),
  ];

  it.each(badEvents)('is an event with %s, and nothing of its append is stored', async (_, fields) => {
    const { log } = context;
    const stream = unique('bad-event');
    await expect(log.append(stream, 'none', [sealedEvent(fields)])).rejects.toThrow(InvalidEvent);
    await expect(log.append(stream, 'none', [sealedEvent(), sealedEvent(fields)])).rejects.toThrow(InvalidEvent);
    expect(await log.readStream(stream)).toEqual([]);
    expect(await log.append(stream, 'none', sealedEvents(1))).toMatchObject({ revision: 0 });
  });

  it.each([
    ['empty', ''],
    ['a lone $', '$'],
    ['of the system', '$all'],
    ['of a stream of the system', '$$orders-1'],
    ['one with a NUL', 'orders\u0000-1'],
    ['one with a line feed', 'orders-1\n'],
    ['one with a tab', '\torders-1'],
    ['one with a DEL', 'orders\u007f1'],
    ['too long', 'x'.repeat(MAX_STREAM_NAME + 1)],
  ])('is a stream name that is %s', async (_, stream) => {
    const { log } = context;
    await expect(log.append(stream, 'none', sealedEvents(1))).rejects.toThrow(InvalidEvent);
  });

  it('is no event at all', async () => {
    const { log } = context;
    const stream = unique('nothing');
    await expect(log.append(stream, 'none', [])).rejects.toThrow(InvalidEvent);
    await log.append(stream, 'none', sealedEvents(1));
    await expect(log.append(stream, 0, [])).rejects.toThrow(InvalidEvent);
    await expect(log.append(stream, 7, [])).rejects.toThrow(InvalidEvent);
  });

  it('disturbs no append beside it or after it', async () => {
    const { log } = context;
    const streams = Array.from({ length: 20 }, () => unique('beside'));
    const bad = badEvents.map(([, fields]) => failureOf(log.append(unique('bad'), 'none', [sealedEvent(fields)])));
    const good = streams.map((stream) => log.append(stream, 'none', sealedEvents(2)));
    expect((await Promise.all(bad)).filter((failure) => !(failure instanceof InvalidEvent))).toEqual([]);
    expect((await Promise.all(good)).map(({ revision }) => revision)).toEqual(streams.map(() => 1));
    for (const stream of streams) expect(await log.append(stream, 1, sealedEvents(1))).toMatchObject({ revision: 2 });
  });

  it.each<[string, readonly number[]]>([
    ['in one event', [MAX_APPEND_BYTES]],
    ['summed over several', [MAX_APPEND_BYTES - 300_000, 200_000, 100_000]],
  ])('begins one byte above MAX_APPEND_BYTES of data, %s', async (_, sizes) => {
    const { log } = context;
    const stream = unique('size');
    const tooMuch = sizes.map((size, index) => sealedEvent({ data: dataOf(index === 0 ? size + 1 : size) }));
    const failure = await failureOf(log.append(stream, 'none', tooMuch));
    expect(failure).toBeInstanceOf(TooLarge);
    expect(failure).toMatchObject({ limitBytes: MAX_APPEND_BYTES });
    expect(await log.readStream(stream)).toEqual([]);

    const enough = sizes.map((size) => sealedEvent({ data: dataOf(size) }));
    await log.append(stream, 'none', enough);
    const stored = await log.readStream(stream);
    expect(stored.map(({ data }) => Buffer.byteLength(data))).toEqual(sizes);
    expect(stored.every(({ data }, index) => data === enough[index]?.data)).toBe(true);
  });

  it('counts bytes, not characters', async () => {
    const { log } = context;
    const stream = unique('bytes');
    const data = canonicalJson({ fill: 'é'.repeat(MAX_APPEND_BYTES / 2) });
    expect(data.length).toBeLessThan(MAX_APPEND_BYTES);
    await expect(log.append(stream, 'none', [sealedEvent({ data })])).rejects.toThrow(TooLarge);
    expect(await log.append(stream, 'none', sealedEvents(1))).toMatchObject({ revision: 0 });
  });
}

/** What is taken comes back byte for byte. */
export function describeContent(context: Context): void {
  const texts: [string, string][] = [
    ['nothing', '{}'],
    ['Unicode', canonicalJson({ 'ключ 漢字': 'ünïcödé 😀 \u2028 \u00a0 \ufeff \uffff', é: 'e\u0301' })],
    ['escaped controls', canonicalJson({ text: '\u0000 \u0001 \u001f \u007f \\ " / \b\f\n\r\t' })],
    ['escaped lone surrogates', canonicalJson({ text: '\ud800 \udfff \udc00\ud83d', '\ud801': 1 })],
    ['names of built-in properties', '{"__proto__":{"a":1},"constructor":2,"hasOwnProperty":3,"toString":null}'],
    ['numbers at their limits', canonicalJson({ n: [1e21, 1e-7, 5e-324, 1.7976931348623157e308, 2 ** 53, -1, 0.1] })],
    ['keys that look like numbers', '{"":0,"1":1,"10":2,"9":3,"a":4}'],
    ['keys with dots, dollars and quotes', canonicalJson({ 'a.b': 1, $set: 2, "'": 3, '"': 4, '{"': 5 })],
    ['empty values of every kind', canonicalJson({ a: [], b: {}, c: '', d: null, e: false, f: 0, g: [[], {}] })],
    ['deep nesting', `${'{"deep":['.repeat(100)}{}${']}'.repeat(100)}`],
    [
      'text that looks like JSON, SQL and a date',
      canonicalJson({ a: '{"b":1}', c: "'; --", d: '2026-01-01T00:00:00Z' }),
    ],
    ['a long text', canonicalJson({ text: 'ab\u0000ö'.repeat(20_000) })],
  ];

  it.each(texts)('of %s survives to the byte, however it is read', async (_, text) => {
    expect(canonicalJson(JSON.parse(text))).toBe(text);
    const { log } = context;
    const stream = unique('content');
    const head = await log.head();
    const event = sealedEvent({ data: text, metadata: text, type: 'thing.häppened 漢 😀 "x"' });
    const { position } = await log.append(stream, 'none', [event]);
    const stored = { ...event, stream, revision: 0, position };
    expect(plain(await log.readStream(stream))).toEqual([stored]);
    expect(plain(ofStreams(await after(log, head), [stream]))).toEqual([stored]);
    expect(plain(ofStreams(await subscribed(log, head, position), [stream]))).toEqual([stored]);
  });
}
