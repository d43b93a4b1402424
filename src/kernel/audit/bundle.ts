import { createHash } from 'node:crypto';
import { CHAIN_START, orderHash } from '../hash-chain.js';
import type { BlobStore } from '../ports/blob-store.js';
import { START, type EventLog, type Position, type StoredEvent } from '../ports/event-log.js';
import type { RunIndexDoc } from '../runs/run-index.view.js';
import { CHECKPOINT_STREAM, type CheckpointData } from './notary.js';

/**
 * A bundle is everything about one run that a stranger needs to verify it offline, as JSON Lines in UTF-8, one object
 * per line with its `kind`, in this order:
 *
 * 1. `bundle`: `version` 1, which run it is, and the newest `position` of the log when it was made.
 * 2. `checkpoint`: the signed checkpoints that cover the run's events, as stored.
 * 3. `event`: every event about the run, as stored. The run's own streams are whole, from revision 0. An event of another
 *    stream bears `previous`, the hash before it there.
 *    As everywhere, an event is verified by its hash (see `chainHash`) and by being an event at all: its id is a UUID, its
 *    data and metadata are objects in JSON.
 * 4. `order`: `hashes` of all events between two checkpoints that stand in the bundle (`after` and `to` are their
 *    revisions; -1: from the first event of the log). Hashes and nothing else: they prove that an event of another
 *    stream is in the log, without showing what else is.
 * 5. `artifact`, each followed by its `content` in pieces of base64.
 * 6. `end`: how many lines came before, and the SHA-256 of their bytes.
 */
export const BUNDLE_VERSION = 1;

export type BundleLine =
  | {
      readonly kind: 'bundle';
      readonly version: number;
      readonly system: string;
      readonly tenant: string;
      readonly runId: string;
      readonly position: Position;
      readonly streams: readonly string[];
    }
  | ({ readonly kind: 'checkpoint' } & StoredEvent)
  | ({ readonly kind: 'event'; readonly previous?: string } & StoredEvent)
  | { readonly kind: 'order'; readonly after: number; readonly to: number; readonly hashes: readonly string[] }
  | {
      readonly kind: 'artifact';
      readonly key: string;
      readonly sizeBytes: number;
      readonly contentType: string;
      readonly sha256: string;
      readonly storedAt: string;
    }
  | { readonly kind: 'content'; readonly base64: string }
  | { readonly kind: 'end'; readonly lines: number; readonly sha256: string };

export interface BundleSource {
  readonly log: EventLog;
  readonly blobs: BlobStore;
  readonly run: RunIndexDoc;
  /** Head of the log before the history was read: no later checkpoint may speak of events that are not in it. */
  readonly head: Position;
  /** Every event about it, in log order. */
  readonly history: readonly StoredEvent[];
  /** What the keys of its artifacts begin with. */
  readonly artifacts: readonly string[];
}

interface Checkpoint {
  readonly event: StoredEvent;
  readonly data: CheckpointData;
}

const PAGE = 1_000;
const PIECE = 48 * 1_024;
/** More than ever came while one checkpoint was being signed. */
const MAX_UNCOVERED = 1_000;

/** The lines of a run's bundle, each with its line feed. */
export async function* bundleLines(source: BundleSource): AsyncGenerator<string> {
  const whole = createHash('sha256');
  let lines = 0;
  for await (const line of bodyOf(source)) {
    const text = `${JSON.stringify(line)}\n`;
    whole.update(text);
    lines += 1;
    yield text;
  }
  yield `${JSON.stringify({ kind: 'end', lines, sha256: whole.digest('hex') } satisfies BundleLine)}\n`;
}

async function* bodyOf({ log, blobs, run, head, history, artifacts }: BundleSource): AsyncGenerator<BundleLine> {
  const { system, tenant, runId, streams } = run;
  yield { kind: 'bundle', version: BUNDLE_VERSION, system, tenant, runId, position: head, streams };
  const own = new Set(streams);
  const mentions = history.filter(({ stream }) => !own.has(stream));
  const covering = await checkpointsOver(log, history, head);
  const segments = await segmentsWith(log, mentions, covering);
  const ends = new Set(segments.flatMap(({ after, to }) => [after, to]));
  for (const { event, data } of covering) {
    const needed = ends.has(event.revision) || data.heads.some(({ stream }) => own.has(stream));
    if (needed) yield { kind: 'checkpoint', ...event };
  }
  for (const event of history) {
    if (own.has(event.stream)) yield { kind: 'event', ...event };
    else yield { kind: 'event', ...event, previous: await hashBefore(log, event) };
  }
  for (const { after, to, hashes } of segments) {
    for (let at = 0; at < hashes.length; at += PAGE) {
      yield { kind: 'order', after, to, hashes: hashes.slice(at, at + PAGE) };
    }
  }
  for (const prefix of artifacts) yield* artifactsBelow(blobs, prefix);
}

/**
 * The checkpoints from the one before these events to the one that covers the last of them. Where a checkpoint stands in
 * this log is what counts: the position in its data is that of the store in which it was signed.
 */
async function checkpointsOver(log: EventLog, events: readonly StoredEvent[], head: Position): Promise<Checkpoint[]> {
  const last = events.at(-1)?.position ?? START;
  const checkpoints: Checkpoint[] = [];
  let after = 0;
  for (let from = Math.max(0, (await firstAfter(log, events[0]?.position ?? START)) - 1); ; from += PAGE) {
    const page = await log.readStream(CHECKPOINT_STREAM, { from, limit: PAGE });
    for (const event of page) {
      if (event.position > head) return checkpoints;
      checkpoints.push({ event, data: JSON.parse(event.data) as CheckpointData });
      // What came while one was being signed is covered by the next.
      if (event.position > last && ++after > 1) return checkpoints;
    }
    if (page.length < PAGE) return checkpoints;
  }
}

/** Revision of the first checkpoint that stands after a position; one past the newest where none does yet. */
async function firstAfter(log: EventLog, position: Position): Promise<number> {
  const [newest] = await log.readStream(CHECKPOINT_STREAM, { backwards: true, limit: 1 });
  let low = 0;
  let high = (newest?.revision ?? -1) + 1;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const [event] = await log.readStream(CHECKPOINT_STREAM, { from: middle, limit: 1 });
    if (event && event.position <= position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The events between two checkpoints, by their hashes. */
interface Segment {
  readonly after: number;
  readonly to: number;
  readonly hashes: readonly string[];
}

/** The segments in which events of other streams lie. An event that no checkpoint covers yet lies in none. */
async function segmentsWith(
  log: EventLog,
  mentions: readonly StoredEvent[],
  covering: readonly Checkpoint[],
): Promise<Segment[]> {
  const known = new Map<number, Segment | undefined>();
  const used = new Set<Segment>();
  for (const { position, hash } of mentions) {
    const first = covering.findIndex(({ event }) => event.position > position);
    for (const index of first < 0 ? [] : [first, first + 1]) {
      const to = covering[index];
      if (!to) continue;
      if (!known.has(index)) known.set(index, await segmentBefore(log, covering[index - 1], to));
      const segment = known.get(index);
      if (!segment?.hashes.includes(hash)) continue;
      used.add(segment);
      break;
    }
  }
  return [...used];
}

/** What a checkpoint covers that the one before does not. Undefined where the log does not hold it like that. */
async function segmentBefore(
  log: EventLog,
  before: Checkpoint | undefined,
  to: Checkpoint,
): Promise<Segment | undefined> {
  // Where the covering begins with its first checkpoint, the segment would begin at one that is not known.
  if (!before && to.event.revision > 0) return undefined;
  const count = to.data.events - (before?.data.events ?? 0);
  const hashes: string[] = [];
  for (let from = to.event.position; hashes.length < count + MAX_UNCOVERED;) {
    const page = await log.readAll(from, { backwards: true, limit: PAGE });
    const last = page.at(-1);
    if (!last) break;
    hashes.push(...page.map((event) => event.hash));
    from = last.position;
  }
  hashes.reverse();
  // Some events may have come between what it covers and itself.
  for (let uncovered = 0; uncovered <= Math.min(MAX_UNCOVERED, hashes.length - count); uncovered++) {
    const end = hashes.length - uncovered;
    const covered = hashes.slice(end - count, end);
    const order = covered.reduce((previous, hash) => orderHash(previous, { hash }), before?.data.order ?? CHAIN_START);
    if (order === to.data.order) return { after: before?.event.revision ?? -1, to: to.event.revision, hashes: covered };
  }
  return undefined;
}

async function hashBefore(log: EventLog, { stream, revision }: StoredEvent): Promise<string> {
  if (revision === 0) return CHAIN_START;
  const [before] = await log.readStream(stream, { from: revision - 1, limit: 1 });
  return before?.hash ?? CHAIN_START;
}

async function* artifactsBelow(blobs: BlobStore, prefix: string): AsyncGenerator<BundleLine> {
  let after: string | undefined;
  for (;;) {
    const page = await blobs.list(prefix, { limit: PAGE, ...(after === undefined ? {} : { after }) });
    for (const { key } of page) {
      const blob = await blobs.get(key);
      // It may have expired since it was listed.
      if (!blob) continue;
      const { sizeBytes, contentType, sha256, storedAt } = blob.info;
      yield { kind: 'artifact', key, sizeBytes, contentType, sha256, storedAt };
      for await (const chunk of blob.content as AsyncIterable<Buffer>) {
        for (let at = 0; at < chunk.length; at += PIECE) {
          yield { kind: 'content', base64: chunk.subarray(at, at + PIECE).toString('base64') };
        }
      }
    }
    after = page.at(-1)?.key;
    if (page.length < PAGE) return;
  }
}
