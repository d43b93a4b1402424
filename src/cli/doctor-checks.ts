import { access, constants, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { openLog } from '../adapters/open-log.js';
import { probeServers, type Probe } from '../adapters/probes.js';
import { MongoViewStore } from '../adapters/mongodb/mongo-view-store.js';
import { SqliteStore } from '../adapters/sqlite/sqlite-store.js';
import { CHECKPOINT_STREAM } from '../kernel/audit/notary.js';
import { loadSigningKey } from '../kernel/audit/signing-key.js';
import { InvalidSettings } from '../kernel/errors.js';
import type { Clock } from '../kernel/ports/clock.js';
import type { EventLog } from '../kernel/ports/event-log.js';
import type { ViewStore } from '../kernel/ports/view-store.js';
import type { Settings } from '../kernel/settings.js';
import { CHECKPOINT_MARK, SERVING_MARK } from '../kernel/views/view.js';

export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warning' | 'problem';
  /** What was found. */
  readonly found: string;
  /** What to do about it; absent where all is well. */
  readonly advice?: string;
}

const MIN_NODE = 24;
const MIB = 1_048_576;
const LOW_DISK_BYTES = 1_024 * MIB;
const NO_DISK_BYTES = 100 * MIB;
/** From so much on, times in the log are hard to compare; from so much on, signatures and leases fail. */
const CLOCK_WARNING_MS = 1_000;
const CLOCK_PROBLEM_MS = 60_000;
export const LAG_WARNING = 10_000;

export const ok = (check: string, found: string): Finding => ({ check, status: 'ok', found });
export const warning = (check: string, found: string, advice: string): Finding => ({
  check,
  status: 'warning',
  found,
  advice,
});
export const problem = (check: string, found: string, advice: string): Finding => ({
  check,
  status: 'problem',
  found,
  advice,
});

export function checkNode(version: string): Finding {
  const major = Number(version.split('.')[0]);
  if (major >= MIN_NODE) return ok('node', version);
  return problem('node', version, `Use Node ${MIN_NODE}: npm ci brings it along, and npm start uses it`);
}

/** @param offsetMs How far the other clock is ahead of ours. */
export function checkClock(check: string, offsetMs: number): Finding {
  const away = Math.abs(offsetMs);
  const found = `${(away / 1_000).toFixed(1)} s ${offsetMs < 0 ? 'behind' : 'ahead of'} this machine`;
  const advice = 'Set the clocks of all machines by NTP';
  if (away >= CLOCK_PROBLEM_MS) return problem(check, found, advice);
  return away >= CLOCK_WARNING_MS ? warning(check, found, advice) : ok(check, found);
}

export function checkLag(view: string, lag: number): Finding {
  if (lag < LAG_WARNING) return ok(`view ${view}`, `${lag} positions behind the log`);
  return warning(
    `view ${view}`,
    `${lag} positions behind the log`,
    'Wait for it to catch up; is there a process with the role projector?',
  );
}

/** Whether the folder can be written to, and has room. */
export async function checkFolder(folder: string): Promise<Finding[]> {
  const place = await existing(folder);
  try {
    if (!(await stat(place)).isDirectory())
      return [problem('data folder', `${place} is no folder`, 'Set RUNLEDGER_DATA_DIR')];
    await access(place, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return [
      problem(
        'data folder',
        `${place} cannot be written to (${code})`,
        'Give it to the user of the service, or set RUNLEDGER_DATA_DIR',
      ),
    ];
  }
  const found = place === folder ? folder : `${folder} is made at the first start`;
  return [ok('data folder', found), await checkDisk(place)];
}

async function checkDisk(folder: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const found = `${Math.floor(free / MIB).toLocaleString('en')} MiB free`;
  const advice = 'Make room: without it nothing is recorded';
  if (free < NO_DISK_BYTES) return problem('disk', found, advice);
  return free < LOW_DISK_BYTES ? warning('disk', found, advice) : ok('disk', found);
}

/** The folder, or what is there of the path to it. */
async function existing(folder: string): Promise<string> {
  try {
    await stat(folder);
    return folder;
  } catch (error) {
    const above = dirname(folder);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === folder) return folder;
    return existing(above);
  }
}

/** Servers first, and then what the stores say that can be reached. */
export async function checkServersAndStores(settings: Settings, clock: Clock): Promise<Finding[]> {
  const probes = await probeServers(settings, clock);
  const unreachable = new Set(probes.filter(({ error }) => error !== undefined).map(({ setting }) => setting));
  return [...probes.flatMap(findingsOf), ...(await checkStores(settings, clock, unreachable))];
}

function findingsOf({ setting, product, version, clockOffsetMs, error }: Probe): Finding[] {
  if (error !== undefined)
    return [problem(product, error, `Is it running, and is ${setting} right: host, port, TLS, password?`)];
  const reached = ok(product, version === undefined ? 'answers' : `answers, version ${version}`);
  return [reached, ...(clockOffsetMs === undefined ? [] : [checkClock(`clock of ${product}`, clockOffsetMs)])];
}

interface Stores {
  readonly log: EventLog | undefined;
  readonly views: ViewStore | undefined;
  readonly findings: readonly Finding[];
  close(): Promise<void>;
}

/** What the stores say: key, checkpoints and views. A folder that a service has open is left alone. */
async function checkStores(settings: Settings, clock: Clock, unreachable: ReadonlySet<string>): Promise<Finding[]> {
  const stores = await openStores(settings, clock, unreachable);
  const { log, views, findings } = stores;
  try {
    return [...findings, ...(await checkKey(settings, log)), ...(log && views ? await checkViews(log, views) : [])];
  } finally {
    await stores.close();
  }
}

async function openStores(
  { servers, dataDir }: Settings,
  clock: Clock,
  unreachable: ReadonlySet<string>,
): Promise<Stores> {
  const opened: { close(): Promise<void> }[] = [];
  const findings: Finding[] = [];
  const keep = <Store extends { close(): Promise<void> }>(store: Store): Store => (opened.push(store), store);
  let embedded: SqliteStore | undefined;
  const isEmbedded = !servers.eventStore || !servers.mongo || !servers.nats;
  if (isEmbedded && (await isThere(join(dataDir, 'runledger.db')))) {
    try {
      embedded = keep(await SqliteStore.open({ folder: dataDir, clock }));
      findings.push(ok('lock', 'no service has the data folder open'));
    } catch (error) {
      if (!(error instanceof InvalidSettings)) throw error;
      findings.push(ok('lock', 'a service has the data folder open: ask it for views and checkpoints, with --url'));
    }
  }
  const { eventStore, mongo } = servers;
  const openedLog = async (url: string): Promise<EventLog | undefined> =>
    unreachable.has('EVENTSTORE_URL') ? undefined : keep(await openLog(url));
  const openedViews = async (url: string): Promise<ViewStore | undefined> =>
    unreachable.has('MONGODB_URL') ? undefined : keep(await MongoViewStore.connect(url));
  const log = eventStore ? await openedLog(eventStore) : embedded?.log;
  const views = mongo ? await openedViews(mongo) : embedded?.views;
  const close = async (): Promise<void> => {
    for (const store of opened.toReversed()) await store.close();
  };
  return { log, views, findings, close };
}

async function checkKey({ dataDir, signingKey }: Settings, log: EventLog | undefined): Promise<Finding[]> {
  const isPresent = signingKey !== undefined || (await isThere(join(dataDir, 'signing-key.pem')));
  const [last] = (await log?.readStream(CHECKPOINT_STREAM, { backwards: true, limit: 1 })) ?? [];
  if (!isPresent) {
    const found = 'there is none yet: the first start makes one';
    if (!last) return [ok('signing key', found)];
    return [problem('signing key', 'it is missing, and the log has checkpoints', RESTORE)];
  }
  let own: string;
  try {
    own = loadSigningKey(dataDir, signingKey).publicKey;
  } catch (error) {
    return [problem('signing key', error instanceof Error ? error.message : String(error), RESTORE)];
  }
  if (!last) return [ok('signing key', 'present; there is no checkpoint to compare it with')];
  return [compareKeys(own, last.data)];
}

const RESTORE =
  'Put back the key that signed before: with another one, checkpoints are of two hands, and sealed secrets cannot be opened';

/** @param checkpoint The data of the newest checkpoint, in JSON. */
export function compareKeys(own: string, checkpoint: string): Finding {
  const { publicKey } = JSON.parse(checkpoint) as { publicKey?: string };
  if (publicKey === own) return ok('signing key', 'signed the newest checkpoint');
  return problem('signing key', 'another key signed the newest checkpoint', RESTORE);
}

async function checkViews(log: EventLog, views: ViewStore): Promise<Finding[]> {
  const head = await log.head();
  const findings: Finding[] = [];
  for (const collection of await views.collections()) {
    const [, view = ''] = /^(.+)\.v\d+\.\d+$/.exec(collection) ?? [];
    if (view === '') continue;
    const marks = await views.load(collection, [CHECKPOINT_MARK, SERVING_MARK]);
    const folded = marks.find(({ key }) => key === CHECKPOINT_MARK)?.position ?? 0;
    if (marks.some(({ key }) => key === SERVING_MARK)) findings.push(checkLag(view, Math.max(0, head - folded)));
  }
  return findings;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}
