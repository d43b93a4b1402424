import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunHistoryBody, RunDifferenceBody, RunIndexBody } from '../../../src/ledger/audit/audit.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { runCommand as runIn, type CommandOutcome } from '../../support/cli.js';
import { Client, said } from '../../support/http.js';
import { Hypershift, instantAgents } from '../../support/hypershift.js';

const TOKENS = JSON.stringify([
  { name: 'auditor', token: 'auditor-token', scopes: ['read'] },
  { name: 'worker', token: 'worker-token', scopes: ['work'] },
  { name: 'acme', token: 'acme-token', scopes: ['read'], tenants: ['TENANT'] },
  { name: 'both', token: 'both-token', scopes: ['read'], tenants: ['TENANT', 'ws-default'] },
]);

let service: TestApp;
let auditor: Client;
let folder: string;
/** A run that went through with an approval, in a workspace of its own; one that waits, and one that was never begun. */
let approved: string;
let waiting: string;
let pending: string;
let tenant: string;

const as = (token: string): Client => new Client(service.origin, { authorization: `Bearer ${token}` });
const page = (id: string): string => `/ledger/runs/hypershift/${id}`;
const get = async <Body>(path: string): Promise<Body> => {
  const { status, body, text } = await auditor.get<Body>(path);
  if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
  return body;
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runledger-audit-'));
  const overrides = { hypershiftAgents: instantAgents() };
  service = await startApp({ HYPERSHIFT_DEPLOY_TARGET: 'none' }, overrides);
  const hypershift = Hypershift.of(service, { 'X-User-Id': 'ada' });
  const workspace = await hypershift.workspace();
  tenant = workspace.id;
  approved = await workspace.launch({ require_approval: true });
  await workspace.still(approved);
  await workspace.post(`/runs/${approved}/approve`, {});
  await workspace.when(approved, ({ status }) => status === 'completed');
  waiting = await hypershift.launch({ require_approval: true });
  await hypershift.still(waiting);
  pending = await hypershift.create();
  // The stop signs what has happened so far.
  service = await service.restart({
    HYPERSHIFT_DEPLOY_TARGET: 'none',
    RUNLEDGER_TOKENS: TOKENS.replaceAll('TENANT', tenant),
  });
  auditor = as('auditor-token');
});
afterAll(async () => {
  await service.close();
  await rm(folder, { recursive: true, force: true });
});

describe('GET /ledger/runs', () => {
  const ids = ({ runs }: RunIndexBody): string[] => runs.map(({ runId }) => runId);

  it('lists the runs of all systems and tenants, newest first', async () => {
    const body = await get<RunIndexBody>('/ledger/runs');
    expect(ids(body)).toEqual([pending, waiting, approved]);
    expect(body.next).toBeNull();
    expect(body.runs[2]).toEqual({
      system: 'hypershift',
      tenant,
      runId: approved,
      state: 'completed',
      createdAt: expect.stringMatching(/Z$/),
      stateSince: expect.stringMatching(/Z$/),
    });
  });

  it('is filtered by system, tenant, state and time', async () => {
    expect(ids(await get('/ledger/runs?system=hypershift&state=pending'))).toEqual([pending]);
    expect(ids(await get('/ledger/runs?state=blocked'))).toEqual([waiting]);
    expect(ids(await get(`/ledger/runs?tenant=${tenant}`))).toEqual([approved]);
    expect(ids(await get('/ledger/runs?system=nobody'))).toEqual([]);
    const { runs } = await get<RunIndexBody>('/ledger/runs');
    const since = runs[1]?.createdAt;
    expect(ids(await get(`/ledger/runs?since=${since}`))).toEqual([pending, waiting]);
    expect(ids(await get(`/ledger/runs?until=${since}`))).toEqual([approved]);
  });

  it('is read page by page', async () => {
    const seen: string[] = [];
    for (let path = '/ledger/runs?limit=1'; path !== '';) {
      const body = await get<RunIndexBody>(path);
      expect(body.runs).toHaveLength(1);
      seen.push(...ids(body));
      path = body.next === null ? '' : `/ledger/runs?limit=1&after=${encodeURIComponent(body.next)}`;
    }
    expect(seen).toEqual([pending, waiting, approved]);
  });

  it.each([
    'limit=0',
    'limit=x',
    'limit=1001',
    'since=yesterday',
    'until=2026-99-99',
    'after=nothing',
    'state=a&state=b',
  ])('refuses %s with a text that says what is meant', async (query) => {
    expect(said(await auditor.get(`/ledger/runs?${query}`))).toEqual([400, { error: expect.stringMatching(/\w{4}/) }]);
  });

  it('shows a caller the runs of its tenants, and no others', async () => {
    const list = async (token: string, query = ''): Promise<string[]> =>
      ids((await as(token).get<RunIndexBody>(`/ledger/runs${query}`)).body);
    expect(await list('acme-token')).toEqual([approved]);
    expect(await list('acme-token', '?limit=1')).toEqual([approved]);
    expect(await list('acme-token', '?tenant=ws-default')).toEqual([]);
    expect(await list('both-token')).toEqual([pending, waiting, approved]);
    expect(await list('both-token', `?tenant=${tenant}`)).toEqual([approved]);
  });
});

describe('GET /ledger/runs/{system}/{runId}', () => {
  it('tells who did what and when, and what led to it', async () => {
    const run = await get<RunHistoryBody>(page(approved));
    const types = run.timeline.map(({ type }) => type);
    expect(types.slice(0, 3)).toEqual(['usage.run_reserved', 'run.created', 'run.started']);
    expect(types).toEqual(expect.arrayContaining(['run.awaiting_approval', 'run.approved', 'run.completed']));
    expect(run.timeline.map(({ position }) => position)).toEqual(
      run.timeline.map(({ position }) => position).toSorted((a, b) => a - b),
    );
    const of = (type: string) => run.timeline.find((entry) => entry.type === type);
    expect(of('run.approved')).toMatchObject({ actor: 'ada', causationId: null, stream: run.streams[0] });
    const begun = run.timeline.find(({ type }) => type === 'step.started');
    expect(begun?.causationId).toBe(of('run.started')?.id);
    expect(begun?.data).toBeUndefined();
    // Each event stands once in the tree, below what led to it.
    const approval = run.causation.find(({ causes }) => causes.some(({ type }) => type === 'run.approved'));
    expect(approval).toMatchObject({ causationId: null, correlationId: of('run.approved')?.correlationId });
    const below = approval?.causes.find(({ type }) => type === 'run.approved')?.causes.map(({ type }) => type);
    expect(below).toContain('run.completed');
    expect(JSON.stringify(run.causation).match(/"id":/g)).toHaveLength(run.timeline.length);
  });

  it('shows what was recorded when it is asked to', async () => {
    const run = await get<RunHistoryBody>(`${page(pending)}?data=true`);
    expect(run.timeline.find(({ type }) => type === 'run.created')?.data).toMatchObject({ runId: pending, number: 2 });
  });

  it('gives the timeline page by page', async () => {
    const whole = await get<RunHistoryBody>(page(approved));
    const first = await get<RunHistoryBody>(`${page(approved)}?limit=4`);
    const rest = await get<RunHistoryBody>(`${page(approved)}?after=${first.next}`);
    expect([...first.timeline, ...rest.timeline]).toEqual(whole.timeline);
    expect([first.timeline.length, rest.next, rest.asOf]).toEqual([4, null, whole.asOf]);
  });

  it('shows the state as of a position and as of a time', async () => {
    const { timeline, streams } = await get<RunHistoryBody>(page(approved));
    const gate = timeline.find(({ type }) => type === 'run.awaiting_approval');
    for (const at of [gate?.position, gate?.at]) {
      const run = await get<RunHistoryBody>(`${page(approved)}?at=${at}`);
      expect(run.asOf).toMatchObject({ position: gate?.position, at: gate?.at, state: 'blocked' });
      expect(run.asOf.streams).toEqual([
        { stream: streams[0], revision: gate?.revision, state: expect.objectContaining({ status: 'waiting' }) },
      ]);
      expect(run.timeline.at(-1)?.type).toBe('run.awaiting_approval');
    }
    const before = await get<RunHistoryBody>(`${page(approved)}?at=0`);
    expect(before.asOf).toEqual({ position: 0, at: null, events: 0, state: null, stateSince: null, streams: [] });
  });

  it('lists what became different between two moments', async () => {
    const { timeline, streams } = await get<RunHistoryBody>(page(approved));
    const gate = timeline.find(({ type }) => type === 'run.awaiting_approval')?.position;
    const end = timeline.find(({ type }) => type === 'run.approved')?.position;
    const { differences, from, to } = await get<RunDifferenceBody>(`${page(approved)}/diff?from=${gate}&to=${end}`);
    expect([from.position, to.position]).toEqual([gate, end]);
    const stream = `/streams/${(streams[0] ?? '').replaceAll('~', '~0').replaceAll('/', '~1')}`;
    expect(differences).toEqual(
      expect.arrayContaining([
        { path: '/state', before: 'blocked', after: 'running' },
        { path: `${stream}/state/status`, before: 'waiting', after: 'running' },
      ]),
    );
    expect((await get<RunDifferenceBody>(`${page(approved)}/diff?from=${end}&to=${end}`)).differences).toEqual([]);
  });

  it.each(['at=soon', 'at=-1', 'limit=0', 'after=x', 'at=1&at=2'])('refuses %s', async (query) => {
    expect(said(await auditor.get(`${page(approved)}?${query}`))).toEqual([400, { error: expect.any(String) }]);
  });

  it('answers for a run of another tenant as for one that never was', async () => {
    const missing = said(await as('acme-token').get(page('req-0-00000000')));
    expect(missing).toEqual([404, { error: 'Run not found' }]);
    for (const path of [page(waiting), `${page(waiting)}/diff`, `/ledger/runs/autopack/${approved}`]) {
      expect(said(await as('acme-token').get(path))).toEqual(missing);
    }
    expect((await as('acme-token').get(page(approved))).status).toBe(200);
  });

  it('is for those who may read', async () => {
    for (const path of ['/ledger/runs', page(approved), `${page(approved)}/diff`, `${page(approved)}/bundle`]) {
      expect((await as('worker-token').get(path)).status).toBe(403);
      expect((await as('nobody').get(path)).status).toBe(401);
    }
    expect(said(await as('acme-token').get(`${page(approved)}/bundle`))).toEqual([
      403,
      { error: expect.stringContaining('a token for all tenants') },
    ]);
  });
});

describe('on the command line', () => {
  const runCommand = (args: readonly string[]): Promise<CommandOutcome> => runIn(args, service.stores);
  const data = (): string[] => ['--data', service.dataDir];
  const server = (): string[] => ['--url', service.origin, '--token', 'auditor-token'];

  it('the log is verified beside the running service, and held against a checkpoint that was kept', async () => {
    const checkpoint = await runCommand(['audit', 'checkpoint', '--json', ...data()]);
    const kept = checkpoint.json<{ hash: string; publicKey: string; events: number }>();
    expect([checkpoint.code, kept.events > 20]).toEqual([0, true]);
    const verified = await runCommand(['audit', 'verify', '--json', '--public-key', kept.publicKey, ...data()]);
    expect(verified.code).toBe(0);
    expect(verified.json()).toMatchObject({ checkpoints: 1, finding: null });
    const other = 'MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=';
    const refused = await runCommand(['audit', 'verify', '--public-key', other, ...data()]);
    expect([refused.code, refused.stdout]).toEqual([1, expect.stringMatching(/signature[^]*another key/)]);
  });

  it('a run is exported from the server and from its folder, and verified with nothing but the public key', async () => {
    const { publicKey } = (await runCommand(['audit', 'checkpoint', '--json', ...data()])).json<{
      publicKey: string;
    }>();
    const bundles: string[] = [];
    for (const [name, where] of [
      ['server', server()],
      ['folder', data()],
    ] as const) {
      const out = join(folder, `${name}.jsonl`);
      expect(await runCommand(['audit', 'export', 'hypershift', approved, '--out', out, ...where])).toMatchObject({
        code: 0,
        stderr: '',
      });
      bundles.push(await readFile(out, 'utf8'));
      const verified = await runCommand(['audit', 'verify', '--bundle', out, '--public-key', publicKey, '--json']);
      expect([verified.code, verified.json()]).toEqual([
        0,
        expect.objectContaining({
          runId: approved,
          unsigned: 0,
          checkpoints: 1,
          publicKeys: [publicKey],
          finding: null,
        }),
      ]);
    }
    const body = (text = ''): string[] => text.split('\n').slice(1, -2);
    expect(body(bundles[0])).toEqual(body(bundles[1]));
  });

  it('the timeline is the same from the server and from its folder', async () => {
    const [remote, local] = [
      await runCommand(['audit', 'timeline', 'hypershift', approved, '--json', ...server()]),
      await runCommand(['audit', 'timeline', 'hypershift', approved, '--json', ...data()]),
    ];
    expect(remote.json()).toEqual(local.json());
    const shown = await runCommand(['audit', 'timeline', 'hypershift', approved, '--at', '0', ...data()]);
    expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining('not there yet') });
    const people = await runCommand(['audit', 'timeline', 'hypershift', approved, ...data()]);
    expect(people.stdout).toMatch(/^\d+ +\S+Z +run\.approved +ada +request /m);
  });

  it('events are the same from the server and from its folder, in either order', async () => {
    for (const order of [[], ['--newest']]) {
      const asked = ['events', 'list', '--json', '--type', 'run.*,usage.run_reserved', '--limit', '7', ...order];
      const [remote, local] = [await runCommand([...asked, ...server()]), await runCommand([...asked, ...data()])];
      expect([remote.code, remote.stdout.split('\n')]).toEqual([0, local.stdout.split('\n')]);
      expect(local.stdout.split('\n')).toHaveLength(7);
    }
    const about = await runCommand(['events', 'list', '--run', pending, '--limit', '0', ...data()]);
    expect(about.stdout.split('\n').map((line) => line.split(/ +/)[3])).toEqual(['usage.run_reserved', 'run.created']);
  });

  it('what is stored is what this code makes of the log', async () => {
    const replayed = await runCommand(['replay', '--all', '--deciders', '--json', ...data()]);
    const { views, deciders } = replayed.json<{ views: { view: string; equal: number }[]; deciders: object }>();
    expect(replayed.code).toBe(0);
    expect(deciders).toMatchObject({ failed: 0, failures: [] });
    expect(views.find(({ view }) => view === 'hypershift.run')?.equal).toBe(3);
    expect(views.find(({ view }) => view === 'runledger.runs')?.equal).toBe(3);
  });

  it.each([
    ['a folder without a ledger', ['audit', 'verify', '--data', '/nonexistent'], 2, /no ledger in \/nonexistent/],
    ['a stream that is not there', ['audit', 'verify', '--stream', 'nobody'], 2, /no stream nobody/],
    ['a run that is not there', ['audit', 'export', 'hypershift', 'x', '--out', '/tmp/never'], 1, /no run x/],
    ['a moment that is none', ['audit', 'timeline', 'hypershift', 'x', '--at', 'soon'], 2, /--at is a position/],
    [
      'a view that is not there',
      ['replay', '--views', 'nobody'],
      2,
      /No view is called nobody: there are .*hypershift\.run/,
    ],
    ['a key that is none', ['audit', 'verify', '--public-key', 'x'], 2, /Ed25519 public key/],
    [
      'both a server and a folder',
      ['audit', 'timeline', 'a', 'b', '--url', 'http://127.0.0.1:9'],
      2,
      /Either --url or/,
    ],
  ])('%s is told in one line', async (_what, args, code, line) => {
    const outcome = await (args.includes('--data') ? runIn(args) : runCommand([...args, ...data()]));
    expect(outcome).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(line) });
    expect(outcome.stderr.split('\n')).toHaveLength(1);
  });

  it('a token that is missing or too weak is told in one line', async () => {
    const ask = (...token: string[]) =>
      runCommand(['audit', 'timeline', 'hypershift', approved, '--url', service.origin, ...token]);
    expect(await ask()).toMatchObject({ code: 1, stderr: expect.stringContaining('--token or RUNLEDGER_TOKEN') });
    expect(await ask('--token', 'worker-token')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('does not have the scope read'),
    });
  });
});
