import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openLog } from '../../src/adapters/open-log.js';
import { createApp, type App } from '../../src/app.js';
import { verifyLog } from '../../src/kernel/audit/verify.js';
import { copyLog } from '../../src/kernel/copy-log.js';
import type { EventLog } from '../../src/kernel/ports/event-log.js';
import { hypershift } from '../../src/systems/hypershift/hypershift.definition.js';
import { runCommand } from '../support/cli.js';
import { Hypershift, instantAgents } from '../support/hypershift.js';
import { allEvents, compareWithRebuild, registryOf, served } from '../support/rebuild.js';
import { openStack, type Stack } from '../support/stack.js';
import { until } from '../support/until.js';

const PLACELESS = ({ position: _position, ...event }: Awaited<ReturnType<typeof allEvents>>[number]): object => event;

let folder: string;
let stack: Stack;
let opened: EventLog[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runledger-copy-'));
  stack = await openStack();
  opened = [];
});
afterEach(async () => {
  for (const log of opened) await log.close();
  await stack.close();
  await rm(folder, { recursive: true, force: true });
});

/** A log that the test need not close. */
async function open(place: string): Promise<EventLog> {
  const log = await openLog(place);
  opened.push(log);
  return log;
}

/** The service on a data folder, with servers or without, while `work` is done with it. */
async function serving<Result>(
  data: string,
  servers: Readonly<Record<string, string>>,
  work: (app: App, client: Hypershift) => Promise<Result>,
): Promise<Result> {
  const env = { PORT: '0', RUNLEDGER_LOG_LEVEL: 'silent', RUNLEDGER_DATA_DIR: join(folder, data), ...servers };
  const app = await createApp(env, { hypershiftAgents: instantAgents() });
  try {
    const origin = await app.listen();
    return await work(app, new Hypershift(`${origin}/hypershift`));
  } finally {
    await app.close();
  }
}

/** All documents that answer, of every view, once the views hold the whole log. */
async function views(app: App): Promise<Record<string, Record<string, string>>> {
  const { log, views: store } = app.kernel.ports;
  await until('the views to hold the whole log', async () =>
    (await app.kernel.serving.status()).every(({ state, position, head }) => state === 'live' && position === head),
  );
  expect((await compareWithRebuild({ log, views: store }, [hypershift])).differences).toEqual([]);
  const all = registryOf([hypershift]).views.map(async (view) => [view.name, await served(view, store)] as const);
  return Object.fromEntries((await Promise.all(all)).map(([name, docs]) => [name, Object.fromEntries(docs ?? [])]));
}

const copy = (from: string, to: string) => runCommand(['events', 'copy', '--from', from, '--to', to, '--json']);

/** Its checkpoints are signed, and it can be copied. */
async function ledgerWithRuns(data: string, runs: number): Promise<string> {
  await serving(data, {}, async (_app, client) => {
    for (let run = 0; run < runs; run++) await client.runThrough();
  });
  return join(folder, data);
}

describe('runledger events copy', () => {
  it('moves a ledger to EventStoreDB and back: it goes on in either, and all views come out equal', async () => {
    const [embedded, server] = ['embedded', stack.env['EVENTSTORE_URL'] ?? ''];
    const before = await serving(embedded, {}, async (app, client) => {
      for (let run = 0; run < 3; run++) await client.runThrough();
      return views(app);
    });
    expect((await copy(join(folder, embedded), server)).json()).toMatchObject({ present: 0, complete: true });
    const after = await serving('moved', stack.env, async (app, client) => {
      expect(await views(app)).toEqual(before);
      await client.runThrough();
      return views(app);
    });
    expect(Object.keys(after['hypershift.run'] ?? {})).toHaveLength(4);
    expect((await copy(server, join(folder, 'back'))).json()).toMatchObject({ present: 0, complete: true });
    await serving('back', {}, async (app) => expect(await views(app)).toEqual(after));

    const [there, back] = [await open(server), await open(join(folder, 'back'))];
    const events = await allEvents(there);
    // What the last service signed when it stopped comes after that.
    expect((await allEvents(back)).map(PLACELESS).slice(0, events.length)).toEqual(events.map(PLACELESS));
    for (const log of [there, back]) {
      const verification = await verifyLog(log);
      expect(verification).toMatchObject({ finding: null });
      expect(verification.checkpoints).toBeGreaterThan(1);
    }
  });

  it('goes on where it was broken off, however often, and copies nothing twice', async () => {
    const source = await open(await ledgerWithRuns('source', 2));
    const target = await open(join(folder, 'target'));
    const all = (await allEvents(source)).length;
    let [rounds, events] = [0, 0];
    while (events < all) {
      const stop = new AbortController();
      const result = await copyLog(source, target, { signal: stop.signal, onProgress: () => stop.abort() });
      expect(result.present).toBe(events);
      events = result.events;
      rounds += 1;
    }
    expect(rounds).toBeGreaterThan(2);
    expect((await allEvents(target)).map(PLACELESS)).toEqual((await allEvents(source)).map(PLACELESS));
    expect(await copyLog(source, target)).toEqual({ events: all, present: all, finding: null });
  });

  it('refuses a target that holds another log, or more than the source, and changes nothing', async () => {
    const [one, other] = [await ledgerWithRuns('one', 1), await ledgerWithRuns('other', 1)];
    const refused = await copy(one, other);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('holds another event in the place of')]);
    await cp(one, join(folder, 'longer'), { recursive: true });
    await serving('longer', {}, async (_app, client) => void (await client.runThrough()));
    const longer = await copy(one, join(folder, 'longer'));
    expect([longer.code, longer.stderr]).toEqual([1, expect.stringContaining('which the source does not')]);
  });

  it('stops at the first event that is not as it was written', async () => {
    const source = await ledgerWithRuns('source', 1);
    const file = new DatabaseSync(join(source, 'runledger.db'));
    file.exec(`UPDATE events SET data = replace(data, 'landing', 'lending') WHERE type = 'run.created'`);
    file.close();
    const { code, stderr } = await copy(source, join(folder, 'target'));
    expect([code, stderr]).toEqual([1, expect.stringContaining('does not match its hash')]);
    const target = await open(join(folder, 'target'));
    expect((await allEvents(target)).map(({ type }) => type)).not.toContain('run.created');
  });

  it('says what is wrong with its places', async () => {
    const source = await ledgerWithRuns('source', 1);
    for (const [from, to, code, said] of [
      [source, source, 2, 'the same place'],
      [join(folder, 'nowhere'), source, 2, 'holds no log'],
      [source, 'mongodb://127.0.0.1', 2, 'an esdb:// URL'],
    ] as const) {
      const outcome = await copy(from, to);
      expect([outcome.code, outcome.stderr]).toEqual([code, expect.stringContaining(said)]);
    }
  });
});
