import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { scaled } from '../support/fault-scale.js';
import { Fleet } from './fleet.js';

const ROUNDS = scaled(25, 500);
const CLIENTS = 4;

interface Answer {
  readonly status: number;
  readonly stale: string | null;
  readonly body: Record<string, unknown>;
}

describe('clients that know nothing of positions, and whose requests go to one API process after the other', () => {
  let fleet: Fleet;
  beforeAll(async () => {
    fleet = await Fleet.open();
  }, 120_000);
  afterAll(() => fleet.close(), 60_000);

  async function send(api: number, method: string, path: string, tenant: string, body?: object): Promise<Answer> {
    const answer = await fetch(`${fleet.processes.api[api % 2]?.origin}/hypershift${path}`, {
      method,
      headers: { 'x-workspace-id': tenant, ...(body ? { 'content-type': 'application/json' } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    const stale = answer.headers.get('x-ledger-stale');
    return { status: answer.status, stale, body: (await answer.json()) as Answer['body'] };
  }

  it('read at once what they have written', async () => {
    const late: Answer[] = [];
    const client = async (number: number): Promise<void> => {
      for (let round = 0; round < ROUNDS; round++) {
        const tenant = `plain-${number}-${Math.floor(round / 8)}`;
        const intent = { user_intent: { description: 'plain' } };
        const created = await send(round, 'POST', '/runs', tenant, intent);
        expect(created.status).toBe(201);
        const path = `/runs/${String(created.body['run_id'])}`;
        const found = await send(round + 1, 'GET', path, tenant);
        const listed = await send(round + 1, 'GET', '/runs', tenant);
        const started = await send(round + 1, 'POST', `${path}/start`, tenant);
        const begun = await send(round, 'GET', path, tenant);
        for (const answer of [found, listed, begun]) if (answer.stale !== null) late.push(answer);
        expect([found.status, listed.status, started.status, begun.status]).toEqual([200, 200, 202, 200]);
        expect(JSON.stringify(listed.body)).toContain(String(created.body['run_id']));
        expect(begun.body['status']).not.toBe('pending');
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
    expect(late).toEqual([]);
  }, 300_000);
});
