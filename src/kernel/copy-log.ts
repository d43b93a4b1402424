import { LogVerifier, type Finding } from './audit/verify.js';
import { MAX_APPEND_BYTES, START, type EventLog, type StoredEvent } from './ports/event-log.js';

export interface CopyOptions {
  /** Told now and then how many events of the source are in the target. */
  readonly onProgress?: (events: number) => void;
  /** Ends the copy early; it can be taken up again. */
  readonly signal?: AbortSignal;
}

export interface Copied {
  /** Events of the source that the target holds now. */
  readonly events: number;
  /** Of those, how many it held before. */
  readonly present: number;
  /** Why it ended early: the source is not as it was written. */
  readonly finding: Finding | null;
}

/** The target holds another log than the source. */
export class OtherLog extends Error {
  override readonly name = 'OtherLog';
}

const PAGE = 1_000;
const MAX_GROUP = 500;

/**
 * Copies a log into another, event by event as they are: ids, texts, hashes, and the order over all streams, so that
 * chains and signed checkpoints hold there too. What is in the target already is compared, and gone on from. Nobody may
 * write to either log meanwhile.
 *
 * @throws OtherLog when the target holds anything that the source does not hold in the same place.
 */
export async function copyLog(source: EventLog, target: EventLog, options: CopyOptions = {}): Promise<Copied> {
  const { onProgress, signal } = options;
  const verifier = new LogVerifier();
  const present = pages(target)[Symbol.asyncIterator]();
  let known: readonly StoredEvent[] = [];
  let count = { events: 0, present: 0 };
  for await (const page of pages(source)) {
    const sound = page.findIndex((event) => !verifier.take(event));
    const events = sound < 0 ? page : page.slice(0, sound);
    while (known.length < events.length) {
      const next = await present.next();
      if (next.done === true) break;
      known = [...known, ...next.value];
    }
    const shared = Math.min(known.length, events.length);
    compare(events.slice(0, shared), known.slice(0, shared));
    known = known.slice(shared);
    count = { events: count.events + shared, present: count.present + shared };
    for (const group of groups(events.slice(shared))) {
      if (signal?.aborted) return { ...count, finding: null };
      const [first] = group as [StoredEvent];
      await target.append(first.stream, first.revision === 0 ? 'none' : first.revision - 1, group);
      count = { ...count, events: count.events + group.length };
      onProgress?.(count.events);
    }
    onProgress?.(count.events);
    const { finding } = verifier.result;
    if (finding || signal?.aborted) return { ...count, finding };
  }
  const [more] = known.length > 0 ? known : ((await present.next()).value ?? []);
  if (more) throw new OtherLog(`The target holds ${more.id} in ${more.stream}, which the source does not`);
  return { ...count, finding: null };
}

async function* pages(log: EventLog): AsyncGenerator<readonly StoredEvent[], undefined> {
  for (let from = START; ;) {
    const page = await log.readAll(from, { limit: PAGE });
    const last = page.at(-1);
    if (!last) return;
    yield page;
    from = last.position;
  }
}

function compare(source: readonly StoredEvent[], target: readonly StoredEvent[]): void {
  source.forEach((event, index) => {
    const there = target[index];
    const { id, hash, stream, revision } = event;
    if (there?.id === id && there.hash === hash && there.stream === stream && there.revision === revision) return;
    throw new OtherLog(`The target holds another event in the place of ${id}, revision ${revision} of ${stream}`);
  });
}

/** Events that follow each other in one stream are appended together, as far as an append may carry them. */
function* groups(events: readonly StoredEvent[]): Generator<StoredEvent[]> {
  let group: StoredEvent[] = [];
  let bytes = 0;
  for (const event of events) {
    const size = Buffer.byteLength(event.data);
    const belongs = group[0]?.stream === event.stream && group.length < MAX_GROUP && bytes + size <= MAX_APPEND_BYTES;
    if (!belongs && group.length > 0) {
      yield group;
      [group, bytes] = [[], 0];
    }
    group.push(event);
    bytes += size;
  }
  if (group.length > 0) yield group;
}
