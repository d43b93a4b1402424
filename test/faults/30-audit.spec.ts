import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Finding, Verification } from '../../src/kernel/audit/verify.js';
import { CHECKPOINT_STREAM, Notary } from '../../src/kernel/audit/notary.js';
import { loadSigningKey } from '../../src/kernel/audit/signing-key.js';
import { canonicalJson } from '../../src/kernel/canonical-json.js';
import { chainHash } from '../../src/kernel/hash-chain.js';
import type { StoredEvent } from '../../src/kernel/ports/event-log.js';
import { runCommand } from '../support/cli.js';
import { Luck, report, scaled } from '../support/fault-scale.js';
import { TestLedger } from '../support/test-ledger.js';

const TAMPERINGS = scaled(40, 1_000);
jest.setTimeout(scaled(30_000, 600_000));
const COLUMNS = 'position, stream, revision, id, type, data, metadata, hash';

let folder: string;
let publicKey: string;
let ledgerFile: string;
/** The log as it was written, what was signed last, and what stood in it before that. */
let log: readonly StoredEvent[];
let covered: readonly StoredEvent[];
let kept: string;
let older: string;
const luck = new Luck();

const checkpointsOf = (events: readonly StoredEvent[]): StoredEvent[] =>
  events.filter(({ stream }) => stream === CHECKPOINT_STREAM);
const placeOf = ({ stream, revision }: Pick<StoredEvent, 'stream' | 'revision'>): string => `${revision} of ${stream}`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runledger-tampered-'));
  const ledger = await TestLedger.open();
  const key = loadSigningKey(ledger.folder);
  ({ publicKey } = key);
  for (let round = 0; round < 5; round++) {
    const streams = ledger.streams();
    const notary = new Notary(ledger.log, streams, key, ledger.clock, ledger.logger);
    await notary.start();
    for (let count = 0; count < 30; count++) await ledger.count(luck.pick(['a', 'b', 'c', 'd', 'e']), 1, streams);
    await notary.close();
    if (round === 3) {
      await ledger.alter('PRAGMA wal_checkpoint(TRUNCATE)');
      older = join(folder, 'older.db');
      await copyFile(join(ledger.folder, 'runledger.db'), older);
    }
  }
  log = await ledger.events();
  const newest = checkpointsOf(log).at(-1) as StoredEvent;
  covered = log.slice(0, (JSON.parse(newest.data) as { events: number }).events);
  kept = join(folder, 'kept.json');
  await writeFile(kept, JSON.stringify({ revision: newest.revision, hash: newest.hash }));
  await ledger.alter('PRAGMA wal_checkpoint(TRUNCATE)');
  ledgerFile = join(folder, 'as-written.db');
  await copyFile(join(ledger.folder, 'runledger.db'), ledgerFile);
  await ledger.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What `audit verify` says of a copy of the file that somebody has changed, with what was kept elsewhere. */
async function verify(tamper: (file: DatabaseSync) => void, from = ledgerFile): Promise<Verification> {
  const data = await mkdtemp(join(folder, 'copy-'));
  await copyFile(from, join(data, 'runledger.db'));
  const file = new DatabaseSync(join(data, 'runledger.db'));
  tamper(file);
  file.close();
  const args = ['audit', 'verify', '--json', '--data', data, '--public-key', publicKey, '--checkpoint', kept];
  const outcome = await runCommand(args);
  await rm(data, { recursive: true });
  const verification = outcome.json<Verification>();
  expect(outcome.code).toBe(verification.finding ? 1 : 0);
  return verification;
}

async function finding(tamper: (file: DatabaseSync) => void, from?: string): Promise<Finding> {
  const { finding: found } = await verify(tamper, from);
  if (!found) throw new Error('Nothing was found');
  return found;
}

/** Puts events in the place of those from a position on, without gaps in their positions. */
function rewrite(file: DatabaseSync, from: number, events: readonly StoredEvent[]): void {
  file.prepare('DELETE FROM events WHERE position >= ?').run(from);
  const insert = file.prepare(`INSERT INTO events (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
  for (const [index, { stream, revision, id, type, data, metadata, hash }] of events.entries()) {
    insert.run(from + index, stream, revision, id, type, data, metadata, hash);
  }
}

describe('whoever tampers with the file of the log is found, and the right event is named', () => {
  it('leaves a log that nobody touched alone', async () => {
    expect(await verify(() => undefined)).toEqual({
      events: log.length,
      streams: 6,
      checkpoints: 5,
      unsigned: 0,
      finding: null,
    });
  });

  it('one byte of one event, in any of its columns', async () => {
    for (let round = 0; round < TAMPERINGS; round++) {
      const event = luck.pick(log);
      const column = luck.pick(['data', 'metadata', 'id', 'type', 'hash'] as const);
      const at = luck.whole(0, event[column].length - 1);
      const was = event[column].charCodeAt(at);
      const bit = luck.pick([1, 2, 4, 8, 16]);
      const altered = event[column].slice(0, at) + String.fromCharCode(was ^ bit) + event[column].slice(at + 1);
      const found = await finding((file) =>
        file.prepare(`UPDATE events SET ${column} = ? WHERE position = ?`).run(altered, event.position),
      );
      expect([found.problem, placeOf(found), found.position]).toEqual(['altered', placeOf(event), event.position]);
    }
    report(30, { 'bytes changed': TAMPERINGS, found: TAMPERINGS });
  });

  it('one byte of the file in which events lie', async () => {
    // Where an event's text stands in the file is where its own bytes stand: each event has an id of its own.
    const whole = await readFile(ledgerFile);
    let found = 0;
    for (let round = 0; round < TAMPERINGS; round++) {
      const event = luck.pick(log);
      const text = Buffer.from(event.data);
      const places: number[] = [];
      for (let at = whole.indexOf(text); at >= 0; at = whole.indexOf(text, at + 1)) places.push(at);
      const bytes = Buffer.from(whole);
      const offset = luck.whole(0, text.length - 1);
      // Digits and letters stay digits and letters of a text.
      for (const place of places) bytes[place + offset] = (bytes[place + offset] ?? 0) ^ 1;
      const copy = join(folder, 'flipped.db');
      await writeFile(copy, bytes);
      const named = await finding(() => undefined, copy);
      const first = log.find(({ data }) => data === event.data) as StoredEvent;
      expect([named.problem, placeOf(named)]).toEqual(['altered', placeOf(first)]);
      found += 1;
    }
    expect(found).toBe(TAMPERINGS);
  });

  it('one event removed, whether or not those after it move up', async () => {
    for (let round = 0; round < TAMPERINGS; round++) {
      const event = luck.pick(covered);
      const later = log.filter(({ position }) => position > event.position);
      const closeGap = luck.pick([true, false]);
      const found = await finding((file) => {
        if (closeGap) rewrite(file, event.position, later);
        else file.prepare('DELETE FROM events WHERE position = ?').run(event.position);
      });
      expect(placeOf(found)).toBe(placeOf(event));
    }
  });

  it('two events swapped', async () => {
    let told = 0;
    for (let round = 0; round < TAMPERINGS; round++) {
      const [first, second] = luck.sample(covered, 2) as [StoredEvent, StoredEvent];
      const found = await finding((file) => {
        const swap = file.prepare(
          'UPDATE events SET stream = ?, revision = ?, id = ?, type = ?, data = ?, metadata = ?, hash = ? WHERE position = ?',
        );
        file.exec('DROP INDEX events_by_stream');
        for (const [event, { position }] of [
          [first, second],
          [second, first],
        ] as const) {
          const { stream, revision, id, type, data, metadata, hash } = event;
          swap.run(stream, revision, id, type, data, metadata, hash, position);
        }
        file.exec('CREATE UNIQUE INDEX events_by_stream ON events (stream, revision)');
      });
      // Of different streams with nothing between them that tells, only the signed order of the log knows.
      if (found.problem === 'order') expect(checkpointsOf(log).map(placeOf)).toContain(placeOf(found));
      else expect([found.position >= first.position, found.position <= nextCheckpoint(second)]).toEqual([true, true]);
      if (first.stream === second.stream) expect(placeOf(found)).toBe(placeOf(first));
      told += 1;
    }
    expect(told).toBe(TAMPERINGS);
  });

  it('one event inserted, with a chain that fits', async () => {
    for (let round = 0; round < TAMPERINGS; round++) {
      // After the last of them it would be a new event that is not signed yet.
      const before = luck.pick(covered.slice(0, -1).filter(({ stream }) => stream !== CHECKPOINT_STREAM));
      const later = log.filter(({ position }) => position > before.position);
      const forged = forge(before);
      // The rest of the stream is chained anew: nobody can sign it anew.
      let end: StoredEvent = forged;
      const moved = later.map((event) => {
        if (event.stream !== before.stream) return event;
        end = sealAfter(end, event);
        return end;
      });
      const found = await finding((file) => rewrite(file, forged.position, [forged, ...moved]));
      expect(['head', 'order']).toContain(found.problem);
      if (found.problem === 'head') expect(found.stream).toBe(before.stream);
    }
  });

  it('a tail that was cut off, wherever', async () => {
    for (let round = 0; round < TAMPERINGS; round++) {
      const first = luck.pick(covered);
      const found = await finding((file) => rewrite(file, first.position, []));
      // What is left is a log that could have been: what was kept elsewhere knows more.
      expect([found.problem, found.stream]).toEqual(['head', CHECKPOINT_STREAM]);
      expect(found.revision).toBe(checkpointsOf(log).filter(({ position }) => position < first.position).length);
    }
  });

  it('a whole stream removed', async () => {
    for (const stream of new Set(covered.map((event) => event.stream))) {
      const found = await finding((file) => file.prepare('DELETE FROM events WHERE stream = ?').run(stream));
      expect([found.stream, found.revision]).toEqual([stream, 0]);
    }
  });

  it('the whole log replaced by an older one, or by nothing', async () => {
    const replaced = await finding(() => undefined, older);
    expect(replaced).toMatchObject({ problem: 'head', stream: CHECKPOINT_STREAM, revision: 4 });
    const nothing = await finding((file) => file.exec('DELETE FROM events'));
    expect(nothing).toMatchObject({ problem: 'head', stream: CHECKPOINT_STREAM, revision: 0 });
  });
});

/** Position of the first checkpoint that stands after an event. */
function nextCheckpoint({ position }: StoredEvent): number {
  return checkpointsOf(log).find((each) => each.position > position)?.position ?? Infinity;
}

/** An event that never was, right after another, chained to it. */
function forge(before: StoredEvent): StoredEvent {
  const data = canonicalJson({ ...(JSON.parse(before.data) as object), by: luck.whole(2, 1_000) });
  const position = before.position + 1;
  return sealAfter(before, { ...before, position, id: '01900000-0000-7000-8000-00000000f00d', data });
}

function sealAfter(before: StoredEvent, event: StoredEvent): StoredEvent {
  const revision = before.revision + 1;
  return { ...event, revision, hash: chainHash(before.hash, event.stream, revision, event) };
}
