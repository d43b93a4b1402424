import { describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { Luck, report, scaled } from '../support/fault-scale.js';
import type { CutPoint } from '../support/server-process.js';
import { scenarios, type Scenario } from './scenarios.js';
import { Stage } from './stage.js';

/** Cut points per scenario; the full test takes every one of them. */
const SAMPLE = scaled(2, Infinity);
const RANDOM_KILLS = scaled(6, 500);
const LANES = scaled(1, 2);
const CLIENTS = 4;
const RUNS_A_WORKSPACE = 4;

describe('fault 1: kill -9', () => {
  it('before or after any write of any scenario loses nothing, repeats nothing, and is recovered from', async () => {
    const luck = new Luck();
    const plays = Object.entries(scenarios);
    const lanes = Array.from({ length: LANES }, (_, lane) => plays.filter((_play, index) => index % LANES === lane));
    const done = await Promise.all(lanes.map((lane) => cutAll(lane, luck)));
    const sum = (pick: (lane: (typeof done)[number]) => number): number =>
      done.reduce((all, lane) => all + pick(lane), 0);
    report(1, {
      seed: luck.seed,
      'cut points': sum(({ cuts }) => cuts),
      deaths: sum(({ deaths }) => deaths),
      runs: sum(({ account }) => account.runs),
      'webhooks (repeated)': done.map(({ account }) => `${account.deliveries} (${account.repeated})`).join(' + '),
      'documents compared': sum(({ account }) => account.documents),
      'slowest recovery ms': Math.round(Math.max(...done.map(({ slowestMs }) => slowestMs))),
    });
    expect(done.flatMap(({ account }) => account.problems)).toEqual([]);
    expect(sum(({ cuts }) => cuts)).toBeGreaterThanOrEqual(scaled(plays.length, 200));
  }, 3_600_000);

  it('at random moments of a load of runs loses nothing, repeats nothing, and is recovered from', async () => {
    const luck = new Luck();
    const done = await Promise.all(Array.from({ length: LANES }, () => killAtRandom(luck, RANDOM_KILLS / LANES)));
    const sum = (pick: (lane: (typeof done)[number]) => number): number =>
      done.reduce((all, lane) => all + pick(lane), 0);
    report(1, {
      seed: luck.seed,
      'random kills': sum(({ deaths }) => deaths),
      runs: sum(({ account }) => account.runs),
      events: sum(({ account }) => account.events),
      executions: sum(({ account }) => account.executions),
      'webhooks (repeated)': done.map(({ account }) => `${account.deliveries} (${account.repeated})`).join(' + '),
      'slowest recovery ms': Math.round(Math.max(...done.map(({ slowestMs }) => slowestMs))),
    });
    expect(done.flatMap(({ account }) => account.problems)).toEqual([]);
    expect(sum(({ deaths }) => deaths)).toBe(RANDOM_KILLS);
    expect(sum(({ account }) => account.runs)).toBeGreaterThan(0);
  }, 3_600_000);
});

/** Plays each scenario once for each of its cut points, on one server. */
async function cutAll(plays: readonly (readonly [string, Scenario])[], luck: Luck) {
  const stage = await Stage.open();
  try {
    let cuts = 0;
    for (const [name, scenario] of plays) {
      const { writes } = await play(stage, scenario, name, {});
      for (const [index, cut] of cutPoints(writes, luck).entries()) {
        if (luck.number(1) < 0.25) stage.server.armNextStart({ after: luck.whole(1, 6) });
        const { died } = await play(stage, scenario, `${name}-${index}`, cut);
        if (died) cuts += 1;
        // Writes are grouped differently each time: the last of them may already lie behind this point.
        else if ((cut.before ?? cut.after ?? 0) > writes) break;
      }
    }
    const { deaths, recoveriesMs } = stage.server;
    return { cuts, deaths, slowestMs: Math.max(...recoveriesMs), account: await stage.settle() };
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

async function play({ server, client, receiver }: Stage, scenario: Scenario, tag: string, cut: CutPoint) {
  const before = server.deaths;
  await server.arm(cut);
  await scenario({ client, receiver, tag });
  await server.ready();
  await server.quiet();
  const writes = await server.writes();
  return { writes, died: server.deaths > before };
}

async function killAtRandom(luck: Luck, kills: number) {
  const stage = await Stage.open();
  const { server, client } = stage;
  try {
    let over = false;
    const descriptions = ['slow 20', 'slow 50', 'veto', 'deploy a page'];
    const work = async (worker: number): Promise<void> => {
      for (let turn = 0; !over; turn++) {
        const tag = `${worker}-${turn}`;
        const workspace = `ws-load-${worker}-${Math.floor(turn / RUNS_A_WORKSPACE)}`;
        const run = { workspace, description: luck.pick(descriptions), codename: tag, approval: turn % 3 === 0 };
        const runId = await client.create({ ...run, key: `create ${tag}` });
        await client.command(runId, 'start', turn % 2 === 0 ? `start ${tag}` : undefined);
        await client.ended(runId);
        if (run.approval && run.description !== 'veto') {
          await client.command(runId, luck.pick(['approve', 'reject']), `decide ${tag}`);
        }
      }
    };
    const working = Promise.all(Array.from({ length: CLIENTS }, (_, worker) => work(worker)));
    const killing = (async () => {
      for (let kill = 0; kill < kills; kill++) {
        // Now and then in the middle of a start, otherwise under load.
        if (luck.number(1) < 0.8) await server.ready();
        await pause(luck.number(800));
        await server.kill();
      }
    })();
    await Promise.race([killing, working]);
    over = true;
    await killing;
    await working;
    const { deaths, recoveriesMs } = server;
    return { deaths, slowestMs: Math.max(...recoveriesMs), account: await stage.settle() };
  } finally {
    await stage.close();
  }
}
