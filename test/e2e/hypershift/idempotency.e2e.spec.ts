import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RunListBody } from '../../../src/systems/hypershift/runs/runs.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { said, type Answer } from '../../support/http.js';
import { Hypershift, instantAgents } from '../../support/hypershift.js';
import { ShiftedClock } from '../../support/shifted-clock.js';
import { unique } from '../../support/unique.js';

const BODY = { user_intent: { description: 'once' } };
const MISMATCH = [422, { error: expect.stringMatching(/Idempotency-Key/) }];

describe('HyperShift API, requests with an Idempotency-Key', () => {
  let service: TestApp;
  let anybody: Hypershift;
  const clock = new ShiftedClock();
  beforeAll(async () => {
    service = await startApp({}, { clock, hypershiftAgents: instantAgents() });
    anybody = Hypershift.of(service);
    await anybody.patch('/workspaces/ws-default/tier', { tier: 'pro' });
  });
  afterAll(() => service.close());

  const withKey = (key = unique('key')): Record<string, string> => ({ 'Idempotency-Key': key });
  const replayed = ({ headers }: Answer): string | null => headers.get('idempotent-replayed');
  const runsOf = async (client: Hypershift): Promise<string[]> =>
    (await client.get<RunListBody>('/runs')).body.runs.map(({ id }) => id);

  it('create one run, and are answered alike', async () => {
    const client = await anybody.workspace();
    const headers = withKey();
    const first = await client.post<{ run_id: string }>('/runs', BODY, headers);
    const second = await client.post('/runs', BODY, headers);
    expect([first.status, replayed(first)]).toEqual([201, null]);
    expect([said(second), replayed(second)]).toEqual([said(first), 'true']);
    expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
    expect(await runsOf(client)).toEqual([first.body.run_id]);
    expect((await client.get('/usage')).body).toMatchObject({ runs: 1 });
  });

  it('create one run when they come twenty at a time', async () => {
    const client = await anybody.workspace();
    const headers = withKey();
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.post('/runs', BODY, headers)));
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers.filter((answer) => replayed(answer) === 'true')).toHaveLength(19);
    expect(await runsOf(client)).toHaveLength(1);
  });

  it('start a run once, and are both told so', async () => {
    const id = await anybody.create();
    const headers = withKey();
    const first = await anybody.post(`/runs/${id}/start`, undefined, headers);
    const second = await anybody.post(`/runs/${id}/start`, undefined, headers);
    expect([said(first), said(second)]).toEqual(Array(2).fill([202, { message: 'Run started' }]));
    expect(replayed(second)).toBe('true');
    expect(said(await anybody.post(`/runs/${id}/start`))).toEqual([400, { error: 'Run is not pending' }]);
  });

  it('roll back, replay and make workspaces and keys once', async () => {
    const client = await anybody.workspace();
    const id = await client.create();
    for (const [path, body] of [
      [`/runs/${id}/rollback`, undefined],
      [`/runs/${id}/replay`, {}],
      ['/workspaces', { name: 'Once' }],
      [`/workspaces/${client.id}/api-keys`, { name: 'Once' }],
    ] as const) {
      const headers = withKey();
      const first = await client.post(path, body, headers);
      const second = await client.post(path, body, headers);
      expect([said(second), replayed(second)]).toEqual([said(first), 'true']);
    }
    expect((await client.actions(id)).filter((action) => action === 'rollback.executed')).toHaveLength(1);
    expect(await runsOf(client)).toHaveLength(2);
    const { body } = await client.get<{ keys: unknown[] }>(`/workspaces/${client.id}/api-keys`);
    expect(body.keys).toHaveLength(1);
  });

  it('give a key that works, again and again the same one', async () => {
    const { id } = await anybody.workspace();
    const headers = withKey();
    const path = `/workspaces/${id}/api-keys`;
    const { body: first } = await anybody.post<{ key: string }>(path, {}, headers);
    const { body: second } = await anybody.post<{ key: string }>(path, {}, headers);
    expect(second.key).toBe(first.key);
    const usage = await anybody.get('/usage', { Authorization: `Bearer ${second.key}` });
    expect(usage.body).toMatchObject({ workspace_id: id });
  });

  it('are refused with another body, or on another route', async () => {
    const headers = withKey();
    const { status } = await anybody.post('/runs', BODY, headers);
    expect(status).toBe(201);
    expect(said(await anybody.post('/runs', { user_intent: { description: 'twice' } }, headers))).toEqual(MISMATCH);
    expect(said(await anybody.post('/workspaces', BODY, headers))).toEqual(MISMATCH);
    expect((await anybody.post('/runs', BODY, headers)).status).toBe(201);
  });

  it('are refused with a key that is longer than a header may be for that', async () => {
    const answer = await anybody.post('/runs', BODY, withKey('k'.repeat(300)));
    expect(said(answer)).toEqual([400, { error: expect.stringMatching(/.+/) }]);
  });

  it('of different workspaces have nothing to do with each other', async () => {
    const headers = withKey();
    const [one, other] = [await anybody.workspace(), await anybody.workspace()];
    const answers = [await one.post('/runs', BODY, headers), await other.post('/runs', BODY, headers)];
    expect(answers.map((answer) => [answer.status, replayed(answer)])).toEqual(Array(2).fill([201, null]));
    expect(answers[0]?.text).not.toBe(answers[1]?.text);
    expect([await runsOf(one), await runsOf(other)].map((runs) => runs.length)).toEqual([1, 1]);
  });

  it('are told of the refusal again', async () => {
    const headers = withKey();
    const first = await anybody.post('/runs', { user_intent: {} }, headers);
    const second = await anybody.post('/runs', { user_intent: {} }, headers);
    expect([first.status, said(second), replayed(second)]).toEqual([400, said(first), 'true']);
  });

  it('do without the memory after a day', async () => {
    const client = await anybody.workspace();
    const headers = withKey();
    clock.set('2026-04-01T12:00:00.000Z');
    const first = await client.post<{ run_id: string }>('/runs', BODY, headers);
    clock.set('2026-04-02T11:59:00.000Z');
    expect(said(await client.post('/runs', BODY, headers))).toEqual(said(first));
    clock.set('2026-04-02T12:01:00.000Z');
    const later = await client.post<{ run_id: string }>('/runs', BODY, headers);
    expect([later.status, replayed(later)]).toEqual([201, null]);
    expect(later.body.run_id).not.toBe(first.body.run_id);
  });

  it('are remembered through a restart', async () => {
    const before = await startApp({}, { hypershiftAgents: instantAgents() });
    const [run, key, start] = [withKey(), withKey(), withKey()];
    const old = Hypershift.of(before);
    const id = await old.create();
    const path = '/workspaces/ws-default/api-keys';
    const first = [
      await old.post('/runs', BODY, run),
      await old.post(path, {}, key),
      await old.post(`/runs/${id}/start`, undefined, start),
    ];
    const after = await before.restart();
    try {
      const again = Hypershift.of(after);
      const second = [
        await again.post('/runs', BODY, run),
        await again.post(path, {}, key),
        await again.post(`/runs/${id}/start`, undefined, start),
      ];
      expect(second.map(said)).toEqual(first.map(said));
      expect(second.map(replayed)).toEqual(['true', 'true', 'true']);
      expect(said(await again.post('/runs', { description: 'other' }, run))).toEqual(MISMATCH);
      expect(await runsOf(again)).toHaveLength(2);
    } finally {
      await after.close();
    }
  });
});
