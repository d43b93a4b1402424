import { describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Luck, report, scaled } from '../support/fault-scale.js';
import type { Ask, HypershiftClient, Told } from '../support/hypershift-client.js';
import { Stage } from './stage.js';

const STOPS = scaled(3, 100);
const CLIENTS = 4;
const EXIT_LIMIT_MS = 10_000;
/** Longer than a job may take to finish once the service stops. */
const SLOW = 'slow 4000 at sre';
const LOOKS_A_RUN = 20;

describe('fault 19: SIGTERM under load', () => {
  it('fails no request that was accepted, gives the leases back, and ends in peace; the next start goes on', async () => {
    const luck = new Luck();
    const stage = await Stage.open();
    const { server, client, dataDir } = stage;
    try {
      const codes: (number | null)[] = [];
      const failed: string[] = [];
      const total = { requests: 0, tooLate: 0, leased: 0, waiting: 0 };
      for (let stop = 0; stop < STOPS; stop++) {
        // Somebody who has connected and never asks holds up nothing.
        const silent = connect(server.port, '127.0.0.1').on('error', () => undefined);
        const load = new Load(client, luck, `stop-${stop}`);
        const working = Promise.all(Array.from({ length: CLIENTS }, (_, worker) => load.work(worker)));
        // Not to wait for something, but to stop at any moment.
        await pause(luck.number(400));
        codes.push(await server.stop(EXIT_LIMIT_MS));
        await working;
        silent.destroy();
        failed.push(...load.failed, ...load.unanswered(await readFile(server.requests, 'utf8')));
        const { leased, waiting } = jobStates(dataDir);
        total.requests += load.requests;
        total.tooLate += load.tooLate;
        total.leased += leased;
        total.waiting += waiting;
        await server.resume();
      }
      for (const runId of client.created) {
        const { json } = await client.send({ method: 'GET', path: `/runs/${runId}` });
        // Whose start came too late waits for ever, as it should.
        if (json.status !== 'pending') await client.ended(runId);
      }
      const account = await stage.settle();
      report(19, {
        seed: luck.seed,
        stops: STOPS,
        requests: total.requests,
        'came too late': total.tooLate,
        'failed though accepted': failed.length,
        'jobs waiting for the next start': total.waiting,
        'leases kept': total.leased,
        runs: account.runs,
      });
      expect(failed).toEqual([]);
      expect(codes).toEqual(codes.map(() => 0));
      expect(total.leased).toBe(0);
      expect(total.waiting).toBeGreaterThan(0);
      expect(account.problems).toEqual([]);
    } finally {
      await stage.close();
    }
  }, 1_800_000);
});

/** Clients that start runs and look at them, until the server takes no more requests. */
class Load {
  requests = 0;
  /** Requests that found nobody to answer: the server had closed, or it has failed them. */
  tooLate = 0;
  /** Requests that were answered as they must not be. */
  readonly failed: string[] = [];
  private readonly answered = new Set<string>();

  constructor(
    private readonly client: HypershiftClient,
    private readonly luck: Luck,
    private readonly name: string,
  ) {}

  async work(worker: number): Promise<void> {
    for (let turn = 0; ; turn++) {
      const headers = { 'x-workspace-id': `ws-${this.name}-${worker}-${Math.floor(turn / 8)}` };
      const description = turn === 0 ? SLOW : this.luck.pick(['slow 30', 'plain']);
      const body = { user_intent: { description } };
      const created = await this.ask({ method: 'POST', path: '/runs', headers, body });
      if (!created) return;
      const runId = created.json.run_id as string;
      this.client.created.push(runId);
      if (!(await this.ask({ method: 'POST', path: `/runs/${runId}/start` }))) return;
      for (let look = 0; look < LOOKS_A_RUN; look++) {
        if (!(await this.ask({ method: 'GET', path: `/runs/${runId}` }))) return;
      }
    }
  }

  /** Requests that the server has noted and nobody got an answer to. */
  unanswered(accepted: string): string[] {
    return accepted
      .split('\n')
      .filter((id) => id.startsWith(`${this.name}-`) && !this.answered.has(id))
      .map((id) => `${id} was accepted and not answered`);
  }

  private async ask(ask: Ask): Promise<Told | undefined> {
    this.requests += 1;
    const id = `${this.name}-${this.requests}`;
    try {
      const told = await this.client.once({ ...ask, headers: { ...ask.headers, 'x-request-id': id } });
      this.answered.add(id);
      if (told.status < 300) return told;
      this.failed.push(`${id}: ${ask.method} ${ask.path} was answered ${told.status} ${told.text}`);
    } catch {
      this.tooLate += 1;
    }
    return undefined;
  }
}

function jobStates(dataDir: string): { waiting: number; leased: number } {
  const database = new DatabaseSync(join(dataDir, 'views.db'), { readOnly: true });
  const rows = database.prepare('SELECT state, count(*) AS n FROM jobs GROUP BY state').all();
  database.close();
  const count = (state: string): number => Number(rows.find((row) => row['state'] === state)?.['n'] ?? 0);
  return { waiting: count('waiting'), leased: count('leased') };
}
