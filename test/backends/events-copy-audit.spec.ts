import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createApp } from '../../src/app.js';
import { runCommand } from '../support/cli.js';
import { Client } from '../support/http.js';
import { Hypershift, instantAgents } from '../support/hypershift.js';
import { openStack, type Stack } from '../support/stack.js';
import { until } from '../support/until.js';

type Json = Readonly<Record<string, unknown>>;

/** What is told of a run. */
interface Told {
  /** As it stood after each of its events, by time. */
  readonly states: readonly unknown[];
  /** What became different from each to the next. */
  readonly differences: readonly unknown[];
  /** Events between the first and the last, by time. */
  readonly between: readonly unknown[];
}

interface TimelineEntry {
  readonly at: string;
  readonly position: number;
  readonly type: string;
}

/** A run whose log was copied to another store: positions differ there, and nothing else may. */
describe('the audit of a run whose log was copied to another store', () => {
  let folder: string;
  let stack: Stack;
  let publicKey: string;
  /** One that is over, and one that is approved only after the copy. */
  let [over, waiting] = ['', ''];
  const told: Record<string, Told> = {};
  /** Events and artifacts of the bundles that were exported first. */
  const known: Record<string, unknown[]> = {};
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runledger-copied-'));
    stack = await openStack();
  });
  afterAll(async () => {
    await stack.close();
    await rm(folder, { recursive: true, force: true });
  });

  const data = (): string => join(folder, 'data');
  /** The copy's servers; artifacts and the signing key stay in the data folder. */
  const copied = (): Json => {
    const { EVENTSTORE_URL, MONGODB_URL, NATS_URL } = stack.env;
    return { EVENTSTORE_URL, MONGODB_URL, NATS_URL };
  };
  const envOf = (servers: Json): Record<string, string> => ({ RUNLEDGER_DATA_DIR: data(), ...servers });

  async function serving(servers: Json, work: (ledger: Client, client: Hypershift) => Promise<void>): Promise<void> {
    const env = { ...envOf(servers), PORT: '0', RUNLEDGER_LOG_LEVEL: 'silent' };
    const app = await createApp(env, { hypershiftAgents: instantAgents() });
    try {
      const origin = await app.listen();
      // Those of another store are built anew; until then what is missing is answered with 503.
      await until('the views to hold the whole log', async () =>
        (await app.kernel.serving.status()).every(({ state, position, head }) => state === 'live' && position === head),
      );
      await work(new Client(`${origin}/ledger`), new Hypershift(`${origin}/hypershift`));
    } finally {
      await app.close();
    }
  }

  async function exported(name: string, runId: string, servers: Json): Promise<Json[]> {
    const file = join(folder, `${name}-${runId}.jsonl`);
    const { code, stderr } = await runCommand(['audit', 'export', 'hypershift', runId, '--out', file], envOf(servers));
    expect([code, stderr]).toEqual([0, '']);
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    return lines.map((line) => JSON.parse(line) as Json);
  }

  /** Offline: with the file and the public key alone. */
  async function verified(name: string, runId: string): Promise<Json> {
    const file = join(folder, `${name}-${runId}.jsonl`);
    const args = ['audit', 'verify', '--bundle', file, '--public-key', publicKey, '--json'];
    return (await runCommand(args, {})).json<Json>();
  }

  const placeless = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value, (key, each: unknown) => (key === 'position' ? undefined : each)));

  const eventsOf = (lines: readonly Json[]): unknown[] =>
    lines.filter(({ kind }) => kind === 'event' || kind === 'artifact').map(placeless);

  async function tell(ledger: Client, runId: string): Promise<Told> {
    const path = `/runs/hypershift/${runId}`;
    const get = async (query: string): Promise<Json> => {
      const { status, body } = await ledger.get<Json>(query);
      expect([query, status]).toEqual([query, 200]);
      return body;
    };
    const { timeline } = (await get(path)) as unknown as { timeline: TimelineEntry[] };
    const times = [...new Set(timeline.map(({ at }) => at))];
    const states: unknown[] = [];
    const differences: unknown[] = [];
    for (const [index, at] of times.entries()) {
      const { asOf } = await get(`${path}?at=${at}`);
      states.push(placeless(asOf));
      // By position it is the same: the last event of that time.
      const position = timeline.findLast((entry) => entry.at === at)?.position;
      expect((await get(`${path}?at=${position}`))['asOf']).toEqual(asOf);
      const { differences: found } = await get(`${path}/diff?from=${times[index - 1] ?? ''}&to=${at}`);
      differences.push(found);
    }
    const [first, last] = [times[0], times.at(-1)];
    const page = await get(`/events?run=${runId}&from=${first}&to=${last}&limit=1000`);
    return { states, differences, between: (page['events'] as unknown[]).map(placeless) };
  }

  it('answers before the copy', async () => {
    await serving({}, async (ledger, client) => {
      over = (await client.runThrough()).id;
      // Something of others comes in between.
      await client.runThrough();
      waiting = (await client.runThrough({ require_approval: true })).id;
      for (const run of [over, waiting]) told[run] = await tell(ledger, run);
    });
    const kept = await runCommand(['audit', 'checkpoint', '--json'], envOf({}));
    await writeFile(join(folder, 'kept.json'), kept.stdout);
    ({ publicKey } = kept.json<{ publicKey: string }>());
    expect(told[over]?.states.length).toBeGreaterThan(3);
    expect(told[over]?.between.length).toBeGreaterThan(5);
    for (const run of [over, waiting]) known[run] = eventsOf(await exported('before', run, {}));
  });

  it('has bundles that verify before and after, and hold the same', async () => {
    const url = stack.env['EVENTSTORE_URL'] ?? '';
    const copy = await runCommand(['events', 'copy', '--from', data(), '--to', url, '--json']);
    expect(copy.json()).toMatchObject({ present: 0, complete: true });
    for (const run of [over, waiting]) {
      const [before, after] = [await exported('again', run, {}), await exported('after', run, copied())];
      expect(eventsOf(before)).toEqual(known[run]);
      // Positions are other ones: else this test would show nothing.
      const positions = [before, after].map((lines) => lines.map(({ position }) => position));
      expect(positions[0]).not.toEqual(positions[1]);
      expect(eventsOf(after)).toEqual(known[run]);
      for (const name of ['before', 'again', 'after'])
        expect([name, await verified(name, run)]).toEqual([
          name,
          expect.objectContaining({ runId: run, finding: null, unsigned: 0, publicKeys: [publicKey] }),
        ]);
      expect(await verified('after', run)).toEqual(await verified('before', run));
    }
  });

  it('has the same while the views are still those of the former store', async () => {
    const { EVENTSTORE_URL } = stack.env;
    for (const run of [over, waiting]) {
      const lines = await exported('mixed', run, { EVENTSTORE_URL });
      expect(eventsOf(lines)).toEqual(known[run]);
      expect(await verified('mixed', run)).toMatchObject({ finding: null, unsigned: 0 });
    }
    await serving({ EVENTSTORE_URL }, async (ledger) => {
      for (const run of [over, waiting]) expect(await tell(ledger, run)).toEqual(told[run]);
    });
  });

  it('verifies against the checkpoint that was kept before', async () => {
    const args = ['audit', 'verify', '--checkpoint', join(folder, 'kept.json'), '--public-key', publicKey, '--json'];
    expect((await runCommand(args, envOf(copied()))).json()).toMatchObject({ finding: null });
  });

  it('answers as before by time, goes on, and is proved over both', async () => {
    await serving(copied(), async (ledger, client) => {
      for (const run of [over, waiting]) expect(await tell(ledger, run)).toEqual(told[run]);
      expect((await client.post(`/runs/${waiting}/approve`)).status).toBe(200);
      await client.when(waiting, ({ status }) => status === 'completed');
      const both = await tell(ledger, waiting);
      const count = told[waiting]?.states.length ?? 0;
      expect(both.states.slice(0, count)).toEqual(told[waiting]?.states);
      expect(both.states.at(-1)).toMatchObject({ state: 'completed' });
    });
    const lines = await exported('both', waiting, copied());
    expect(lines.filter(({ type }) => type === 'run.completed')).toHaveLength(1);
    expect(await verified('both', waiting)).toMatchObject({ finding: null, unsigned: 0, publicKeys: [publicKey] });
    // What was exported before is as true as it was.
    expect(await verified('before', waiting)).toMatchObject({ finding: null, unsigned: 0 });
  });

  it('has of the former log what it had, beside views of the copy', async () => {
    const { MONGODB_URL } = stack.env;
    for (const run of [over, waiting]) {
      const lines = await exported('former', run, { MONGODB_URL });
      expect(eventsOf(lines)).toEqual(known[run]);
      expect(await verified('former', run)).toMatchObject({ finding: null, unsigned: 0 });
    }
    await serving({ MONGODB_URL }, async (ledger) => {
      for (const run of [over, waiting]) expect(await tell(ledger, run)).toEqual(told[run]);
    });
  });

  it('finds in the copy what was altered in a bundle of it', async () => {
    const file = join(folder, `both-${waiting}.jsonl`);
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('landing page', 'lending page'));
    expect((await verified('both', waiting))['finding']).not.toBeNull();
  });
});
