/** A log as months of use leave it behind: completed runs, properly sealed, appended through the port. */
import { closedLoop } from './figures.mjs';
import { answerParent, isEntry } from './processes.mjs';

const STEPS = ['architect', 'builder', 'sentinel', 'sre', 'finops'];
/** Events of one run: its reservation, created, started, five steps begun and completed, completed. */
export const EVENTS_A_RUN = 14;
/** As many as the better tier allows in a month. */
export const RUNS_A_WORKSPACE = 1_000;
/** One workspace has as much as this share of all runs, spread over months. */
const BIG_SHARE = 0.2;
export const BIG = 'ws-big';
/** Every so many runs have this tag; all have `nightly`. */
export const RARE_EVERY = 50;
export const RARE = 'rare';

const WRITERS = 64;
const FIRST_RUN_AT = Date.UTC(2026, 0, 1);
const BETWEEN_RUNS_MS = 20_000;

export const workspaceOf = (index, runs) =>
  index < runs * BIG_SHARE ? BIG : `ws-${String(Math.floor((index - runs * BIG_SHARE) / RUNS_A_WORKSPACE))}`;
export const runIdOf = (index) => `req-${index.toString(36).padStart(6, '0')}-history`;

/**
 * Fills an empty folder.
 *
 * @returns how many events that were, and how long the appends took.
 */
async function fill({ dist, folder, runs }) {
  const { SqliteStore } = await import(`${dist}/src/adapters/sqlite/sqlite-store.js`);
  const { SystemClock } = await import(`${dist}/src/adapters/system/system-clock.js`);
  const seal = await sealer(dist);
  const store = await SqliteStore.open({ folder, clock: new SystemClock() });
  const ends = new Map();
  const append = async (stream, events) => {
    const sealed = seal(stream, ends.get(stream), events);
    const { revision, hash } = sealed;
    ends.set(stream, { revision, hash });
    await store.log.append(stream, revision - events.length < 0 ? 'none' : revision - events.length, sealed.events);
  };
  // One writer per workspace, so that nobody waits for the arbiter of its month.
  const byWorkspace = Map.groupBy(
    Array.from({ length: runs }, (_, index) => index),
    (index) => workspaceOf(index, runs),
  );
  const workspaces = [...byWorkspace];
  const seconds = await closedLoop(WRITERS, workspaces.length, async (place) => {
    const [tenant, indexes] = workspaces[place];
    await append(`hypershift.workspace-${tenant}`, workspaceEvents(tenant));
    const numbers = new Map();
    for (const index of indexes) {
      const at = FIRST_RUN_AT + index * BETWEEN_RUNS_MS;
      const period = `${new Date(at).toISOString().slice(0, 7)}-01`;
      const number = (numbers.get(period) ?? 0) + 1;
      numbers.set(period, number);
      const run = { tenant, index, number, period, at };
      const appending = append(`hypershift.usage-${tenant}-${period}`, [reservedEvent(run)]);
      await Promise.all([appending, append(`hypershift.run-${runIdOf(index)}`, runEvents(run))]);
    }
  });
  const events = await store.log.head();
  await store.close();
  return { events, seconds };
}

/** Seals events as the service does. Gives the end of the stream with them, and forgets nothing of the chain. */
async function sealer(dist) {
  const { chainHash, CHAIN_START } = await import(`${dist}/src/kernel/hash-chain.js`);
  const { canonicalJson } = await import(`${dist}/src/kernel/canonical-json.js`);
  const { SystemIds } = await import(`${dist}/src/adapters/system/system-ids.js`);
  const { hypershift } = await import(`${dist}/src/systems/hypershift/hypershift.definition.js`);
  const definitions = new Map(hypershift.events.map((definition) => [definition.type, definition]));
  const checked = new Set();
  const ids = new SystemIds();
  return (stream, end, events) => {
    let { revision, hash } = end ?? { revision: -1, hash: CHAIN_START };
    const sealed = events.map(({ type, data, at }) => {
      // One of each type against its contract: a made-up history must not be easier to read than a real one.
      if (!checked.has(type)) definitions.get(type).data.parse(data);
      checked.add(type);
      const metadata = { at: new Date(at).toISOString(), schemaVersion: 1, tenant: data.tenant, correlationId: stream };
      const plain = { id: ids.uuid(), type, data: canonicalJson(data), metadata: canonicalJson(metadata) };
      revision += 1;
      hash = chainHash(hash, stream, revision, plain);
      return { ...plain, hash };
    });
    return { events: sealed, revision, hash };
  };
}

function workspaceEvents(tenant) {
  const scope = { system: 'hypershift', tenant };
  return [
    { type: 'workspace.created', at: FIRST_RUN_AT, data: { ...scope, name: tenant, tier: 'free', implicit: false } },
    { type: 'workspace.tier_changed', at: FIRST_RUN_AT, data: { ...scope, from: 'free', to: 'pro' } },
  ];
}

function requestOf(index) {
  return {
    userIntent: { description: `Deploy the shop, revision ${index}, with its database`, target: 'production' },
    codename: `run-${index}`,
    tags: index % RARE_EVERY === 0 ? ['nightly', RARE] : ['nightly'],
    requireApproval: false,
    createdBy: 'bench',
    replayOf: null,
  };
}

function reservedEvent({ tenant, index, number, period, at }) {
  const scope = { system: 'hypershift', tenant };
  return {
    type: 'usage.run_reserved',
    at,
    data: { ...scope, period, runId: runIdOf(index), number, run: requestOf(index) },
  };
}

function runEvents({ tenant, index, number, at }) {
  const scope = { system: 'hypershift', tenant, runId: runIdOf(index) };
  const events = [
    { type: 'run.created', at, data: { ...scope, number, ...requestOf(index) } },
    { type: 'run.started', at: at + 5, data: { ...scope, by: 'bench' } },
  ];
  for (const [place, step] of STEPS.entries()) {
    const output = { step, ok: true, notes: [`Step ${place + 1} of run ${index} found nothing to complain about.`] };
    const started = at + 10 + place * 100;
    events.push(
      { type: 'step.started', at: started, data: { ...scope, step, index: place + 1, attempt: 1 } },
      { type: 'step.completed', at: started + 90, data: { ...scope, step, index: place + 1, output } },
    );
  }
  events.push({ type: 'run.completed', at: at + 600, data: { ...scope, deploymentUrl: null, durationMs: 595 } });
  return events;
}

if (isEntry(import.meta.url)) answerParent({ fill });
