import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { IndexedRunBody, RunDifferenceBody, RunIndexBody } from '../../../src/ledger/audit/audit.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { runCommand, type CommandOutcome } from '../../support/cli.js';
import { Hypershift, instantAgents } from '../../support/hypershift.js';
import { fold } from '../../support/fold.js';
import { allEvents } from '../../support/rebuild.js';
import { onStack } from '../../support/stack.js';
import { copyStored, openViewsFile, tableOf } from '../../support/stored-files.js';
import { until } from '../../support/until.js';

let service: TestApp;
let folder: string;
let tenant: string;
const runs: string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runledger-runs-'));
  service = await startApp({ HYPERSHIFT_DEPLOY_TARGET: 'none' }, { hypershiftAgents: instantAgents() });
  const hypershift = Hypershift.of(service);
  const workspace = await hypershift.workspace();
  tenant = workspace.id;
  for (const client of [hypershift, workspace]) {
    runs.push((await client.runThrough()).id, await client.create(), await client.create());
    runs.push((await client.runThrough({ require_approval: true })).id);
  }
  await until('the index', async () => {
    const status = await service.app.kernel.serving.status();
    return status.every(({ state, position, head }) => state === 'live' && position === head);
  });
});
afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true, force: true });
});

const cli = (where: readonly string[], ...args: string[]): Promise<CommandOutcome> =>
  runCommand(['audit', ...args, ...where]);
const byUrl = (): readonly string[] => ['--url', service.origin];

/** All pages of a list, of so many runs each. */
async function listed(where: readonly string[], limit: number, ...filters: string[]): Promise<IndexedRunBody[]> {
  const all: IndexedRunBody[] = [];
  for (let after: string | null = ''; after !== null;) {
    const further: string[] = after === '' ? [] : ['--after', after];
    const page = await cli(where, 'runs', '--json', '--limit', String(limit), ...filters, ...further);
    expect([page.code, page.stderr]).toEqual([0, '']);
    const body: RunIndexBody = page.json();
    expect(body.runs.length).toBeLessThanOrEqual(limit);
    all.push(...body.runs);
    after = body.next;
  }
  return all;
}

const ids = (list: readonly IndexedRunBody[]): string[] => list.map(({ runId }) => runId);

describe('runledger audit runs --url', () => {
  it('lists the runs of all systems, newest first, page by page', async () => {
    const whole = await listed(byUrl(), 100);
    expect(ids(whole).toSorted()).toEqual(runs.toSorted());
    const times = whole.map(({ createdAt }) => createdAt);
    expect(times).toEqual(times.toSorted().toReversed());
    expect(await listed(byUrl(), 3)).toEqual(whole);
  });

  it('is for people without --json, and says how to go on', async () => {
    const { code, stdout, stderr } = await cli(byUrl(), 'runs', '--limit', '1', '--tenant', tenant);
    expect([code, stdout.split('\n').length]).toEqual([0, 2]);
    expect(stdout).toMatch(new RegExp(`^\\S+Z +hypershift +${tenant} +req-\\S+ +\\S+ +\\S+Z$`, 'm'));
    expect(stderr).toMatch(/^There are more: --after \S+$/);
  });

  it.each([
    ['--limit', '0', /^--limit is a whole number/],
    ['--since', 'yesterday', /^--since is a time like/],
  ])('is asked wrongly with %s %s', async (option, value, words) => {
    const { code, stderr } = await cli(byUrl(), 'runs', option, value);
    expect([code, stderr]).toEqual([2, expect.stringMatching(words)]);
  });
});

describe('runledger audit diff --url', () => {
  it('shows what became different between two moments', async () => {
    const [run = ''] = runs;
    const whole = await cli(byUrl(), 'diff', 'hypershift', run, '0', '--json');
    const { from, to, differences } = whole.json<RunDifferenceBody>();
    expect([from.state, to.state]).toEqual([null, 'completed']);
    expect(differences).toContainEqual({ path: '/state', before: null, after: 'completed' });
    const none = await cli(byUrl(), 'diff', 'hypershift', run, String(to.position), String(to.position));
    expect([none.code, none.stdout]).toEqual([
      0,
      expect.stringMatching(/^run \S+ of hypershift: .*\n {2}nothing became/),
    ]);
    const told = await cli(byUrl(), 'diff', 'hypershift', run, '0', String(to.position));
    expect(told.stdout).toMatch(/: not there yet -> completed at position \d+, \S+Z\n/);
    expect(told.stdout).toMatch(/^ {2}\/state: null -> "completed"$/m);
  });

  it('is asked wrongly with a moment that is none, and for a run that is none', async () => {
    const wrong = await cli(byUrl(), 'diff', 'hypershift', 'nobody', 'yesterday');
    expect([wrong.code, wrong.stderr]).toEqual([
      2,
      expect.stringMatching(/^<from> is a position in the log, or a time/),
    ]);
    const missing = await cli(byUrl(), 'diff', 'hypershift', 'nobody', '0');
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('Run not found')]);
  });
});

(onStack ? describe.skip : describe)('on a data folder', () => {
  const here = (): readonly string[] => ['--data', service.dataDir];

  /** A copy of the folder whose index of runs has been changed. */
  async function copied(change: (file: DatabaseSync, index: string) => void): Promise<readonly string[]> {
    const copy = await mkdtemp(join(folder, 'copy-'));
    copyStored(service.dataDir, copy);
    const file = openViewsFile(copy);
    change(file, tableOf(file, 'runledger.runs'));
    file.close();
    return ['--data', copy];
  }

  /** The index as it was when a share of the log had been folded; its checkpoint may say that it was less. */
  async function asOf(share: number, checkpointed = share): Promise<readonly string[]> {
    const { runIndex, catalog } = service.app.kernel.registry;
    const events = await allEvents(service.app.kernel.ports.log);
    const placeOf = (part: number): number => events[Math.floor(part * (events.length - 1))]?.position ?? 0;
    const position = placeOf(share);
    const docs = fold(
      runIndex,
      catalog,
      events.filter((event) => event.position <= position),
    );
    return copied((file, index) => {
      file.exec(`DELETE FROM ${index} WHERE doc IS NOT NULL`);
      const insert = file.prepare(`INSERT INTO ${index} (key, position, doc) VALUES (?, ?, ?)`);
      for (const [key, doc] of Object.entries(docs)) insert.run(key, position, JSON.stringify(doc));
      file.prepare(`UPDATE ${index} SET position = ? WHERE key = '$checkpoint'`).run(placeOf(checkpointed));
    });
  }

  const filters: readonly (readonly string[])[] = [
    [],
    ['--state', 'completed'],
    ['--state', 'blocked'],
    ['--system', 'nobody'],
    ['--tenant', 'ws-default'],
  ];

  it.each([
    ['that is folded to its end', async () => here()],
    ['whose index is behind', () => asOf(0.6)],
    ['whose index is far behind', () => asOf(0.1)],
    ['whose index is further than it says', () => asOf(0.8, 0.3)],
    ['without an index', () => copied((file, index) => file.exec(`DROP TABLE ${index}`))],
  ])('%s the list is that of the server', async (_what, place) => {
    const where = await place();
    const [, , third] = await listed(byUrl(), 100);
    for (const filter of [...filters, ['--since', third?.createdAt ?? ''], ['--until', third?.createdAt ?? '']]) {
      const wanted = await listed(byUrl(), 100, ...filter);
      for (const limit of [1, 3, 100]) expect(await listed(where, limit, ...filter)).toEqual(wanted);
    }
  });

  it('runs of the same moment are each listed once', async () => {
    const where = await copied((file, index) =>
      file.exec(
        `UPDATE ${index} SET doc = json_set(doc, '$.createdAt', '2026-01-01T00:00:00.000Z') WHERE doc IS NOT NULL`,
      ),
    );
    const inOrder = runs.toSorted().toReversed();
    for (const limit of [1, 3]) expect(ids(await listed(where, limit))).toEqual(inOrder);
  });

  it('a difference is that of the server', async () => {
    const [run = ''] = runs;
    const args = ['diff', 'hypershift', run, '0', '--json'];
    expect((await cli(here(), ...args)).json()).toEqual((await cli(byUrl(), ...args)).json());
    const late = await asOf(0.05);
    expect((await cli(late, ...args)).json()).toEqual((await cli(byUrl(), ...args)).json());
  });

  it('what cannot be done is said', async () => {
    const wrong = await cli(here(), 'runs', '--after', 'nothing');
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('--after is the "next" of another page')]);
    const missing = await cli(here(), 'diff', 'hypershift', 'nobody', '0');
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringContaining('There is no run nobody')]);
  });
});
