import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { ViewReplay } from '../../../src/kernel/audit/replay.js';
import type { Verification } from '../../../src/kernel/audit/verify.js';
import { CHECKPOINT_STREAM } from '../../../src/kernel/audit/notary.js';
import type { StoredEvent } from '../../../src/kernel/ports/event-log.js';
import type { KeptCheckpoint } from '../../../src/cli/audit-checkpoint.js';
import { startApp, type TestApp } from '../../support/app.js';
import { runCommand, type CommandOutcome } from '../../support/cli.js';
import { HookReceiver } from '../../support/hook-receiver.js';
import { Client, said, type Answer } from '../../support/http.js';
import { Hypershift, instantAgents } from '../../support/hypershift.js';
import { LyingServer } from '../../support/lying-server.js';
import { allEvents } from '../../support/rebuild.js';
import { onStack } from '../../support/stack.js';
import { openViewsFile, tableOf } from '../../support/stored-files.js';
import { until } from '../../support/until.js';
import { WebhookApi } from '../../support/webhook-api.js';

const TOKENS = JSON.stringify([
  { name: 'auditor', token: 'auditor-token', scopes: ['read'] },
  { name: 'operator', token: 'operator-token', scopes: ['operate'] },
  { name: 'acme', token: 'acme-token', scopes: ['read'], tenants: ['acme'] },
]);

let service: TestApp;
let folder: string;
let run: string;
let publicKey: string;
let kept: string;
const auditor = (): Client => new Client(service.origin, { authorization: 'Bearer auditor-token' });

/** A log with runs, deliveries to an endpoint of `/ledger/webhooks`, an order of an operator, and two checkpoints. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runledger-by-url-'));
  const receiver = await HookReceiver.start();
  const env = { HYPERSHIFT_DEPLOY_TARGET: 'none', WEBHOOK_ALLOW_CIDRS: '127.0.0.1' };
  service = await startApp(env, { hypershiftAgents: instantAgents() });
  const api = new WebhookApi(service.origin);
  await api.create({ url: receiver.url });
  run = await Hypershift.of(service).launch();
  await Hypershift.of(service).still(run);
  await until('the webhooks', () => receiver.types.includes('run.completed'));
  await api.post('/ledger/projections/hypershift.run/rebuild');
  service = await service.restart(env);
  await Hypershift.of(service).runThrough();
  // Each stop signs what has happened so far.
  service = await service.restart({ ...env, RUNLEDGER_TOKENS: TOKENS });
  await receiver.close();
  await until('the views', async () => {
    const status = await service.app.kernel.serving.status();
    return status.every(({ state, position, head }) => state === 'live' && position === head);
  });
  const checkpoint = (await cli(['audit', 'checkpoint', '--json'])).json<KeptCheckpoint>();
  ({ publicKey } = checkpoint);
  kept = join(folder, 'kept.json');
  await writeFile(kept, JSON.stringify(checkpoint));
});
afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true, force: true });
});

const cli = (args: readonly string[], url = service.origin, token = 'auditor-token'): Promise<CommandOutcome> =>
  runCommand([...args, '--url', url], { RUNLEDGER_TOKEN: token });

const verify = (...args: string[]): Promise<CommandOutcome> =>
  cli(['audit', 'verify', '--json', '--public-key', publicKey, '--checkpoint', kept, ...args]);

describe('GET /ledger/audit/log', () => {
  const read = async (path: string): Promise<{ events: StoredEvent[]; end: { next: number | null; head: number } }> => {
    const { status, text, headers } = await auditor().get(path);
    expect([status, headers.get('content-type')]).toEqual([200, 'application/x-ndjson; charset=utf-8']);
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    return { end: lines.pop() as { next: number | null; head: number }, events: lines as StoredEvent[] };
  };

  it('gives every event as it lies there, page by page, whatever the limit', async () => {
    const { log } = service.app.kernel.ports;
    const whole = await allEvents(log);
    const head = whole.at(-1)?.position ?? 0;
    for (const limit of [7, 130, 1_000]) {
      const seen: StoredEvent[] = [];
      for (let after: number | null = 0; after !== null;) {
        const { events, end } = await read(`/ledger/audit/log?after=${after}&limit=${limit}`);
        expect(events.length).toBeLessThanOrEqual(limit);
        // A checkpoint may be signed at any moment.
        expect(end.head).toBeGreaterThanOrEqual(head);
        seen.push(...events);
        after = end.next;
      }
      expect(seen.filter(({ position }) => position <= head)).toEqual(whole);
    }
  });

  it('gives one stream, from any revision, in either direction', async () => {
    const stream = `hypershift.run-${run}`;
    const events = await service.app.kernel.ports.log.readStream(stream);
    const path = `/ledger/audit/streams/${encodeURIComponent(stream)}`;
    expect((await read(path)).events).toEqual(events);
    expect((await read(`${path}?from=3&limit=2`)).events).toEqual(events.slice(3, 5));
    expect((await read(`${path}?order=desc&limit=1`)).events).toEqual(events.slice(-1));
    expect(await read(`${path}?order=desc&from=0`)).toMatchObject({ events: events.slice(0, 1), end: { next: null } });
    expect(await read('/ledger/audit/streams/nobody')).toMatchObject({ events: [], end: { next: null } });
  });

  it.each(['after=x', 'after=-1', 'limit=0', 'limit=1001', 'after=1&after=2', 'from=1'])(
    'refuses %s with a text that says what is meant',
    async (query) => {
      const answer = await auditor().get(`/ledger/audit/log?${query}`);
      expect(said(answer)).toEqual([400, { error: expect.stringMatching(/\w{4}/) }]);
    },
  );

  it.each([
    '/ledger/audit/log',
    '/ledger/audit/streams/runledger.checkpoints',
    '/ledger/projections/hypershift.run/collections/hypershift.run.v1.1/documents',
  ])('is for those who may read the whole ledger: %s', async (path) => {
    const as = async (token: string): Promise<number> =>
      (await new Client(service.origin, { authorization: `Bearer ${token}` }).get(path)).status;
    expect([await as('nobody'), await as('operator-token'), await as('acme-token')]).toEqual([401, 403, 403]);
  });
});

describe('the documents of a projection', () => {
  const collectionOf = async (name: string): Promise<string> => {
    const { body } = await auditor().get<{ collection: string }>(`/ledger/projections/${name}`);
    return `/ledger/projections/${name}/collections/${body.collection}/documents`;
  };

  it('come as they are stored, in the order of their keys, page by page', async () => {
    const { views } = service.app.kernel.ports;
    const path = await collectionOf('hypershift.audit-log');
    const { documents } = await views.find(decodeURIComponent(path.split('/')[5] ?? ''), { limit: 1_000 });
    expect(documents.length).toBeGreaterThan(10);
    const seen: unknown[] = [];
    for (let after: string | null = ''; after !== null;) {
      const query: string = after === '' ? '' : `&after=${encodeURIComponent(after)}`;
      const answer: Answer = await auditor().get(`${path}?limit=4${query}`);
      const lines = answer.text.trimEnd().split('\n');
      after = (JSON.parse(lines.pop() ?? '') as { next: string | null }).next;
      seen.push(...lines.map((line) => JSON.parse(line) as unknown));
    }
    expect(seen).toEqual(documents);
  });

  it('are found by their keys, deleted ones included', async () => {
    const path = await collectionOf('runledger.open-work');
    const ended = `hypershift:${run}`;
    const { status, body } = await auditor().post(path, { keys: [ended, '$serving', 'nobody'] });
    expect([status, body]).toEqual([
      200,
      {
        lookedUp: 3,
        documents: expect.arrayContaining([
          { key: ended, position: expect.any(Number), doc: null },
          { key: '$serving', position: expect.any(Number), doc: null },
        ]),
      },
    ]);
  });

  it('are those of a projection, and of no other collection of the store', async () => {
    const refused = async (path: string): Promise<[number, unknown]> =>
      said(await auditor().get(`/ledger/projections/${path}/documents`));
    expect(await refused('nobody/collections/nobody.v1.1')).toEqual([
      404,
      { error: expect.stringContaining('nobody') },
    ]);
    expect(await refused('hypershift.run/collections/runledger.cursors')).toEqual([404, { error: expect.any(String) }]);
    expect(await refused('hypershift.run/collections/hypershift.run.v9.9')).toEqual([
      404,
      { error: expect.any(String) },
    ]);
    const path = await collectionOf('hypershift.run');
    expect((await auditor().get(`${path}?after=nothing`)).status).toBe(400);
    expect((await auditor().post(path, { keys: [] })).status).toBe(400);
  });
});

describe('runledger audit verify --url', () => {
  it('verifies the whole log here, with what the verifier knows from elsewhere', async () => {
    const { code, json } = await verify();
    const events = (await allEvents(service.app.kernel.ports.log)).length;
    expect([code, json<Verification>()]).toEqual([
      0,
      expect.objectContaining({ events, finding: null, checkpoints: 2 }),
    ]);
    const told = await cli(['audit', 'verify']);
    expect([told.code, told.stdout]).toEqual([
      0,
      expect.stringMatching(/^As it was written: \d+ events in \d+ streams/),
    ]);
  });

  it('shows how far it is, where somebody looks', async () => {
    const shown: string[] = [];
    let now = 0;
    const args = ['audit', 'verify', '--url', service.origin];
    const outcome = await runCommand(
      args,
      { RUNLEDGER_TOKEN: 'auditor-token' },
      { watched: true, now: () => (now += 2_000), status: (text) => void shown.push(text ?? '') },
    );
    expect(outcome.code).toBe(0);
    expect(shown.at(0)).toMatch(/^verifying: \[=+ *\] \d+ %, [\d,]+ of [\d,]+, /);
    expect(shown.at(-1)).toBe('');
  });

  it('verifies one stream', async () => {
    const { code, json } = await verify('--stream', `hypershift.run-${run}`);
    expect([code, json<Verification>()]).toEqual([
      0,
      expect.objectContaining({ streams: 1, unsigned: 0, finding: null }),
    ]);
    const none = await verify('--stream', 'nobody');
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('There is no stream nobody')]);
  });

  it('says what the user can do when the server says no', async () => {
    const { code, stderr } = await cli(['audit', 'verify'], service.origin, 'acme-token');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/does not allow this .*limited to tenants/)]);
    const both = await runCommand(['audit', 'verify', '--url', service.origin, '--bundle', kept]);
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('without --stream, --data and --url')]);
  });

  describe('of a server that cannot be trusted', () => {
    let liar: LyingServer;
    beforeEach(async () => {
      liar = await LyingServer.before(service.origin);
    });
    afterEach(() => liar.close());
    const told = (): Promise<CommandOutcome> =>
      cli(['audit', 'verify', '--json', '--public-key', publicKey, '--checkpoint', kept], liar.url);

    it('believes one that tells the truth', async () => {
      expect((await told()).code).toBe(0);
    });

    it.each<[string, (lines: string[]) => string[], RegExp]>([
      ['cuts a page off', (lines) => lines.slice(0, -1), /cut off on its way/],
      ['cuts a line off', (lines) => [(lines[0] ?? '').slice(0, 40)], /cut off on its way/],
      ['gives what is no event', () => ['{"stream":7}', '{"next":null,"head":1}'], /what was not asked for: stream/],
      ['says that there is more, and gives nothing', () => ['{"next":1,"head":9}'], /empty page/],
      [
        'turns the order round',
        (lines) => [...lines.slice(0, -1).toReversed(), lines.at(-1) ?? ''],
        /order of their positions/,
      ],
    ])('fails, and names no event, when it %s', async (_what, by, words) => {
      liar.lie = by;
      const { code, stdout, stderr } = await told();
      expect([code, stdout, stderr]).toEqual([1, '', expect.stringMatching(words)]);
    });

    it('finds that it leaves out an event, or the end', async () => {
      liar.lie = (lines) => lines.filter((line) => !line.includes(`run-${run}","revision":2,`));
      expect((await told()).json<Verification>().finding).toMatchObject({ problem: 'gap', revision: 2 });
      liar.lie = (lines) => lines.filter((line) => !line.includes(CHECKPOINT_STREAM));
      const { code, json } = await told();
      expect([code, json<Verification>().finding]).toMatchObject([1, { problem: 'head', stream: CHECKPOINT_STREAM }]);
    });
  });
});

describe('runledger replay --url', () => {
  it('compares every view of the server with what this code makes of its log', async () => {
    const { code, json } = await cli(['replay', '--deciders', '--all', '--json']);
    const { views, deciders } = json<{ views: ViewReplay[]; deciders: object }>();
    expect(
      views.map(({ view, missing, extra, different, stopped }) => [view, missing + extra + different, stopped]),
    ).toEqual(service.app.kernel.registry.views.map(({ name }) => [name, 0, null]));
    expect(views.map(({ view }) => view)).toEqual(
      expect.arrayContaining(['runledger.webhook-delivery', 'runledger.webhook-health', 'runledger.runs']),
    );
    expect(views.find(({ view }) => view === 'runledger.webhook-delivery')?.equal).toBeGreaterThan(0);
    expect([code, deciders]).toMatchObject([0, { failed: 0, failures: [] }]);
  });

  it('says the same as on the data folder', async () => {
    const here = await runCommand(['replay', '--json', '--data', service.dataDir]);
    const there = await cli(['replay', '--json']);
    if (!onStack) expect(there.json()).toEqual(here.json());
    expect(there.code).toBe(0);
  });

  (onStack ? it.skip : it)('finds a document that was altered, one that was lost, and one too many', async () => {
    const file = openViewsFile(service.dataDir);
    try {
      const table = tableOf(file, 'hypershift.run');
      file.exec(`UPDATE ${table} SET doc = replace(doc, 'completed', 'blocked') WHERE key = '${run}'`);
      file.exec(`DELETE FROM ${table} WHERE key <> '${run}' AND key NOT LIKE '$%'`);
      file.exec(`INSERT INTO ${table} (key, position, doc) VALUES ('req-extra', 5, '{"id":"req-extra"}')`);
    } finally {
      file.close();
    }
    const { code, json } = await cli(['replay', '--views', 'hypershift.run', '--json']);
    const [replayed] = json<{ views: ViewReplay[] }>().views;
    expect([code, replayed]).toMatchObject([1, { equal: 0, different: 1, missing: 1, extra: 1 }]);
    expect(replayed?.differences.find(({ key }) => key === run)).toMatchObject({ problem: 'different' });
  });
});

/* Last of all: the service that runs on the file must not be asked for more. */
(onStack ? describe.skip : describe)(
  'runledger audit verify --url, with somebody at the file of the log, finds',
  () => {
    let file: DatabaseSync;
    let events: readonly StoredEvent[];
    beforeAll(async () => {
      events = (await allEvents(service.app.kernel.ports.log)).filter(
        ({ stream }) => stream === `hypershift.run-${run}`,
      );
      file = new DatabaseSync(join(service.dataDir, 'runledger.db'), { timeout: 5_000 });
    });
    afterAll(() => file.close());

    /** What is found while the file is changed; then it is put back. */
    async function finding(tamper: () => void, ...args: string[]): Promise<Verification['finding']> {
      file.exec('CREATE TABLE kept AS SELECT * FROM events');
      try {
        tamper();
        const { code, json } = await verify(...args);
        expect(code).toBe(1);
        return json<Verification>().finding;
      } finally {
        file.exec('BEGIN; DELETE FROM events; INSERT INTO events SELECT * FROM kept; DROP TABLE kept; COMMIT');
      }
    }
    const event = (revision: number): StoredEvent => events[revision] as StoredEvent;

    it('one byte of an event, in the whole log and in its stream', async () => {
      const { position, stream } = event(4);
      const tamper = (): void =>
        void file
          .prepare("UPDATE events SET data = replace(data, 'hypershift', 'hypershifU') WHERE position = ?")
          .run(position);
      expect(await finding(tamper)).toMatchObject({ problem: 'altered', stream, revision: 4, position });
      expect(await finding(tamper, '--stream', stream)).toMatchObject({ problem: 'altered', stream, revision: 4 });
    });

    it('an event removed', async () => {
      const { position, stream } = event(2);
      const remove = (): void => void file.prepare('DELETE FROM events WHERE position = ?').run(position);
      expect(await finding(remove)).toMatchObject({ problem: 'gap', stream, revision: 2 });
    });

    it('two events swapped', async () => {
      const [one, other] = [event(1), event(3)];
      const swap = (): void => {
        const revision = file.prepare('UPDATE events SET revision = ? WHERE position = ?');
        for (const [to, position] of [
          [-1, one.position],
          [one.revision, other.position],
          [other.revision, one.position],
        ] as const)
          revision.run(to, position);
      };
      expect(await finding(swap)).toMatchObject({ stream: one.stream, revision: 1 });
    });

    it('the end cut off, which what was kept elsewhere knows', async () => {
      const cut = (): void => void file.prepare('DELETE FROM events WHERE position > ?').run(event(0).position);
      expect(await finding(cut)).toMatchObject({ problem: 'head', stream: CHECKPOINT_STREAM, revision: 0 });
    });

    it('an event inserted', async () => {
      const { position, stream } = event(3);
      const insert = (): void =>
        file.exec(
          `UPDATE events SET revision = -revision WHERE stream = '${stream}' AND position > ${position};
           UPDATE events SET revision = 1 - revision WHERE stream = '${stream}' AND revision < 0;
           UPDATE events SET position = -position WHERE position > ${position};
           UPDATE events SET position = 1 - position WHERE position < 0;
           INSERT INTO events (position, stream, revision, id, type, data, metadata, hash)
             SELECT ${position} + 1, stream, revision + 1, '01900000-0000-7000-8000-00000000f00d', type, data, metadata, hash
             FROM events WHERE position = ${position}`,
        );
      expect(await finding(insert)).toMatchObject({ problem: 'altered', stream, revision: 4 });
    });
  },
);
