import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { verifyLog } from '../../src/kernel/audit/verify.js';
import { Conflict } from '../../src/kernel/errors.js';
import type { Streams } from '../../src/kernel/streams.js';
import { startApp, type TestApp } from '../support/app.js';
import { counterDecider, counterStream } from '../support/counter.js';
import { report, scaled } from '../support/fault-scale.js';
import { Hypershift, instantAgents } from '../support/hypershift.js';
import { TestLedger } from '../support/test-ledger.js';

const CLIENTS = 64;
const WRITES = scaled(2, 32);
const STREAM = counterStream('shared');
const WORKSPACES = scaled(4, 50);

describe('fault 12: many write to one stream', () => {
  let ledger: TestLedger;
  beforeEach(async () => {
    ledger = await TestLedger.open();
  });
  afterEach(() => ledger.close());

  /** Adds 1, and again when others kept winning: then a client is told 503 and comes back. @returns how often it was. */
  async function addOne(streams: Streams): Promise<number> {
    for (let refused = 0; ; refused++) {
      try {
        await streams.transact(counterDecider, STREAM, { type: 'add', counter: 'shared', by: 1 });
        return refused;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
      }
    }
  }

  /** So many processes that know nothing of each other, with so many clients in all. */
  async function race(processes: readonly Streams[]): Promise<void> {
    let refused = 0;
    const client = async (number: number): Promise<void> => {
      const streams = processes[number % processes.length] as Streams;
      for (let write = 0; write < WRITES; write++) refused += await addOne(streams);
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
    const total = CLIENTS * WRITES;
    const events = await ledger.events();
    expect(events.map(({ revision }) => revision)).toEqual(Array.from({ length: total }, (_, index) => index));
    for (const streams of processes) expect((await streams.read(counterDecider, STREAM)).total).toBe(total);
    expect((await verifyLog(ledger.log)).finding).toBeNull();
    const conflicts = (await ledger.metrics.conflicts.get()).values[0]?.value ?? 0;
    expect(conflicts).toBeGreaterThan(0);
    report(12, {
      processes: processes.length,
      clients: CLIENTS,
      writes: total,
      conflicts,
      'told to come back': refused,
    });
  }

  it('through two processes: no update is lost, none is made twice', async () => {
    await race([ledger.streams(), ledger.streams()]);
  }, 300_000);

  it('through 64 processes: no update is lost, none is made twice', async () => {
    await race(Array.from({ length: CLIENTS }, () => ledger.streams()));
  }, 300_000);
});

describe('fault 12: many ask for what only some can have', () => {
  let service: TestApp;
  beforeEach(async () => {
    service = await startApp({ HYPERSHIFT_DEPLOY_TARGET: 'none' }, { hypershiftAgents: instantAgents() });
  });
  afterEach(() => service.close());

  it('of twenty runs at a limit of ten, ten are created', async () => {
    const body = { user_intent: { description: 'one of twenty' } };
    const tally = new Map<number, number>();
    for (let number = 0; number < WORKSPACES; number++) {
      const client = Hypershift.of(service).in(`ws-limit-${number}`);
      const answers = await Promise.all(Array.from({ length: 20 }, () => client.post('/runs', body)));
      for (const { status } of answers) tally.set(status, (tally.get(status) ?? 0) + 1);
      expect((await client.get<{ runs: unknown[] }>('/runs')).body.runs).toHaveLength(10);
      expect((await client.get<{ runs: number }>('/usage')).body.runs).toBe(10);
    }
    expect(Object.fromEntries(tally)).toEqual({ 201: 10 * WORKSPACES, 402: 10 * WORKSPACES });
    report(12, { workspaces: WORKSPACES, created: tally.get(201) ?? 0, 'over the limit': tally.get(402) ?? 0 });
  });

  it('of 64 who start the same run, one does', async () => {
    const client = Hypershift.of(service);
    const runId = await client.create();
    const answers = await Promise.all(Array.from({ length: CLIENTS }, () => client.post(`/runs/${runId}/start`)));
    const started = answers.filter(({ status }) => status === 202);
    const refused = answers.filter(({ status }) => status === 400);
    expect([started.length, refused.length]).toEqual([1, CLIENTS - 1]);
    expect((await client.still(runId)).status).toBe('completed');
  });
});
