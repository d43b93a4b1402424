import { describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Luck, report, scaled } from '../support/fault-scale.js';
import { Stage } from './stage.js';

const STOPS = scaled(4, 100);
const CLIENTS = 8;
const EXIT_LIMIT_MS = 10_000;

describe('fault 19: SIGTERM under load', () => {
  it('fails no request that was accepted, gives the leases back, and ends in peace; the next start goes on', async () => {
    const luck = new Luck();
    const stage = await Stage.open();
    const { server, client, dataDir } = stage;
    try {
      const codes: (number | null)[] = [];
      const unanswered: string[] = [];
      const unavailable: string[] = [];
      let requests = 0;
      let refusedConnections = 0;
      let leased = 0;
      let interrupted = 0;
      for (let stop = 0; stop < STOPS; stop++) {
        const answered = new Set<string>();
        let over = false;
        const work = async (worker: number): Promise<void> => {
          for (let turn = 0; !over; turn++) {
            const id = `stop-${stop}-${worker}-${turn}`;
            const started = await oneRun(`ws-${stop}-${worker}-${Math.floor(turn / 8)}`, id);
            if (!started) break;
          }
        };
        const ask = async (
          id: string,
          path: string,
          body?: object,
          workspace?: string,
        ): Promise<string | undefined> => {
          requests += 1;
          const headers = { 'x-request-id': id, ...(workspace === undefined ? {} : { 'x-workspace-id': workspace }) };
          try {
            const told = await client.once({ method: 'POST', path, headers, ...(body ? { body } : {}) });
            answered.add(id);
            if (told.status >= 500) unavailable.push(`${id}: ${told.status} ${told.text}`);
            return told.status < 300 ? told.text : undefined;
          } catch {
            // Either the server had closed already, or this is a failure: what it has accepted tells.
            refusedConnections += 1;
            return undefined;
          }
        };
        const oneRun = async (workspace: string, id: string): Promise<boolean> => {
          const body = { user_intent: { description: luck.pick(['slow 30', 'plain', 'plain', 'slow 4000 at sre']) } };
          const created = await ask(`${id}-create`, '/runs', body, workspace);
          if (created === undefined) return false;
          const runId = (JSON.parse(created) as { run_id: string }).run_id;
          client.created.push(runId);
          return (await ask(`${id}-start`, `/runs/${runId}/start`)) !== undefined;
        };
        const working = Promise.all(Array.from({ length: CLIENTS }, (_, worker) => work(worker)));
        // Not to wait for something, but to stop at any moment.
        await pause(luck.number(400));
        codes.push(await server.stop(EXIT_LIMIT_MS));
        over = true;
        await working;
        const accepted = (await readFile(server.requests, 'utf8'))
          .split('\n')
          .filter((id) => id.startsWith(`stop-${stop}-`));
        unanswered.push(...accepted.filter((id) => !answered.has(id)));
        const jobs = jobStates(dataDir);
        leased += jobs.leased;
        interrupted += jobs.waiting;
        await server.resume();
      }
      for (const runId of client.created) await settled(runId);
      const account = await stage.settle();
      report(19, {
        seed: luck.seed,
        stops: STOPS,
        requests,
        'failed accepted requests': unanswered.length + unavailable.length,
        'came too late': refusedConnections,
        'jobs waiting for the next start': interrupted,
        'leases kept': leased,
        runs: account.runs,
      });
      expect(unanswered).toEqual([]);
      expect(unavailable).toEqual([]);
      expect(codes).toEqual(codes.map(() => 0));
      expect(leased).toBe(0);
      expect(interrupted).toBeGreaterThan(0);
      expect(account.problems).toEqual([]);

      /** Runs that were started end; those whose start came too late wait for ever. */
      async function settled(runId: string): Promise<void> {
        const { json } = await client.send({ method: 'GET', path: `/runs/${runId}` });
        if (json.status !== 'pending') await client.ended(runId);
      }
    } finally {
      await stage.close();
    }
  }, 1_800_000);
});

function jobStates(dataDir: string): { waiting: number; leased: number } {
  const database = new DatabaseSync(join(dataDir, 'runledger.db'), { readOnly: true });
  const rows = database.prepare('SELECT state, count(*) AS n FROM jobs GROUP BY state').all();
  database.close();
  const count = (state: string): number => Number(rows.find((row) => row['state'] === state)?.['n'] ?? 0);
  return { waiting: count('waiting'), leased: count('leased') };
}
