import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import type { NewApiKeyBody } from '../../../src/systems/hypershift/workspaces/workspaces.dto.js';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents, ISO_TIME } from '../../support/hypershift.js';

describe('HyperShift API, API keys', () => {
  let service: TestApp;
  let anybody: Hypershift;
  beforeAll(async () => {
    service = await startApp({}, { hypershiftAgents: instantAgents() });
    anybody = Hypershift.of(service);
  });
  afterAll(() => service.close());

  const create = async (workspace: string, body?: unknown): Promise<NewApiKeyBody> =>
    (await anybody.post<NewApiKeyBody>(`/workspaces/${workspace}/api-keys`, body)).body;
  const used = async (key: string): Promise<number> =>
    (await anybody.get('/usage', { Authorization: `Bearer ${key}` })).status;

  it('are shown once, when they are made, with exactly these fields', async () => {
    const { id } = await anybody.workspace();
    const answer = await anybody.post<NewApiKeyBody>(`/workspaces/${id}/api-keys`, { name: ' CI  ' });
    expect(said(answer)).toEqual([
      201,
      {
        id: expect.stringMatching(/^key_[0-9a-z]+$/),
        name: 'CI',
        key: expect.stringMatching(/^hs_[0-9a-f]{8}_[0-9a-f]{24}$/),
        key_prefix: answer.body.key.slice(3, 11),
        created_at: expect.stringMatching(ISO_TIME),
      },
    ]);
  });

  it.each([undefined, {}, { name: '' }, { name: '  ' }, { name: 7 }, { name: null }, []])(
    'are called "API key" for %j',
    async (body) => {
      const { id } = await anybody.workspace();
      expect(await create(id, body)).toMatchObject({ name: 'API key' });
    },
  );

  it('are listed newest first, without the key itself', async () => {
    const { id } = await anybody.workspace();
    const path = `/workspaces/${id}/api-keys`;
    expect(said(await anybody.get(path))).toEqual([200, { keys: [] }]);
    const [first, second, third] = [await create(id, { name: '1' }), await create(id), await create(id)];
    const listed = await anybody.get(path);
    const shown = ({ id: keyId, name, key_prefix, created_at }: NewApiKeyBody): unknown => ({
      id: keyId,
      name,
      key_prefix,
      created_at,
    });
    expect(said(listed)).toEqual([200, { keys: [shown(third), shown(second), shown(first)] }]);
    for (const { key } of [first, second, third]) expect(listed.text).not.toContain(key.slice(12));
  });

  it('are listed in the order in which they were made, also within a millisecond', async () => {
    const { id } = await anybody.workspace();
    const made = await Promise.all(Array.from({ length: 12 }, (_, index) => create(id, { name: String(index) })));
    const { body } = await anybody.get<{ keys: { id: string; created_at: string }[] }>(`/workspaces/${id}/api-keys`);
    expect(body.keys.map((key) => key.id).sort()).toEqual(made.map((key) => key.id).sort());
    const times = body.keys.map(({ created_at }) => created_at);
    expect(times).toEqual(times.toSorted().toReversed());
  });

  it('select their workspace', async () => {
    const { id } = await anybody.workspace();
    const { key } = await create(id);
    const usage = await anybody.get('/usage', { authorization: `bearer  ${key}` });
    expect(said(usage)).toEqual([200, expect.objectContaining({ workspace_id: id })]);
  });

  it('are of no use once they are revoked, which happens once', async () => {
    const { id } = await anybody.workspace();
    const [key, other] = [await create(id), await create(id)];
    const path = `/workspaces/${id}/api-keys/${key.id}`;
    expect(await used(key.key)).toBe(200);
    expect(said(await anybody.delete(path))).toEqual([200, { message: 'Revoked' }]);
    const refused = await anybody.get('/usage', { Authorization: `Bearer ${key.key}` });
    expect(said(refused)).toEqual([401, { error: 'Invalid API key' }]);
    expect(await used(other.key)).toBe(200);
    const { body } = await anybody.get<{ keys: { id: string }[] }>(`/workspaces/${id}/api-keys`);
    expect(body.keys.map((each) => each.id)).toEqual([other.id]);
    expect(said(await anybody.delete(path))).toEqual([404, { error: 'API key not found' }]);
  });

  it('are revoked with or without a body and its content type', async () => {
    const { id } = await anybody.workspace();
    const [one, two] = [await create(id), await create(id)];
    const headers = { 'content-type': 'application/json' };
    expect((await anybody.delete(`/workspaces/${id}/api-keys/${one.id}`, headers)).status).toBe(200);
    const answer = await anybody.send('DELETE', `/workspaces/${id}/api-keys/${two.id}`, { headers, body: '{}' });
    expect(answer.status).toBe(200);
  });

  it('of another workspace, or none, are not found', async () => {
    const [owner, other] = [await anybody.workspace(), await anybody.workspace()];
    const key = await create(owner.id);
    const notFound = [404, { error: 'API key not found' }];
    expect(said(await anybody.delete(`/workspaces/${other.id}/api-keys/${key.id}`))).toEqual(notFound);
    for (const id of ['key_00000000', 'nonsense', '..%2F', '%zz', key.key_prefix]) {
      expect(said(await anybody.delete(`/workspaces/${owner.id}/api-keys/${id}`))).toEqual(notFound);
    }
    expect(await used(key.key)).toBe(200);
  });

  it('need a workspace that exists', async () => {
    const notFound = [404, { error: 'Workspace not found' }];
    expect(said(await anybody.get('/workspaces/ws-nowhere/api-keys'))).toEqual(notFound);
    expect(said(await anybody.post('/workspaces/ws-nowhere/api-keys', { name: 'x' }))).toEqual(notFound);
    expect((await anybody.get('/workspaces/ws-nowhere')).status).toBe(404);
  });

  it('are kept as a SHA-256 alone, and outlive a restart', async () => {
    const before = await startApp({}, { hypershiftAgents: instantAgents() });
    const path = '/workspaces/ws-default/api-keys';
    // The answer that is kept for a repeated request holds the key too.
    const { body: made } = await Hypershift.of(before).post<NewApiKeyBody>(path, {}, { 'Idempotency-Key': 'a' });
    const events = await before.app.kernel.ports.log.readAll(0);
    const stored = events.map(({ data, metadata }) => data + metadata).join('\n');
    expect(stored).toContain(createHash('sha256').update(made.key).digest('hex'));
    expect(stored).not.toContain(made.key.slice(12));
    const after = await before.restart();
    try {
      const usage = await Hypershift.of(after).get('/usage', { Authorization: `Bearer ${made.key}` });
      expect(usage.status).toBe(200);
    } finally {
      await after.close();
    }
  });
});
