import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { said } from '../../support/http.js';
import { Hypershift, instantAgents } from '../../support/hypershift.js';
import { ShiftedClock } from '../../support/shifted-clock.js';

describe('HyperShift API, Usage', () => {
  const clock = new ShiftedClock();
  let service: TestApp;
  let anybody: Hypershift;
  beforeAll(async () => {
    service = await startApp({}, { clock, hypershiftAgents: instantAgents() });
    anybody = Hypershift.of(service);
  });
  beforeEach(() => clock.set('2026-02-15T12:00:00.000Z'));
  afterAll(() => service.close());

  it('answers for the default workspace with exactly these keys', async () => {
    expect(said(await anybody.get('/usage'))).toEqual([
      200,
      { workspace_id: 'ws-default', period: '2026-02-01', runs: 0, limit: 10, tier: 'free' },
    ]);
  });

  it('answers with zeros for a workspace that does not exist', async () => {
    expect(said(await anybody.in('nowhere').get('/usage'))).toEqual([
      200,
      { workspace_id: 'nowhere', period: '2026-02-01', runs: 0, limit: 10, tier: 'free' },
    ]);
  });

  it('counts runs as they are created, started or not, replays included', async () => {
    const client = await anybody.workspace();
    const id = await client.create();
    await client.post(`/runs/${id}/replay`);
    expect((await client.get('/usage')).body).toMatchObject({ workspace_id: client.id, runs: 2 });
  });

  it('begins anew with the month, in UTC, and old months keep their runs', async () => {
    const client = await anybody.workspace();
    clock.set('2026-02-28T23:59:00.000Z');
    for (let run = 0; run < 10; run++) await client.create();
    expect((await client.get('/usage')).body).toMatchObject({ period: '2026-02-01', runs: 10 });
    clock.set('2026-03-01T00:00:00.000Z');
    expect((await client.get('/usage')).body).toMatchObject({ period: '2026-03-01', runs: 0 });
    await client.create();
    expect((await client.get('/usage')).body).toMatchObject({ period: '2026-03-01', runs: 1, limit: 10 });
    clock.set('2026-02-28T12:00:00.000Z');
    const refused = await client.post('/runs', { description: 'x' });
    expect(said(refused)).toEqual([402, expect.objectContaining({ current: 10, limit: 10, period: '2026-02-01' })]);
  });

  it('tells the limit of the tier', async () => {
    const client = await anybody.workspace();
    await client.patch(`/workspaces/${client.id}/tier`, { tier: 'pro' });
    expect((await client.get('/usage')).body).toMatchObject({ runs: 0, limit: 1_000, tier: 'pro' });
  });
});
