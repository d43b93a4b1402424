import { setImmediate as nextTick } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { EventCatalog } from '../event-catalog.js';
import type { Clock } from '../ports/clock.js';
import { START, type EventLog, type Position, type StoredEvent } from '../ports/event-log.js';
import type { ViewStore } from '../ports/view-store.js';
import { Signal, Turns } from '../signal.js';
import { CHECKPOINT_MARK, collectionName, ORIGIN_MARK, parseCollection, SERVING_MARK, type AnyView } from './view.js';
import { ViewInstance, type Folded, type Poison } from './view-instance.js';

/** How one view stands, for health, metrics and operators. */
export interface ViewStatus {
  readonly name: string;
  readonly version: number;
  /** `building`: nothing to answer from yet. `rebuilding`: a second collection is built beside the serving one. */
  readonly state: 'building' | 'live' | 'rebuilding' | 'paused' | 'stopped';
  /** Of the collection that answers; how far it is. */
  readonly collection: string | null;
  readonly position: Position;
  readonly head: Position;
  readonly poison: Poison | null;
  readonly rebuild: { readonly collection: string; readonly position: Position } | null;
}

interface Entry {
  readonly view: AnyView;
  serving?: ViewInstance;
  building?: ViewInstance;
}

/** Small enough that folding one batch holds up no request. */
const BATCH = 500;
const RETRY_MS = 500;
const INSPECT_MS = 5_000;

/**
 * Folds the log into views. One reader follows the log for all views that are live. Views that lag behind, and those
 * being built, share a second reader, and join the first when they reach it. That is also the moment when a new
 * build takes over from the collection that served until then.
 */
export class Projector {
  private readonly entries = new Map<string, Entry>();
  private readonly live = new Set<ViewInstance>();
  private readonly catchingUp = new Set<ViewInstance>();
  /** Events up to here have been taken by the live reader: whoever joins must have folded them already. */
  private livePosition: Position = START;
  private readonly stop = new AbortController();
  private readonly liveTurns = new Turns();
  private readonly progress = new Signal();
  private readonly moreToBuild = new Signal();
  private loops: Promise<void>[] = [];

  constructor(
    private readonly log: EventLog,
    private readonly store: ViewStore,
    private readonly catalog: EventCatalog,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /** @throws Error when two views share a name. */
  register(view: AnyView): void {
    if (this.entries.has(view.name)) throw new Error(`View ${view.name} is registered twice`);
    this.entries.set(view.name, { view });
  }

  get views(): readonly AnyView[] {
    return [...this.entries.values()].map(({ view }) => view);
  }

  /** Opens what is there, begins what is not, and follows the log until `close`. */
  async start(): Promise<void> {
    this.livePosition = await this.log.head();
    const collections = await this.store.collections();
    for (const entry of this.entries.values()) await this.openEntry(entry, collections);
    this.loops = [this.followLive(), this.catchUp(), this.inspect()];
  }

  async close(): Promise<void> {
    this.stop.abort();
    this.moreToBuild.fire();
    await Promise.all(this.loops);
    this.progress.fire();
  }

  /** What answers queries; undefined while a first collection is being built. */
  serving(name: string): Pick<ViewInstance, 'collection' | 'position' | 'poison'> | undefined {
    return this.entry(name).serving;
  }

  /** Waits until the serving collection has reached `position`, at most `timeoutMs`. @returns whether it has. */
  async reached(name: string, position: Position, timeoutMs: number): Promise<boolean> {
    const entry = this.entry(name);
    const there = (): boolean => entry.serving !== undefined && entry.serving.position >= position;
    if (there()) return true;
    const late = new AbortController();
    const timeout = this.clock.sleep(timeoutMs, late.signal).then(() => late.abort());
    try {
      while (!late.signal.aborted && !this.stop.signal.aborted && !entry.serving?.poison) {
        await Promise.race([this.progress.next(), timeout]);
        if (there()) return true;
      }
      return false;
    } finally {
      late.abort();
    }
  }

  /** Builds the view anew from the first event, beside the collection that serves. No effect while one is built. */
  async rebuild(name: string): Promise<void> {
    const entry = this.entry(name);
    if (!entry.building) await this.beginBuild(entry, await this.store.collections());
  }

  /** Holds a rebuild where it is, or lets it go on. The serving collection follows the log all the while. */
  pause(name: string, paused: boolean): void {
    const { building } = this.entry(name);
    if (building) building.paused = paused;
    this.moreToBuild.fire();
  }

  /** Passes over the event that stopped a view. @returns false when the view is not stopped. */
  async skip(name: string): Promise<boolean> {
    const { serving, building } = this.entry(name);
    const instance = [serving, building].find((candidate) => candidate?.poison);
    if (!instance?.poison) return false;
    this.logger.warn({ view: name, ...instance.poison }, 'poison event skipped');
    await instance.mark(CHECKPOINT_MARK, instance.poison.position);
    instance.poison = undefined;
    await this.sendBack(instance);
    return true;
  }

  async status(): Promise<ViewStatus[]> {
    const head = await this.log.head();
    return [...this.entries.values()].map((entry) => statusOf(entry, head));
  }

  /** Whether every view answers and follows the log live. A stopped view answers, and is reported by `status`. */
  ready(): boolean {
    return [...this.entries.values()].every(({ serving }) => serving && (this.live.has(serving) || serving.poison));
  }

  /** Looks whether a view's serving collection is still there, and builds it again when it is not. */
  async inspectView(name: string): Promise<void> {
    const entry = this.entry(name);
    const { serving } = entry;
    if (!serving || (await serving.bears(SERVING_MARK)) || entry.serving !== serving) return;
    this.logger.error({ view: name, collection: serving.collection }, 'view lost, building it again');
    delete entry.serving;
    this.live.delete(serving);
    this.catchingUp.delete(serving);
    if (!entry.building) await this.beginBuild(entry, [serving.collection, ...(await this.store.collections())]);
    await this.store.drop(serving.collection);
  }

  private entry(name: string): Entry {
    const entry = this.entries.get(name);
    if (!entry) throw new Error(`No view is called ${name}`);
    return entry;
  }

  private async openEntry(entry: Entry, collections: readonly string[]): Promise<void> {
    const { view } = entry;
    const own: { name: string; version: number; build: number; serves: boolean }[] = [];
    for (const name of collections) {
      const parsed = parseCollection(view, name);
      if (!parsed || parsed.version > view.version) continue;
      const serves = await new ViewInstance(view, name, this.store).bears(SERVING_MARK);
      own.push({ name, ...parsed, serves });
    }
    own.sort((a, b) => b.version - a.version || b.build - a.build);
    const best = own.find(({ serves }) => serves);
    if (best) {
      entry.serving = new ViewInstance(view, best.name, this.store);
      await (best.version === view.version ? entry.serving.open() : entry.serving.reset());
      // An older version may lack what the present fold needs: it answers as it stands until the new one is there.
      if (best.version === view.version) this.catchingUp.add(entry.serving);
    }
    const unfinished = own.find(({ version, serves }) => !serves && version === view.version);
    if (unfinished) await this.resumeBuild(entry, unfinished.name);
    else if (best?.version !== view.version) await this.beginBuild(entry, collections);
  }

  private async beginBuild(entry: Entry, collections: readonly string[]): Promise<void> {
    const { view } = entry;
    const builds = collections.map((name) => parseCollection(view, name)).filter((parsed) => parsed !== undefined);
    const last = Math.max(0, ...builds.filter(({ version }) => version === view.version).map(({ build }) => build));
    entry.building = new ViewInstance(view, collectionName(view, last + 1), this.store);
    await entry.building.open();
    this.catchingUp.add(entry.building);
    this.moreToBuild.fire();
  }

  private async resumeBuild(entry: Entry, collection: string): Promise<void> {
    entry.building = new ViewInstance(entry.view, collection, this.store);
    await entry.building.open();
    this.catchingUp.add(entry.building);
  }

  /** Moves an instance, as the store has it, to the reader of those that lag. */
  private async sendBack(instance: ViewInstance): Promise<void> {
    this.live.delete(instance);
    this.catchingUp.delete(instance);
    await instance.reset();
    this.catchingUp.add(instance);
    this.moreToBuild.fire();
  }

  private async followLive(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      try {
        for await (const batch of this.log.subscribe(this.livePosition, { signal, batchSize: BATCH })) {
          await this.liveTurns.take(() => this.foldLive(batch));
        }
      } catch (error) {
        this.logger.warn({ err: error }, 'views fell behind, catching up');
        await this.clock.sleep(RETRY_MS, signal);
        await this.recover([...this.live]);
      }
    }
  }

  private async foldLive(batch: readonly StoredEvent[]): Promise<void> {
    this.livePosition = batch.at(-1)?.position ?? this.livePosition;
    await this.write(await this.fold([...this.live], batch));
  }

  /** Folds batches for those that lag; one batch is being written while the next is folded. */
  private async catchUp(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      const wanted = this.moreToBuild.next();
      const lagging = [...this.catchingUp].filter(({ paused }) => !paused);
      if (lagging.length === 0) {
        await wanted;
        continue;
      }
      try {
        await this.catchUpWith(lagging);
        for (const instance of lagging) if (!instance.poison && !signal.aborted) await this.join(instance);
      } catch (error) {
        this.logger.warn({ err: error }, 'building views failed, trying again');
        await this.clock.sleep(RETRY_MS, signal);
        await this.recover(lagging);
      }
    }
  }

  /** Reads on until the head of the log, or until the set of those that lag changes. */
  private async catchUpWith(lagging: readonly ViewInstance[]): Promise<void> {
    let writing: Promise<void> = Promise.resolve();
    const rounds = this.moreToBuild.fired;
    let from = Math.min(...lagging.map(({ folded }) => folded));
    try {
      while (this.moreToBuild.fired === rounds && !this.stop.signal.aborted) {
        const batch = await this.log.readAll(from, { limit: BATCH });
        const folded = await this.fold(
          lagging.filter(({ poison }) => !poison),
          batch,
        );
        await writing;
        writing = this.write(folded);
        // Its failure is met at the next await; until then it must not count as unhandled.
        writing.catch(() => undefined);
        if (batch.length < BATCH) return;
        from = batch.at(-1)?.position ?? from;
        await nextTick();
      }
    } finally {
      await writing;
    }
  }

  /** Hands an instance that has reached the head over to the live reader; a new build takes over from the old one. */
  private async join(instance: ViewInstance): Promise<void> {
    const entry = this.entry(instance.view.name);
    const takesOver = entry.building === instance;
    if (!this.catchingUp.has(instance) || instance.paused) return;
    if (takesOver && !(await instance.bears(ORIGIN_MARK))) {
      this.catchingUp.delete(instance);
      await this.beginBuild(entry, [instance.collection, ...(await this.store.collections())]);
      return;
    }
    const replaced = await this.liveTurns.take(async () => {
      while (instance.folded < this.livePosition && !instance.poison) {
        const batch = await this.log.readAll(instance.folded, { limit: BATCH });
        await this.write(await this.fold([instance], batch));
      }
      if (instance.poison) return undefined;
      if (takesOver) await instance.mark(SERVING_MARK, START);
      this.catchingUp.delete(instance);
      this.live.add(instance);
      return takesOver ? this.takeOver(entry, instance) : undefined;
    });
    this.progress.fire();
    if (replaced) await this.store.drop(replaced.collection);
  }

  private takeOver(entry: Entry, instance: ViewInstance): ViewInstance | undefined {
    const old = entry.serving;
    entry.serving = instance;
    delete entry.building;
    this.logger.info(
      { view: entry.view.name, collection: instance.collection, position: instance.position },
      'view serves',
    );
    if (old) {
      this.live.delete(old);
      this.catchingUp.delete(old);
    }
    return old;
  }

  private async fold(instances: readonly ViewInstance[], batch: readonly StoredEvent[]): Promise<Folded[]> {
    const end = batch.at(-1)?.position;
    if (end === undefined) return [];
    const readings = batch.map((stored) => this.catalog.read(stored));
    return Promise.all(instances.filter(({ folded }) => folded < end).map((instance) => instance.fold(readings, end)));
  }

  private async write(folded: readonly Folded[]): Promise<void> {
    if (folded.length === 0) return;
    await this.store.write(folded.map(({ write }) => write));
    for (const { instance, position } of folded) {
      instance.position = position;
      if (!instance.poison) continue;
      this.live.delete(instance);
      this.catchingUp.delete(instance);
      this.logger.error({ view: instance.view.name, ...instance.poison }, 'view stopped at a poison event');
    }
    this.progress.fire();
  }

  /** After a failure nobody knows what was written: everything goes back to what the store holds. */
  private async recover(instances: readonly ViewInstance[]): Promise<void> {
    try {
      for (const instance of instances) await this.sendBack(instance);
    } catch (error) {
      this.logger.warn({ err: error }, 'the view store does not answer');
    }
  }

  private async inspect(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      await this.clock.sleep(INSPECT_MS, signal);
      try {
        for (const name of this.entries.keys()) if (!signal.aborted) await this.inspectView(name);
      } catch (error) {
        this.logger.warn({ err: error }, 'the view store does not answer');
      }
    }
  }
}

function statusOf({ view, serving, building }: Entry, head: Position): ViewStatus {
  const poison = serving?.poison ?? building?.poison ?? null;
  const state = poison
    ? 'stopped'
    : building?.paused
      ? 'paused'
      : !serving
        ? 'building'
        : building
          ? 'rebuilding'
          : 'live';
  return {
    name: view.name,
    version: view.version,
    state,
    collection: serving?.collection ?? null,
    position: serving?.position ?? START,
    head,
    poison,
    rebuild: building ? { collection: building.collection, position: building.position } : null,
  };
}
