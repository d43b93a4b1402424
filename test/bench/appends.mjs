/** P3 and P5: durable appends through the port, beside raw SQLite; what the hash chain costs; verification. */
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { closedLoop, Durations, median, medianRound } from './figures.mjs';
import { answerParent, inFolder, isEntry, withProcess } from './processes.mjs';

const WRITERS = 64;
const HUNDRED = 100;
/** So that each event has about 300 bytes of data, as where the peers were measured. */
const TEXT = 'x'.repeat(220);
const ROUNDS = 3;
const EVENTSTOREDB = { single: 3_767, hundreds: 29_000 };

/** In the parent. */
export async function run({ dist, quick }, report, wanted) {
  const singles = quick ? 5_000 : 40_000;
  const hundreds = quick ? 20_000 : 200_000;
  const measure = (name, params) =>
    inFolder((folder) =>
      withProcess(import.meta.url, {}, (child) => child.call(name, { dist, folder, rounds: ROUNDS, ...params })),
    );
  if (wanted.has('P3')) {
    const raw = await measure('raw', { events: hundreds, size: WRITERS });
    const rawHundreds = await measure('raw', { events: hundreds, size: HUNDRED });
    const port = await measure('port', { events: singles, size: 1 });
    const groups = await measure('port', { events: hundreds, size: HUNDRED });
    const streams = await measure('streams', { events: singles });
    const atLeast = Math.max(11_000, raw.perSecond / 2);
    report.add('P3', 'single appends, 64 writers', {
      figure: port.perSecond,
      unit: 'events/s',
      against: ['raw groups of 64', raw.perSecond],
      atLeast,
      goal: '3 × EventStoreDB, half of raw',
    });
    report.add('P3', 'p99', { figure: port.p99, unit: 'ms', atMost: 20 });
    report.add('P3', 'hundreds, 64 writers', {
      figure: groups.perSecond,
      unit: 'events/s',
      against: ['raw groups of 100', rawHundreds.perSecond],
      atLeast: Math.max(60_000, rawHundreds.perSecond / 2),
      goal: '60,000, half of raw',
    });
    report.add('P3', 'single appends, EventStoreDB as measured before', {
      figure: port.perSecond / EVENTSTOREDB.single,
      unit: '×',
      against: ['EventStoreDB', EVENTSTOREDB.single],
      atLeast: 3,
    });
    report.add('P3', 'commands through Streams, 64 writers', {
      figure: streams.perSecond,
      unit: 'events/s',
      against: ['port alone', port.perSecond],
      note: `p99 ${streams.p99.toFixed(1)} ms`,
    });
  }
  if (wanted.has('P5')) {
    const chain = await measure('chain', { events: singles });
    report.add('P5', 'hash chain, share of a single append', {
      figure: chain.share * 100,
      unit: '%',
      atMost: 15,
      against: ['events/s without', chain.without],
      note: `${chain.microseconds.toFixed(1)} µs an event on one core; ${Math.round(chain.with).toLocaleString('en-US')} events/s with it`,
    });
    const verified = await measure('verify', { events: hundreds });
    report.add('P5', 'verification, read from the file', {
      figure: verified.perSecond,
      unit: 'events/s',
      atLeast: 150_000,
      against: ['in memory', verified.inMemory],
    });
  }
}

/** What the functions below need of the build. */
async function build(dist) {
  const [store, log, clock, ids, chain, json, verify] = await Promise.all(
    [
      'adapters/sqlite/sqlite-store.js',
      'adapters/sqlite/sqlite-event-log.js',
      'adapters/system/system-clock.js',
      'adapters/system/system-ids.js',
      'kernel/hash-chain.js',
      'kernel/canonical-json.js',
      'kernel/audit/verify.js',
    ].map((file) => import(`${dist}/src/${file}`)),
  );
  return { ...store, ...log, ...clock, ...ids, ...chain, ...json, ...verify };
}

const payload = (index) => ({ system: 'bench', tenant: 'bench', runId: `run-${index}`, index, text: TEXT });
const facts = (index) => ({
  at: new Date(1.8e12 + index).toISOString(),
  schemaVersion: 1,
  tenant: 'bench',
  correlationId: `correlation-${index}`,
});

function unsealed(ids, index) {
  const data = JSON.stringify(payload(index));
  return { id: ids.uuid(), type: 'thing.happened', data, metadata: JSON.stringify(facts(index)), hash: '0'.repeat(64) };
}

/** One loop, one connection, no port: as much as the file takes. */
async function raw({ dist, folder, rounds, events, size }) {
  const { eventsSchema, SystemIds } = await build(dist);
  const database = new DatabaseSync(join(folder, 'raw.db'));
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;');
  database.exec('PRAGMA cache_size = -65536;');
  database.exec(eventsSchema);
  const insert = database.prepare('INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  const ids = new SystemIds();
  let position = 0;
  const measured = [];
  for (let round = 0; round < rounds; round++) {
    const prepared = Array.from({ length: events }, (_, index) => unsealed(ids, index));
    const started = performance.now();
    for (let from = 0; from < events; from += size) {
      database.exec('BEGIN IMMEDIATE');
      for (const [index, event] of prepared.slice(from, from + size).entries()) {
        position += 1;
        const { id, type, data, metadata, hash } = event;
        insert.run(position, `bench.thing-${index}`, position, id, type, data, metadata, hash);
      }
      database.exec('COMMIT');
    }
    measured.push((events / (performance.now() - started)) * 1_000);
  }
  database.close();
  return { perSecond: median(measured) };
}

/**
 * Each writer appends to a stream of its own, `size` events at a time, and waits until they are durable.
 *
 * @param url The log of a server, instead of the one in the folder.
 */
async function port({ dist, folder, url, rounds, events, size }) {
  const { SystemIds } = await build(dist);
  const { openLog } = await import(`${dist}/src/adapters/open-log.js`);
  const log = await openLog(url ?? folder);
  const ids = new SystemIds();
  const measured = [];
  for (let round = 0; round <= rounds; round++) {
    const revisions = Array.from({ length: WRITERS }, () => 'none');
    const appends = Array.from({ length: Math.ceil(events / size) }, (_, append) =>
      Array.from({ length: size }, (_, index) => unsealed(ids, append * size + index)),
    );
    const durations = new Durations();
    const seconds = await closedLoop(WRITERS, appends.length, async (append, writer) => {
      const started = performance.now();
      const { revision } = await log.append(
        `bench.thing-${size}-${round}-${writer}`,
        revisions[writer],
        appends[append],
      );
      durations.add(performance.now() - started);
      revisions[writer] = revision;
    });
    // The first round warms up.
    if (round > 0) measured.push({ perSecond: (appends.length * size) / seconds, ...durations.summary() });
  }
  await log.close();
  return medianRound(measured, 'perSecond');
}

/** Load, decide, seal, append: everything that a command costs beside HTTP. */
async function streams({ dist, folder, rounds, events }) {
  const { SqliteStore, SystemClock, SystemIds } = await build(dist);
  const { Streams } = await import(`${dist}/src/kernel/streams.js`);
  const { EventCatalog } = await import(`${dist}/src/kernel/event-catalog.js`);
  const { Metrics } = await import(`${dist}/src/kernel/metrics.js`);
  const { defineEvent } = await import(`${dist}/contracts/define-event.js`);
  const { z } = await import('zod');
  const catalog = new EventCatalog();
  const data = z.object({
    system: z.literal('bench'),
    tenant: z.string(),
    runId: z.string(),
    index: z.number().int().min(0),
    text: z.string(),
  });
  catalog.register('bench', [defineEvent('thing.happened', { version: 1, data })]);
  const decider = {
    initial: 0,
    decide: (command) => [{ type: 'thing.happened', data: command }],
    evolve: (state) => state + 1,
  };
  const clock = new SystemClock();
  const store = await SqliteStore.open({ folder, clock });
  const all = new Streams(store.log, catalog, clock, new SystemIds(), new Metrics(), () => undefined);
  const measured = [];
  for (let round = 0; round <= rounds; round++) {
    const durations = new Durations();
    const seconds = await closedLoop(WRITERS, events, async (index, writer) => {
      const started = performance.now();
      await all.transact(decider, `bench.thing-${round}-${writer}`, payload(index));
      durations.add(performance.now() - started);
    });
    if (round > 0) measured.push({ perSecond: events / seconds, ...durations.summary() });
  }
  await store.close();
  return medianRound(measured, 'perSecond');
}

/** The same appends with plain JSON and no hash, and with canonical JSON and the chain, in turn. */
async function chain({ dist, folder, rounds, events }) {
  const { SqliteStore, SystemClock, SystemIds, canonicalJson, chainHash, CHAIN_START } = await build(dist);
  const store = await SqliteStore.open({ folder, clock: new SystemClock() });
  const ids = new SystemIds();
  const sealedPlainly = (_stream, _last, index) => unsealed(ids, index);
  const sealed = (stream, last, index) => {
    const data = canonicalJson(payload(index));
    const plain = { id: ids.uuid(), type: 'thing.happened', data, metadata: canonicalJson(facts(index)) };
    const revision = last.revision === 'none' ? 0 : last.revision + 1;
    return { ...plain, hash: chainHash(last.hash, stream, revision, plain) };
  };
  const rates = { with: [], without: [] };
  for (let round = 0; round <= rounds * 2; round++) {
    // In turn, so that both meet the same neighbours on the machine.
    for (const { name, seal } of [
      { name: 'without', seal: sealedPlainly },
      { name: 'with', seal: sealed },
    ]) {
      const ends = Array.from({ length: WRITERS }, () => ({ revision: 'none', hash: CHAIN_START }));
      const seconds = await closedLoop(WRITERS, events, async (index, writer) => {
        const stream = `bench.${name}-${round}-${writer}`;
        const event = seal(stream, ends[writer], index);
        const { revision } = await store.log.append(stream, ends[writer].revision, [event]);
        ends[writer] = { revision, hash: event.hash };
      });
      if (round > 0) rates[name].push(events / seconds);
    }
  }
  await store.close();
  const time = (seal) => {
    const started = performance.now();
    const last = { revision: 'none', hash: CHAIN_START };
    for (let index = 0; index < events; index++) last.hash = seal('bench.time', last, index).hash;
    return ((performance.now() - started) * 1_000) / events;
  };
  time(sealed);
  time(sealedPlainly);
  const microseconds = time(sealed) - time(sealedPlainly);
  const shares = rates.with.map((rate, round) => 1 - rate / rates.without[round]);
  const share = Math.max(0, median(shares));
  return { share, with: median(rates.with), without: median(rates.without), microseconds };
}

/** A log of properly chained events, verified from the file as an audit does it, and once more from memory. */
async function verify({ dist, folder, rounds, events }) {
  const { SqliteStore, SystemClock, SystemIds, canonicalJson, chainHash, CHAIN_START, LogVerifier, verifyLog } =
    await build(dist);
  const store = await SqliteStore.open({ folder, clock: new SystemClock() });
  const ids = new SystemIds();
  const perStream = HUNDRED;
  await closedLoop(WRITERS, Math.ceil(events / perStream), async (number) => {
    const stream = `bench.thing-${number}`;
    let previous = CHAIN_START;
    const appended = Array.from({ length: perStream }, (_, revision) => {
      const index = number * perStream + revision;
      const data = canonicalJson(payload(index));
      const plain = { id: ids.uuid(), type: 'thing.happened', data, metadata: canonicalJson(facts(index)) };
      previous = chainHash(previous, stream, revision, plain);
      return { ...plain, hash: previous };
    });
    await store.log.append(stream, 'none', appended);
  });
  const fromFile = [];
  const inMemory = [];
  for (let round = 0; round < rounds; round++) {
    const started = performance.now();
    const { events: count, finding } = await verifyLog(store.log);
    if (finding) throw new Error(finding.message);
    fromFile.push((count / (performance.now() - started)) * 1_000);
    const page = await store.log.readAll(0, { limit: 20_000 });
    const verifier = new LogVerifier();
    const again = performance.now();
    for (const event of page) verifier.take(event);
    inMemory.push((page.length / (performance.now() - again)) * 1_000);
  }
  await store.close();
  return { perSecond: median(fromFile), inMemory: median(inMemory) };
}

if (isEntry(import.meta.url)) answerParent({ raw, port, streams, chain, verify });
