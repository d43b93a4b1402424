import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { startApp, type TestApp } from '../support/app.js';
import { report, scaled } from '../support/fault-scale.js';
import { Hypershift, instantAgents } from '../support/hypershift.js';
import type { Answer } from '../support/http.js';
import { compareWithRebuild, registryOf, served } from '../support/rebuild.js';
import { HurriedClock } from '../support/shifted-clock.js';
import { until } from '../support/until.js';
import { hypershift } from '../../src/systems/hypershift/hypershift.definition.js';

const RUNS = scaled(20, 500);
const ROUNDS = scaled(3, 20);
const READERS = 4;
const { views } = registryOf([hypershift]);

/** How all collections are lost: by the store's own means, or behind its back. */
type Loss = (service: TestApp) => Promise<void>;

const dropped: Loss = async ({ app }) => {
  const store = app.kernel.ports.views;
  const collections = await store.collections();
  await Promise.all(collections.filter((name) => name !== 'runledger.cursors').map((name) => store.drop(name)));
};

const droppedBehindItsBack: Loss = async ({ dataDir }) => {
  const database = new DatabaseSync(join(dataDir, 'views.db'), { timeout: 5_000 });
  const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'view:%'").all();
  for (const { name } of tables) if (name !== 'view:runledger.cursors') database.exec(`DROP TABLE "${String(name)}"`);
  database.close();
};

describe('fault 9: all views are lost while they serve', () => {
  let service: TestApp;
  let client: Hypershift;
  let questions: string[];
  let right: Map<string, string>;

  beforeEach(async () => {
    const clock = new HurriedClock(5);
    service = await startApp({ HYPERSHIFT_DEPLOY_TARGET: 'none' }, { clock, hypershiftAgents: instantAgents() });
    const workspace = await Hypershift.of(service).workspace();
    await workspace.patch(`/workspaces/${workspace.id}/tier`, { tier: 'pro' });
    client = workspace;
    const runIds = await Promise.all(Array.from({ length: RUNS }, () => client.launch({ tags: ['lost'] })));
    await Promise.all(runIds.map((runId) => client.still(runId)));
    await ready();
    questions = [
      ...runIds.flatMap((runId) => [`/runs/${runId}`, `/runs/${runId}/logs`]),
      '/runs',
      '/runs?tag=lost',
      '/usage',
      '/observability/outcomes',
      `/workspaces/${workspace.id}`,
    ];
    right = new Map();
    for (const question of questions) right.set(question, said(await client.get(question)));
  });
  afterEach(() => service.close());

  /** Until every view holds the whole log. */
  async function ready(): Promise<void> {
    await until('every view is live', async () => {
      // Those that nobody asks would be missed by the next inspection only.
      for (const { name } of service.app.kernel.projector.views) await service.app.kernel.projector.inspectView(name);
      const status = await service.app.kernel.projector.status();
      return status.every(({ state, position, head }) => state === 'live' && position === head);
    });
  }

  const all = async (): Promise<Map<string, Map<string, string> | undefined>> => {
    const stored = views.map(async (view) => [view.name, await served(view, service.app.kernel.ports.views)] as const);
    return new Map(await Promise.all(stored));
  };

  it.each([
    ['dropped by the store', dropped],
    ['dropped behind its back', droppedBehindItsBack],
  ])(
    '%s: whoever reads gets the right answer or none, and all is as it was',
    async (_how, lose) => {
      const before = await all();
      const tally = { right: 0, unavailable: 0, stale: 0 };
      const wrong: string[] = [];
      let over = false;
      const reader = async (number: number): Promise<void> => {
        for (let turn = number; !over; turn++) {
          const question = questions[turn % questions.length] ?? '/runs';
          const answer = await client.get(question);
          if (answer.status === 503) tally.unavailable += 1;
          else if (answer.headers.get('x-ledger-stale') === 'true') tally.stale += 1;
          else if (said(answer) === right.get(question)) tally.right += 1;
          else wrong.push(`${question}: ${said(answer)}`);
        }
      };
      const reading = Promise.all(Array.from({ length: READERS }, (_, number) => reader(number)));
      for (let round = 0; round < ROUNDS; round++) {
        await lose(service);
        await until('the views serve again', async () => {
          for (const question of questions) if (said(await client.get(question)) !== right.get(question)) return false;
          return true;
        });
        await ready();
      }
      over = true;
      await reading;

      expect(wrong).toEqual([]);
      expect(await all()).toEqual(before);
      const { log, views: store } = service.app.kernel.ports;
      const { documents, differences } = await compareWithRebuild({ log, views: store }, [hypershift]);
      expect(differences).toEqual([]);
      expect(tally.right).toBeGreaterThan(0);
      report(9, {
        losses: ROUNDS * views.length,
        documents,
        'answers right': tally.right,
        503: tally.unavailable,
        stale: tally.stale,
        wrong: 0,
      });
    },
    120_000,
  );
});

function said({ status, text }: Answer): string {
  return `${status} ${text}`;
}
