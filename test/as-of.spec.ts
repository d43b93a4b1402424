import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { runView, type RunDoc } from '../projections/hypershift/run.view.js';
import { FilesBlobStore } from '../src/adapters/files/files-blob-store.js';
import type { StoredEvent } from '../src/kernel/ports/event-log.js';
import type { RunIndexDoc } from '../src/kernel/runs/run-index.view.js';
import { RunAudit } from '../src/ledger/audit/run-audit.js';
import { hypershift } from '../src/systems/hypershift/hypershift.definition.js';
import { runStream } from '../src/systems/hypershift/hypershift.streams.js';
import { runDecider, type RunState } from '../src/systems/hypershift/runs/run.decider.js';
import type { RunEvent } from '../contracts/hypershift/run.events.js';
import { scaled } from './support/fault-scale.js';
import { fold } from './support/fold.js';
import { hypershiftLog } from './support/hypershift-log.js';
import { registryOf } from './support/rebuild.js';
import { TestLedger } from './support/test-ledger.js';

const RUNS = scaled(15, 1_000);
jest.setTimeout(scaled(60_000, 900_000));

const registry = registryOf([hypershift]);
let ledger: TestLedger;

beforeEach(async () => {
  ledger = await TestLedger.open();
});
afterEach(() => ledger.close());

/** Appends to the real log what was generated, under names of its own. @returns it as it is stored. */
async function store(events: readonly StoredEvent[], round: number): Promise<StoredEvent[]> {
  const from = await ledger.log.head();
  const own = (stream: string): string => `${stream}-of-${round}`;
  await Promise.all(
    events.map((event) =>
      ledger.log.append(own(event.stream), event.revision === 0 ? 'none' : event.revision - 1, [event]),
    ),
  );
  return [...(await ledger.log.readAll(from, { limit: events.length }))];
}

/** The state that the run's decider had come to, folded here from the texts of the events. */
function stateAt(events: readonly StoredEvent[], stream: string, position: number): RunState {
  let state = runDecider.initial;
  for (const event of events) {
    if (event.stream !== stream || event.position > position) continue;
    const { at } = JSON.parse(event.metadata) as { at: string };
    state = runDecider.evolve(state, { type: event.type, data: JSON.parse(event.data) } as RunEvent, at);
  }
  return state;
}

it('the state as of any position, and as of any time, is the fold of what had happened by then', async () => {
  const blobs = new FilesBlobStore({
    folder: ledger.folder,
    publicUrl: 'http://localhost',
    signingKey: Buffer.alloc(32),
    clock: ledger.clock,
  });
  const audit = new RunAudit(ledger.log, blobs, registry, [hypershift]);
  let runs = 0;
  let moments = 0;
  for (let round = 0; runs < RUNS; round++) {
    const [generated] = fc.sample(hypershiftLog(registry.catalog), { numRuns: 1, seed: round + 1 });
    const events = await store(generated ?? [], round);
    const index = fold(registry.runIndex, registry.catalog, events) as Record<string, RunIndexDoc>;
    const last = events.at(-1)?.position ?? 0;
    for (const run of Object.values(index)) {
      const stream = `${runStream(run.runId)}-of-${round}`;
      const history = await audit.history(run);
      expect(history.length).toBe(events.filter(({ data }) => data.includes(`"runId":"${run.runId}"`)).length);
      for (let position = (events[0]?.position ?? 1) - 1; position <= last; position++) {
        const { asOf } = await audit.report(run, { moment: { position }, limit: 0 });
        const prefix = events.filter((event) => event.position <= position);
        const wanted = stateAt(events, stream, position);
        expect(asOf.streams.find((each) => each.stream === stream)?.state ?? { status: 'absent' }).toEqual(wanted);
        const shown = fold(runView, registry.catalog, prefix)[run.runId] as RunDoc | undefined;
        if (shown) expect(asOf.state).toBe(shown.status);
        else expect([null, 'reserved']).toContain(asOf.state);
        const mine = history.filter((event) => event.position <= position);
        expect([asOf.events, asOf.position]).toEqual([mine.length, mine.at(-1)?.position ?? 0]);
        // Time runs forwards in these logs: as of the time of an event is as of the last that was recorded then.
        const { at } = JSON.parse(prefix.at(-1)?.metadata ?? '{"at":"2000-01-01T00:00:00.000Z"}') as { at: string };
        const byTime = await audit.report(run, { moment: { time: at }, limit: 0 });
        const sameTime = events.findLast(({ metadata }) => (JSON.parse(metadata) as { at: string }).at <= at);
        const byPosition = await audit.report(run, { moment: { position: sameTime?.position ?? 0 }, limit: 0 });
        expect(byTime.asOf).toEqual(byPosition.asOf);
        moments += 1;
      }
      runs += 1;
    }
  }
  process.stderr.write(`as of: ${runs} runs, ${moments} positions\n`);
  expect(runs).toBeGreaterThanOrEqual(RUNS);
});
