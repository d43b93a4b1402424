import { describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { Luck, report, scaled } from '../support/fault-scale.js';
import type { HypershiftClient } from '../support/hypershift-client.js';
import type { Account } from '../support/hypershift-ledger.js';
import type { CutPoint } from '../support/server-process.js';
import { scenarios, type Scenario } from './scenarios.js';
import { Stage } from './stage.js';

/** Cut points per scenario; the full test takes every one of them. */
const SAMPLE = scaled(2, Infinity);
const FULL = scaled(false, true);
const RANDOM_KILLS = scaled(6, 500);
const LANES = scaled(1, 2);
/** How long a start takes until the server is ready, as a rule. */
const RECOVERY_MS = 3_000;
const CLIENTS = 4;
const RUNS_A_WORKSPACE = 4;

/** What one server has gone through; several of them side by side are lanes. */
interface Played {
  /** Cut points at which it did die. */
  readonly cuts: number;
  readonly deaths: number;
  readonly recoveriesMs: readonly number[];
  readonly account: Account;
}

describe('fault 1: kill -9', () => {
  it('before or after any write of any scenario loses nothing, repeats nothing, and is recovered from', async () => {
    const { seed } = new Luck();
    const plays = Object.entries(scenarios);
    const done = await inLanes((lane, stop) => {
      const own = plays.filter((_play, index) => index % LANES === lane);
      return cutAll(own, new Luck(seed + lane), stop);
    });
    report(1, { seed, 'cut points': sum(done, ({ cuts }) => cuts), ...figures(done) });
    expect(done.flatMap(({ account }) => account.problems)).toEqual([]);
    expectSwiftRecovery(done);
    expect(sum(done, ({ cuts }) => cuts)).toBeGreaterThanOrEqual(scaled(plays.length, 200));
  }, 3_600_000);

  it('at random moments of a load of runs loses nothing, repeats nothing, and is recovered from', async () => {
    const { seed } = new Luck();
    const done = await inLanes((lane, stop) => killAtRandom(new Luck(seed + lane), RANDOM_KILLS / LANES, stop));
    report(1, { seed, 'random kills': sum(done, ({ deaths }) => deaths), ...figures(done) });
    expect(done.flatMap(({ account }) => account.problems)).toEqual([]);
    expectSwiftRecovery(done);
    expect(sum(done, ({ deaths }) => deaths)).toBe(RANDOM_KILLS);
    expect(sum(done, ({ account }) => account.runs)).toBeGreaterThan(0);
  }, 3_600_000);
});

/** Plays each scenario once for each of its cut points, on one server. */
async function cutAll(plays: readonly (readonly [string, Scenario])[], luck: Luck, stop: AbortSignal): Promise<Played> {
  const stage = await Stage.open();
  try {
    let cuts = 0;
    for (const [name, scenario] of plays) {
      const { writes } = await play(stage, scenario, name, {});
      for (const [index, cut] of cutPoints(writes, luck).entries()) {
        stop.throwIfAborted();
        // Now and then a second death, while it recovers from the first.
        if (luck.number(1) < 0.25) stage.server.armNextStart({ after: luck.whole(1, 6) });
        const { died } = await play(stage, scenario, `${name}-${index}`, cut);
        if (died) cuts += 1;
        // Writes are grouped differently each time: the last of them may already lie before this point.
        else if ((cut.before ?? cut.after ?? 0) > writes) break;
      }
    }
    const { deaths, recoveriesMs } = stage.server;
    return { cuts, deaths, recoveriesMs, account: await stage.settle() };
  } finally {
    await stage.close();
  }
}

/** All points of a scenario and some more, or the chosen number of them. */
function cutPoints(writes: number, luck: Luck): CutPoint[] {
  const last = SAMPLE === Infinity ? writes + 20 : writes;
  const points = Array.from({ length: last }, (_, index) => [{ before: index + 1 }, { after: index + 1 }]).flat();
  return luck.sample(points, Math.min(SAMPLE, points.length));
}

/** @returns how many groups of writes the server made since its last start, and whether it died on the way. */
async function play(
  { server, client, receiver }: Stage,
  scenario: Scenario,
  tag: string,
  cut: CutPoint,
): Promise<{ writes: number; died: boolean }> {
  const before = server.deaths;
  await server.arm(cut);
  await scenario({ client, receiver, tag });
  await server.ready();
  await server.quiet();
  const writes = await server.arm({});
  return { writes, died: server.deaths > before };
}

async function killAtRandom(luck: Luck, kills: number, stop: AbortSignal): Promise<Played> {
  const stage = await Stage.open();
  const { server, client } = stage;
  try {
    let over = false;
    const work = async (worker: number): Promise<void> => {
      for (let turn = 0; !over && !stop.aborted; turn++) await oneOfMany(client, luck, worker, turn);
    };
    const working = Promise.all(Array.from({ length: CLIENTS }, (_, worker) => work(worker)));
    const killing = (async () => {
      for (let kill = 0; kill < kills && !stop.aborted; kill++) {
        // Now and then in the middle of a start, otherwise under load.
        if (luck.number(1) < 0.8) await server.ready();
        // Not to wait for something, but to fail at any moment.
        await pause(luck.number(800));
        await server.kill();
      }
    })();
    await Promise.race([killing, working]);
    over = true;
    await Promise.all([killing, working]);
    const { deaths, recoveriesMs } = server;
    return { cuts: 0, deaths, recoveriesMs, account: await stage.settle() };
  } finally {
    await stage.close();
  }
}

/** A run of some kind, from its creation to its end. */
async function oneOfMany(client: HypershiftClient, luck: Luck, worker: number, turn: number): Promise<void> {
  const tag = `${worker}-${turn}`;
  const workspace = `ws-load-${worker}-${Math.floor(turn / RUNS_A_WORKSPACE)}`;
  const description = luck.pick(['slow 20', 'slow 50', 'veto', 'deploy a page']);
  const approval = turn % 3 === 0;
  const runId = await client.create({ workspace, description, codename: tag, approval, key: `create ${tag}` });
  await client.command(runId, 'start', turn % 2 === 0 ? `start ${tag}` : undefined);
  await client.ended(runId);
  if (!approval || description === 'veto') return;
  await client.command(runId, luck.pick(['approve', 'reject']), `decide ${tag}`);
}

/** Runs all lanes; when one fails the others end, too. */
async function inLanes(lane: (number: number, stop: AbortSignal) => Promise<Played>): Promise<Played[]> {
  const failed = new AbortController();
  const running = Array.from({ length: LANES }, (_, number) => lane(number, failed.signal));
  for (const each of running) each.catch(() => failed.abort());
  await Promise.allSettled(running);
  return Promise.all(running);
}

function figures(done: readonly Played[]): Record<string, number> {
  const recoveries = done.flatMap(({ recoveriesMs }) => recoveriesMs);
  return {
    deaths: sum(done, ({ deaths }) => deaths),
    events: sum(done, ({ account }) => account.events),
    runs: sum(done, ({ account }) => account.runs),
    executions: sum(done, ({ account }) => account.executions),
    webhooks: sum(done, ({ account }) => account.deliveries),
    'of them repeated': sum(done, ({ account }) => account.repeated),
    'documents compared': sum(done, ({ account }) => account.documents),
    problems: sum(done, ({ account }) => account.problems.length),
    'middle recovery ms': middle(recoveries),
    'slowest recovery ms': Math.round(Math.max(...recoveries)),
  };
}

/** Only where the machine is the test's own: next to others a slow start proves nothing, and is just reported. */
function expectSwiftRecovery(done: readonly Played[]): void {
  if (FULL) expect(middle(done.flatMap(({ recoveriesMs }) => recoveriesMs))).toBeLessThan(RECOVERY_MS);
}

function sum(done: readonly Played[], pick: (lane: Played) => number): number {
  return done.reduce((all, lane) => all + pick(lane), 0);
}

function middle(values: readonly number[]): number {
  return Math.round([...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0);
}
