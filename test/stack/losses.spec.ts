import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { MongoClient, type Db } from 'mongodb';
import { Projector } from '../../src/kernel/views/projector.js';
import { CHECKPOINT_MARK } from '../../src/kernel/views/view.js';
import { createLogger } from '../../src/kernel/logger.js';
import { hypershift } from '../../src/systems/hypershift/hypershift.definition.js';
import { Luck, report, scaled } from '../support/fault-scale.js';
import { runsOf } from '../support/hypershift-ledger.js';
import { registryOf } from '../support/rebuild.js';
import { until } from '../support/until.js';
import { Fleet, type FleetAccount } from './fleet.js';
import { Load } from './load.js';

const STEPS = scaled(60, 1_000);
const READERS = 4;
const ROUNDS = scaled(1, 10);
/** The dispatcher compares the log with the queue every half a minute. */
const RECONCILED_MS = 120_000;
const FUTURE = 1_000_000_000_000;
const RUNS_A_WORKSPACE = 8;

describe('what can be worked out again is lost under a load of runs', () => {
  const luck = new Luck();
  let fleet: Fleet;
  let mongo: MongoClient;
  let db: Db;
  beforeAll(async () => {
    // Attempts are counted: no lease may end because a busy machine is late.
    fleet = await Fleet.open({ leaseMs: 6_000 });
    mongo = await MongoClient.connect(fleet.backends.env['MONGODB_URL'] ?? '');
    db = mongo.db();
  }, 120_000);
  afterAll(async () => {
    await mongo.close();
    await fleet.close();
  }, 60_000);

  function tell(fault: number, facts: Readonly<Record<string, string | number>>, account: FleetAccount): void {
    const { problems, ...counted } = account;
    report(fault, { ...facts, seed: luck.seed, ...counted, problems: problems.length });
  }

  it('every collection is dropped while it serves: whoever reads gets the right answer or none', async () => {
    const { client } = fleet;
    const before = new Load(client, luck, 'before');
    await before.goesOn('at first', 8);
    await before.stop();
    await fleet.settle();
    const questions = client.created.flatMap((runId) => [`/runs/${runId}`, `/runs/${runId}/logs`]);
    const right = new Map<string, string>();
    for (const path of questions) right.set(path, (await client.send({ method: 'GET', path })).text);

    const tally = { right: 0, unavailable: 0, stale: 0 };
    const wrong: string[] = [];
    let over = false;
    const reading = Array.from({ length: READERS }, async (_, reader) => {
      for (let turn = reader; !over; turn++) {
        const path = questions[turn % questions.length] ?? '';
        const { status, text, stale } = await client.once({ method: 'GET', path });
        if (status === 503) tally.unavailable += 1;
        else if (text === right.get(path)) tally.right += 1;
        else if (stale) tally.stale += 1;
        else wrong.push(`${path}: ${status} ${text}`);
      }
    });
    const load = new Load(client, luck, 'lost');
    for (let round = 0; round < ROUNDS; round++) {
      await load.goesOn('before the loss');
      const answered = tally.right;
      // Views, cursors and leases, behind the back of everybody.
      for (const { name } of await db.listCollections({}, { nameOnly: true }).toArray()) await db.dropCollection(name);
      await load.goesOn('after the loss');
      await until('what was is answered again', () => tally.right > answered + questions.length);
    }
    await load.stop();
    over = true;
    await Promise.all(reading);
    const account = await fleet.settle();
    tell(9, { losses: ROUNDS, 'answers right': tally.right, 503: tally.unavailable, stale: tally.stale }, account);
    expect(wrong).toEqual([]);
    expect(tally.right).toBeGreaterThan(0);
    expect(account.problems).toEqual([]);
  }, 300_000);

  /** Changes the checkpoints of all views behind the back of everybody. @returns how many those are. */
  async function tamper(change: (collection: string) => Promise<unknown>): Promise<number> {
    const { views } = registryOf([hypershift]);
    const names = (await db.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name);
    const own = names.filter((name) => views.some((view) => name.includes(view.name)));
    await Promise.all(own.map(change));
    return own.length;
  }

  const checkpoint = { _id: CHECKPOINT_MARK as never };
  const forget = (name: string) => db.collection(name).deleteOne(checkpoint);
  const toFuture = (name: string) => db.collection(name).updateOne(checkpoint, { $set: { 'state.position': FUTURE } });

  it.each([
    ['lost', forget],
    ['in the future', toFuture],
  ])(
    'checkpoints that are %s, while views are folded and before projectors start, count nothing twice',
    async (what, change) => {
      const load = new Load(fleet.client, luck, `checkpoints-${what.replaceAll(' ', '-')}`);
      await load.goesOn(`before checkpoints are ${what}`);
      let tampered = await tamper(change);
      await load.goesOn(`after checkpoints were ${what}`);
      tampered += await tamper(change);
      await Promise.all(fleet.processes.projector.map((process) => process.kill()));
      await load.goesOn(`after projectors started with checkpoints ${what}`);
      await load.stop();
      const { complaints } = fleet.client;
      // Until somebody compares it with the log, a view that claims to be further than it is is taken at its word.
      const misled = what === 'lost' ? [] : complaints.filter((text) => /^GET .*: 404$/.test(text));
      complaints.splice(0, complaints.length, ...complaints.filter((text) => !misled.includes(text)));
      const account = await fleet.settle();
      tell(10, { what, checkpoints: tampered, 'answers too old': misled.length }, account);
      expect(tampered).toBeGreaterThanOrEqual(2 * hypershift.views.length);
      expect(account.problems).toEqual([]);
    },
    300_000,
  );

  it('a second projector that folds every view at the same time, and builds it anew, counts nothing twice', async () => {
    const { log, views: store, clock } = (await fleet.watch()).ports;
    const { catalog, views } = registryOf([hypershift]);
    const second = new Projector(log, store, catalog, clock, createLogger('silent'));
    for (const view of views) second.register(view);
    const load = new Load(fleet.client, luck, 'two');
    await load.goesOn('with one projector');
    await second.start();
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(views.map(({ name }) => second.rebuild(name)));
      await load.goesOn('with two projectors');
      await until('the second has built every view', () => second.ready());
    }
    await load.stop();
    await second.close();
    const account = await fleet.settle();
    tell(10, { 'projectors at once': 2, rebuilds: ROUNDS * views.length }, account);
    expect(account.problems).toEqual([]);
  }, 300_000);

  it('a queue that is wiped while many steps wait on it is filled again, and each run ends', async () => {
    const { client, backends, processes } = fleet;
    const { queue } = (await fleet.watch()).ports;
    await Promise.all(processes.worker.map((process) => process.stop()));
    const runIds: string[] = [];
    const launch = async (lane: number): Promise<void> => {
      for (let run = lane; run < STEPS; run += READERS) {
        const workspace = `ws-wiped-${Math.floor(run / RUNS_A_WORKSPACE)}`;
        const tag = `wiped-${run}`;
        const runId = await client.create({ workspace, description: 'plain', codename: tag, key: `create ${tag}` });
        await client.command(runId, 'start');
        runIds.push(runId);
      }
    };
    await Promise.all(Array.from({ length: READERS }, (_, lane) => launch(lane)));
    const waiting = async (): Promise<number> =>
      (await queue.stats()).reduce((sum, { waiting: ready }) => sum + ready, 0);
    await until('all steps wait', async () => (await waiting()) === STEPS);

    await backends.nats.server.kill();
    await rm(join(backends.nats.server.folder, 'jetstream'), { recursive: true });
    await backends.nats.start();
    await until('the wiped queue answers', () =>
      waiting().then(
        (count) => count === 0,
        () => false,
      ),
    );
    await until('all steps wait again', async () => (await waiting()) === STEPS, RECONCILED_MS);
    await Promise.all(processes.worker.map((process) => process.resume()));
    const account = await fleet.settle({ published: false });
    const histories = runsOf(await (await fleet.watch()).events());
    const attempts = runIds.map(
      (runId) => histories.get(runId)?.filter(({ type }) => type === 'step.started').length ?? 0,
    );
    tell(8, { 'steps waiting': STEPS, 'most attempts of a run': Math.max(...attempts) }, account);
    expect(runIds).toHaveLength(STEPS);
    expect(account.problems).toEqual([]);
    expect(Math.max(...attempts)).toBeLessThanOrEqual(5 + 1);
    expect(Math.min(...attempts)).toBe(5);
  }, 300_000);
});
