import { LRUCache } from 'lru-cache';
import { systemOf, type StoredReading } from '../event-catalog.js';
import { START, type Position, type StoredEvent } from '../ports/event-log.js';
import type { CollectionWrite, JsonObject, StoredDocument, ViewStore } from '../ports/view-store.js';
import { Meter } from './meter.js';
import { CHECKPOINT_MARK, ORIGIN_MARK, SERVING_MARK, type AnyView } from './view.js';

const CACHED_DOCUMENTS = 2_000;

/** An event that a view could not fold, and why. */
export interface Poison {
  readonly position: Position;
  readonly eventId: string;
  readonly stream: string;
  readonly error: string;
}

/** What a batch made of one collection: what to write, and how far it will be then. */
export interface Folded {
  readonly instance: ViewInstance;
  readonly write: CollectionWrite;
  readonly position: Position;
  /** How many events of the log it has passed. */
  readonly events: number;
  /** Set where the batch ended early, at an event that cannot be folded. */
  readonly poison: Poison | undefined;
}

/** The kernel's own views look at the events of every system. */
const EVERY_SYSTEM = 'runledger';

/**
 * One collection being folded: a view at one version, and how far it is.
 *
 * The documents it wrote last are kept in memory; it is the only writer of its collection, and `reset` forgets them
 * whenever that may not hold.
 */
export class ViewInstance {
  /** Everything up to here is in the store. */
  position: Position = START;
  /** Everything up to here is folded, though perhaps not written yet. */
  folded: Position = START;
  /** The event it has stopped at; all before it is in the store. */
  poison: Poison | undefined;
  paused = false;
  /** When its checkpoint was last written, in steady time. */
  checkpointedAt = -Infinity;
  /** What is in memory may not be what the store holds: `reset` before the next fold. */
  doubtful = false;
  /** Events of the log that it passes, whether they mean something to it or not. */
  readonly meter = new Meter();
  private found: Poison | undefined;
  private readonly types: ReadonlySet<string>;
  private readonly system: string;
  private readonly cache = new LRUCache<string, StoredDocument>({ max: CACHED_DOCUMENTS });
  /** Folded and not settled yet: the store may still hold what was before. */
  private readonly unwritten = new Map<string, StoredDocument>();

  constructor(
    readonly view: AnyView,
    readonly collection: string,
    private readonly store: ViewStore,
  ) {
    this.types = new Set(view.types);
    this.system = systemOf(view.name);
  }

  /** Whether it has met an event that it cannot fold; `poison` tells which, once all before it is written. */
  get halted(): boolean {
    return this.found !== undefined;
  }

  /**
   * Makes the collection if need be, and goes on from its checkpoint.
   *
   * @param origin Where the log ended when its build was begun: orders to rebuild up to there are carried out by it.
   */
  async open(origin: Position = START): Promise<void> {
    await this.store.prepare(this.collection, this.view);
    await this.mark(ORIGIN_MARK, origin);
    await this.reset();
  }

  /** Forgets what is in memory and goes back to what the store holds. */
  async reset(): Promise<void> {
    const checkpoint = await this.checkpoint();
    this.cache.clear();
    this.unwritten.clear();
    this.position = checkpoint;
    this.folded = this.position;
    this.found = undefined;
    this.poison = undefined;
    this.doubtful = false;
  }

  async mark(mark: string, position: Position): Promise<void> {
    await this.store.write([{ collection: this.collection, documents: [{ key: mark, position, doc: null }] }]);
  }

  /** Whether the collection still bears the mark that its state asks for. */
  async bears(mark: typeof ORIGIN_MARK | typeof SERVING_MARK): Promise<boolean> {
    return (await this.store.load(this.collection, [mark])).length > 0;
  }

  /** Orders to rebuild up to here are carried out by this collection. */
  async origin(): Promise<Position> {
    const [origin] = await this.store.load(this.collection, [ORIGIN_MARK]);
    return origin?.position ?? START;
  }

  /** How far the store says that it is. */
  async checkpoint(): Promise<Position> {
    const [checkpoint] = await this.store.load(this.collection, [CHECKPOINT_MARK]);
    return checkpoint?.position ?? START;
  }

  /** A document as it was folded last; undefined where only the store knows. */
  recall(key: string): StoredDocument | undefined {
    return this.unwritten.get(key) ?? this.cache.get(key);
  }

  /** Folds a batch in memory, up to `end` or to the first event that cannot be folded. Write it, then `settle` it. */
  async fold(readings: readonly StoredReading[], end: Position): Promise<Folded> {
    const passed = readings.filter(({ position }) => position > this.folded).length;
    const steps = this.steps(readings);
    const known = await this.documents(new Set(steps.flatMap(({ keys }) => keys)));
    const touched = new Map<string, StoredDocument>();
    for (const { reading, keys } of steps) {
      try {
        for (const document of this.foldOne(reading, keys, known)) {
          known.set(document.key, document);
          touched.set(document.key, document);
        }
      } catch (error) {
        this.found = poisoned(reading, error);
        break;
      }
    }
    for (const document of touched.values()) {
      if (this.view.writeOnce !== true) this.cache.set(document.key, document);
      this.unwritten.set(document.key, document);
    }
    this.folded = this.found ? lastBefore(this.found.position, readings, this.folded) : end;
    // The last one: where it is stored, so are all before it.
    const write = { collection: this.collection, documents: [...touched.values(), this.reached] };
    return { instance: this, write, position: this.folded, events: passed, poison: this.found };
  }

  /** How far it is folded, as the store keeps it. */
  get reached(): StoredDocument {
    return { key: CHECKPOINT_MARK, position: this.folded, doc: null };
  }

  /** The batch is in the store. */
  settle({ write, position, poison }: Folded): void {
    for (const document of write.documents) {
      if (this.unwritten.get(document.key) === document) this.unwritten.delete(document.key);
    }
    this.position = position;
    this.poison = poison;
  }

  private wants({ position, stream, type }: StoredEvent): boolean {
    if (position <= this.folded || !this.types.has(type)) return false;
    return this.system === EVERY_SYSTEM || systemOf(stream) === this.system;
  }

  /** The events that matter, with the documents they touch, up to the first that cannot be read. */
  private steps(readings: readonly StoredReading[]): { reading: StoredReading; keys: readonly string[] }[] {
    const steps: { reading: StoredReading; keys: readonly string[] }[] = [];
    for (const reading of readings) {
      if (!this.wants(reading.stored)) continue;
      try {
        steps.push({ reading, keys: keysOf(this.view, reading) });
      } catch (error) {
        this.found = poisoned(reading, error);
        break;
      }
    }
    return steps;
  }

  private foldOne(
    reading: StoredReading,
    keys: readonly string[],
    known: ReadonlyMap<string, StoredDocument>,
  ): StoredDocument[] {
    const changed: StoredDocument[] = [];
    for (const key of keys) {
      const before = known.get(key);
      if (before && before.position >= reading.position) continue;
      const doc = (this.view.evolve(before?.doc ?? undefined, reading, key) ?? null) as JsonObject | null;
      if (doc !== (before?.doc ?? null)) changed.push({ key, position: reading.position, doc });
    }
    return changed;
  }

  private async documents(keys: ReadonlySet<string>): Promise<Map<string, StoredDocument>> {
    const found = new Map<string, StoredDocument>();
    // Folded again after a crash, it is written again, and the store keeps the one it has.
    if (this.view.writeOnce === true) return found;
    const missing: string[] = [];
    for (const key of keys) {
      const cached = this.recall(key);
      if (cached) found.set(key, cached);
      else missing.push(key);
    }
    if (missing.length > 0) {
      for (const document of await this.store.load(this.collection, missing)) found.set(document.key, document);
    }
    return found;
  }
}

function keysOf(view: AnyView, reading: StoredReading): readonly string[] {
  const keys = view.keys(reading);
  for (const key of keys) {
    // A lone surrogate is stored as another character: the document would never be found again.
    if (typeof key !== 'string' || key === '' || key.startsWith('$') || !key.isWellFormed()) {
      throw new TypeError(`${view.name} names the document ${JSON.stringify(key)}`);
    }
  }
  return keys;
}

/** Position of the last event before another; that of `earlier` ones where the batch has none. */
function lastBefore(position: Position, readings: readonly StoredReading[], earlier: Position): Position {
  let last = earlier;
  for (const reading of readings)
    if (reading.stored.position < position) last = Math.max(last, reading.stored.position);
  return last;
}

function poisoned({ position, id, stream }: StoredReading, error: unknown): Poison {
  return { position, eventId: id, stream, error: error instanceof Error ? error.message : String(error) };
}
