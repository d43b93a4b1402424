import { setImmediate as nextTick } from 'node:timers/promises';
import type { EventCatalog } from '../event-catalog.js';
import type { Clock } from '../ports/clock.js';
import type { EventLog, StoredEvent } from '../ports/event-log.js';
import type { CollectionWrite, ViewStore } from '../ports/view-store.js';
import type { Folded, ViewInstance } from './view-instance.js';

/** Small enough that folding one batch holds up no request. */
export const BATCH = 500;
/** Many documents at once share the pages that a store writes for them; more would hold up others' writes. */
const DOCUMENTS_A_WRITE = 1_000;

/** Folds batches of events into collections, and writes what comes of them. */
export class Batches {
  constructor(
    private readonly log: EventLog,
    private readonly store: ViewStore,
    private readonly catalog: EventCatalog,
    private readonly clock: Clock,
    /** How long the store may not know that a view has passed events which mean nothing to it, in ms. */
    private readonly checkpointMs: number,
    /** Is told of what has been written. */
    private readonly written: (folded: readonly Folded[]) => void,
  ) {}

  async fold(instances: readonly ViewInstance[], batch: readonly StoredEvent[]): Promise<Folded[]> {
    const end = batch.at(-1)?.position;
    if (end === undefined) return [];
    const readings = batch.map((stored) => this.catalog.read(stored));
    return Promise.all(
      instances.filter(({ folded, halted }) => !halted && folded < end).map((instance) => instance.fold(readings, end)),
    );
  }

  async write(folded: readonly Folded[]): Promise<void> {
    const now = this.clock.steady();
    const due = folded.filter((one) => !this.isIdle(one, now));
    if (due.length > 0) await this.store.write(due.map(({ write }) => write));
    for (const { instance } of due) instance.checkpointedAt = now;
    for (const one of folded) {
      one.instance.settle(one);
      one.instance.meter.add(one.events, now);
    }
    this.written(folded);
  }

  writeCheckpoints(instances: Iterable<ViewInstance>): Promise<void> {
    return this.store.write([...instances].map(({ collection, reached }) => ({ collection, documents: [reached] })));
  }

  /**
   * Reads on until the head of the log: the next batch is on its way while one is folded, and another is being written.
   *
   * @param goesOn Asked before each batch.
   * @returns false when it did not go on until there.
   */
  async foldToHead(instances: readonly ViewInstance[], goesOn: () => boolean): Promise<boolean> {
    let writing: Promise<void> = Promise.resolve();
    let folded: readonly Folded[] = [];
    const read = (from: number): Promise<readonly StoredEvent[]> => later(this.log.readAll(from, { limit: BATCH }));
    let reading = read(Math.min(...instances.map((instance) => instance.folded)));
    try {
      while (goesOn()) {
        const batch = await reading;
        const last = batch.length < BATCH ? undefined : batch.at(-1);
        if (last) reading = read(last.position);
        folded = joined(folded, await this.fold(instances, batch));
        const atEnd = !last || instances.every(({ halted }) => halted);
        if (atEnd || folded.reduce((sum, { write }) => sum + write.documents.length, 0) >= DOCUMENTS_A_WRITE) {
          await writing;
          writing = later(this.write(folded));
          folded = [];
        }
        if (atEnd) return true;
        await nextTick();
      }
      await writing;
      writing = this.write(folded);
      return false;
    } finally {
      await writing;
    }
  }

  /** Nothing has become of it but a checkpoint, and the last of these is not long ago. */
  private isIdle({ instance, write, poison }: Folded, now: number): boolean {
    return write.documents.length === 1 && !poison && now - instance.checkpointedAt < this.checkpointMs;
  }
}

/** What is awaited later: until then its failure must not count as unhandled. */
function later<Result>(promise: Promise<Result>): Promise<Result> {
  promise.catch(() => undefined);
  return promise;
}

/** What came of one batch and then of another, to be written at once. */
function joined(earlier: readonly Folded[], later: readonly Folded[]): readonly Folded[] {
  const all = new Map(earlier.map((one) => [one.instance, one]));
  for (const one of later) {
    const before = all.get(one.instance);
    all.set(
      one.instance,
      before ? { ...one, write: rewritten(before.write, one.write), events: before.events + one.events } : one,
    );
  }
  return [...all.values()];
}

/** The last word on every document, the checkpoint at the end. */
function rewritten(earlier: CollectionWrite, { collection, documents }: CollectionWrite): CollectionWrite {
  const later = new Set(documents.map(({ key }) => key));
  return { collection, documents: [...earlier.documents.filter(({ key }) => !later.has(key)), ...documents] };
}
