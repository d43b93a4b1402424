import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Refused } from '../../../src/kernel/errors.js';
import type { ForeignExecutor } from '../../../src/kernel/work/foreign-executor.js';
import { startApp, type TestApp } from '../../support/app.js';
import { eventually } from '../../support/eventually.js';
import { Client, said, type Answer } from '../../support/http.js';

const KIND = 'sample.task';
const LOST = 'The claim is lost: another worker has the job, or it is over';

interface Claimed {
  readonly jobs: readonly { claim: string; id: string; kind: string; group: string; attempt: number; input: unknown }[];
}

/** A kind of which the log knows nothing: a claim counts as long as its lease. */
class Tasks implements ForeignExecutor {
  readonly kind = KIND;
  readonly done: [string, unknown][] = [];
  readonly failed: [string, string][] = [];

  async begin({ payload }: { payload: object }) {
    return 'over' in payload ? undefined : { input: payload, attempt: 1 };
  }
  async complete({ id }: { id: string }, _attempt: number, output: unknown) {
    if (output === 'wrong') throw new Refused('invalid', 'output: anything but that');
    this.done.push([id, output]);
    return 'queued' as const;
  }
  async fail({ id }: { id: string }, _attempt: number, error: string) {
    this.failed.push([id, error]);
    return 'queued' as const;
  }
  async exhausted() {}
}

let service: TestApp;
let client: Client;
let tasks: Tasks;
beforeEach(() => start());
afterEach(() => service.close());

async function start(env: NodeJS.ProcessEnv = {}): Promise<void> {
  service = await startApp(env);
  client = new Client(service.origin);
  tasks = new Tasks();
  service.app.kernel.foreign.register(tasks);
}

const put = (...ids: string[]): Promise<void> =>
  service.app.kernel.ports.queue.put(ids.map((id) => ({ id, kind: KIND, group: `run-${id}`, payload: { n: id } })));

function claim(fields: object = {}): Promise<Answer<Claimed>> {
  return client.post<Claimed>('/ledger/work/claim', { kinds: [KIND], worker: 'a', ...fields });
}

async function held(fields: object = {}): Promise<Claimed['jobs'][number]> {
  const [job] = (await claim({ waitMs: 10_000, ...fields })).body.jobs;
  if (!job) throw new Error('Nothing was claimed');
  return job;
}

const figures = async (): Promise<Record<string, unknown> | undefined> =>
  (await client.get<{ kinds: Record<string, unknown>[] }>('/ledger/work')).body.kinds.find(({ kind }) => kind === KIND);

describe('POST /ledger/work/claim', () => {
  it('hands out what is ready, with what there is to do', async () => {
    await put('1', '2', '3');
    const { status, body } = await claim({ limit: 2 });
    expect(status).toBe(200);
    expect(body.jobs).toEqual(
      ['1', '2'].map((id) => ({
        claim: expect.any(String),
        id,
        kind: KIND,
        group: `run-${id}`,
        attempt: 1,
        input: { n: id },
      })),
    );
    expect(await figures()).toEqual({
      kind: KIND,
      foreign: true,
      waiting: 1,
      delayed: 0,
      leased: 2,
      dead: 0,
      oldestMs: expect.any(Number),
    });
  });

  it('answers with nothing when there is nothing, at once or after it has waited', async () => {
    expect(said(await claim())).toEqual([200, { jobs: [] }]);
    expect(said(await claim({ waitMs: 50 }))).toEqual([200, { jobs: [] }]);
  });

  it('waits for a job, and is woken by it', async () => {
    const waiting = held({ waitMs: 30_000 });
    await put('late');
    expect(await waiting).toMatchObject({ id: 'late' });
  });

  it('passes over what has nothing left to do, and goes on waiting', async () => {
    const { queue } = service.app.kernel.ports;
    await queue.put([{ id: 'over', kind: KIND, group: 'g', payload: { over: true } }]);
    const waiting = held({ waitMs: 30_000 });
    await eventually(async () => (await queue.holds(['over'])).size === 0);
    await put('next');
    expect(await waiting).toMatchObject({ id: 'next' });
  });

  it('leaves a job for others when whoever waited is gone', async () => {
    const gone = new AbortController();
    const asked = fetch(`${service.origin}/ledger/work/claim`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ kinds: [KIND], worker: 'gone', waitMs: 30_000 }),
      signal: gone.signal,
    }).catch(() => 'aborted');
    gone.abort();
    expect(await asked).toBe('aborted');
    await put('1');
    expect(await held()).toMatchObject({ id: '1' });
  });

  it('does not hold up the stop of the service', async () => {
    const waiting = claim({ waitMs: 30_000 });
    // Whether it has arrived by then or not, nobody waits half a minute for it.
    const answered = waiting.then(
      ({ body }) => body.jobs,
      () => [],
    );
    service = await service.restart();
    expect(await answered).toEqual([]);
  });

  it.each([
    ['no kinds', { kinds: [] }, 'kinds: '],
    [
      'a kind that is not for workers from outside',
      { kinds: ['hypershift.pipeline'] },
      'kinds: hypershift.pipeline is',
    ],
    ['a wait of more than 30 s', { waitMs: 30_001 }, 'waitMs: '],
    ['a lease that is too short', { leaseMs: 999 }, 'leaseMs: '],
    ['too many at once', { limit: 101 }, 'limit: '],
    ['no worker', { worker: '' }, 'worker: '],
    ['a slip of the pen', { leasems: 5_000 }, 'leasems: is not known'],
  ])('refuses %s', async (_, fields, message) => {
    const { status, body } = await client.post<{ error: string }>('/ledger/work/claim', {
      kinds: [KIND],
      worker: 'a',
      ...fields,
    });
    expect([status, body.error]).toEqual([400, expect.stringContaining(message)]);
  });
});

describe('a report', () => {
  it('completes a job once', async () => {
    await put('1');
    const job = await held();
    const done = { claim: job.claim, output: { answer: 42 } };
    expect(said(await client.post('/ledger/work/complete', done))).toEqual([200, { outcome: 'completed' }]);
    expect(tasks.done).toEqual([['1', { answer: 42 }]]);
    expect(await figures()).toMatchObject({ waiting: 0, leased: 0 });
    expect(said(await client.post('/ledger/work/complete', done))).toEqual([409, { error: LOST }]);
  });

  it('of an output that will not do is refused, and the job is still held', async () => {
    await put('1');
    const { claim: held1 } = await held();
    const wrong = await client.post('/ledger/work/complete', { claim: held1, output: 'wrong' });
    expect(said(wrong)).toEqual([400, { error: 'output: anything but that' }]);
    expect(await figures()).toMatchObject({ leased: 1 });
    expect((await client.post('/ledger/work/complete', { claim: held1, output: 1 })).status).toBe(200);
  });

  it('of a failure puts the job off, and gives it out as another attempt', async () => {
    await put('1');
    const first = await held();
    const failure = { claim: first.claim, error: 'out of luck', delayMs: 0 };
    expect(said(await client.post('/ledger/work/fail', failure))).toEqual([200, { outcome: 'retried', delayMs: 0 }]);
    expect(said(await client.post('/ledger/work/fail', failure))).toEqual([409, { error: LOST }]);
    const second = await held();
    expect([second.id, second.claim === first.claim]).toEqual(['1', false]);
    const again = await client.post('/ledger/work/fail', { claim: second.claim, error: 'again' });
    expect(said(again)).toEqual([200, { outcome: 'retried', delayMs: 500 }]);
    expect(await figures()).toMatchObject({ delayed: 1, leased: 0 });
    expect(tasks.failed).toEqual([]);
  });

  it('that it will never succeed buries it', async () => {
    await put('1');
    const { claim: held1 } = await held();
    const failure = { claim: held1, error: 'no such file', retry: false };
    expect(said(await client.post('/ledger/work/fail', failure))).toEqual([200, { outcome: 'buried' }]);
    expect(tasks.failed).toEqual([['1', 'no such file']]);
    expect(await figures()).toMatchObject({ dead: 1 });
  });

  it('keeps a claim alive; silence loses it, and what comes after that changes nothing', async () => {
    await put('1');
    const { claim: silent } = await held({ leaseMs: 1_000 });
    const beat = await client.post('/ledger/work/heartbeat', { claim: silent, leaseMs: 1_500 });
    expect(said(beat)).toEqual([200, { leaseMs: 1_500 }]);
    // Comes back by itself when the lease is over: whoever waits for work gets it then.
    const next = await held({ worker: 'b' });
    expect(next.id).toBe('1');
    for (const report of ['heartbeat', 'complete'])
      expect(said(await client.post(`/ledger/work/${report}`, { claim: silent }))).toEqual([409, { error: LOST }]);
    const failure = { claim: silent, error: 'late' };
    expect(said(await client.post('/ledger/work/fail', failure))).toEqual([409, { error: LOST }]);
    expect((await client.post('/ledger/work/complete', { claim: next.claim })).status).toBe(200);
  });

  it('is refused with a claim that was made up, or changed', async () => {
    await put('1');
    const { claim: ours } = await held();
    const [body = '', signature] = ours.split('.');
    const changed = Buffer.from(Buffer.from(body, 'base64url').toString().replace('"1"', '"2"')).toString('base64url');
    const answer = [400, { error: 'claim: send it as it was given' }];
    for (const claim of ['x', 'a.b', `${changed}.${signature}`, `${body}.`])
      expect(said(await client.post('/ledger/work/complete', { claim }))).toEqual(answer);
    expect((await client.post('/ledger/work/complete', {})).status).toBe(400);
    expect(tasks.done).toEqual([]);
  });
});

describe('dead letters', () => {
  async function buried(id: string): Promise<void> {
    await put(id);
    const { claim: given } = await held();
    await client.post('/ledger/work/fail', { claim: given, error: `broken ${id}`, retry: false });
  }
  const dead = async (query = ''): Promise<unknown> => (await client.get(`/ledger/work/dead${query}`)).body;
  const letter = (id: string) => ({
    id,
    kind: KIND,
    group: `run-${id}`,
    attempts: 1,
    error: `broken ${id}`,
    payload: { n: id },
  });

  it('are listed, requeued and discarded, each on record', async () => {
    for (const id of ['1', '2/x']) await buried(id);
    expect(await dead()).toEqual({ jobs: [letter('1'), letter('2/x')] });
    expect(await dead(`?kind=${KIND}&limit=1`)).toEqual({ jobs: [letter('1')] });
    expect(await dead('?kind=sample.other')).toEqual({ jobs: [] });

    const requeued = await client.post('/ledger/work/dead/1/requeue');
    expect(said(requeued)).toEqual([200, { id: '1', outcome: 'requeued' }]);
    expect(await held()).toMatchObject({ id: '1' });
    const discarded = await client.post('/ledger/work/dead/2%2Fx/discard');
    expect(said(discarded)).toEqual([200, { id: '2/x', outcome: 'discarded' }]);
    expect(await dead()).toEqual({ jobs: [] });

    const { body } = await client.get<{ events: { type: string; actor: string; data: object }[] }>(
      '/ledger/events?type=work.*',
    );
    const scope = { system: 'runledger', tenant: 'runledger', kind: KIND };
    expect(body.events.map(({ type, actor, data }) => [type, actor, data])).toEqual([
      ['work.requeued', 'local', { ...scope, jobId: '1', group: 'run-1', error: 'broken 1' }],
      ['work.discarded', 'local', { ...scope, jobId: '2/x', group: 'run-2/x', error: 'broken 2/x' }],
    ]);
  });

  it('are found by their ids only', async () => {
    await put('alive');
    for (const order of ['requeue', 'discard'])
      expect(said(await client.post(`/ledger/work/dead/alive/${order}`))).toEqual([
        404,
        { error: 'There is no dead letter alive' },
      ]);
    for (const query of ['?limit=0', '?limit=1001', '?limit=x', '?kinds=a'])
      expect((await client.get(`/ledger/work/dead${query}`)).status).toBe(400);
    expect((await client.get<{ events: [] }>('/ledger/events?type=work.*')).body.events).toEqual([]);
  });
});

describe('who may', () => {
  it('work with work, operate with operate, look with read; nobody for some tenants only', async () => {
    const tokens = ['read', 'operate', 'work'].map((scope) => ({ name: scope, token: scope, scopes: [scope] }));
    const acme = { name: 'acme', token: 'acme', scopes: ['read', 'operate', 'work'], tenants: ['acme'] };
    await service.close();
    await start({ RUNLEDGER_TOKENS: JSON.stringify([...tokens, acme]) });
    const routes = [
      ['GET', ''],
      ['GET', '/dead'],
      ['POST', '/dead/x/requeue'],
      ['POST', '/dead/x/discard'],
      ['POST', '/claim'],
      ['POST', '/heartbeat'],
      ['POST', '/complete'],
      ['POST', '/fail'],
    ] as const;
    const statuses = async (token: string): Promise<number[]> => {
      const as = new Client(service.origin, { authorization: `Bearer ${token}` });
      const answers = await Promise.all(routes.map(([method, path]) => as.send(method, `/ledger/work${path}`)));
      return answers.map(({ status }) => status);
    };
    expect(await statuses('read')).toEqual([200, 200, 403, 403, 403, 403, 403, 403]);
    expect(await statuses('operate')).toEqual([403, 403, 404, 404, 403, 403, 403, 403]);
    expect(await statuses('work')).toEqual([403, 403, 403, 403, 400, 400, 400, 400]);
    expect(await statuses('acme')).toEqual(routes.map(() => 403));
  });
});
