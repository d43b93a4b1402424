import type { Logger } from 'pino';
import type { EventCatalog } from '../event-catalog.js';
import type { Clock } from '../ports/clock.js';
import { START, type EventLog, type Position, type StoredEvent } from '../ports/event-log.js';
import type { StoredDocument, ViewStore } from '../ports/view-store.js';
import { Signal, Turns } from '../signal.js';
import { Batches, BATCH } from './batches.js';
import { candidatesOf, isLost } from './stored-instances.js';
import { CHECKPOINT_MARK, collectionName, ORIGIN_MARK, SERVING_MARK, type AnyView } from './view.js';
import { collectionsOf, dropOlder } from './view-collections.js';
import { ViewInstance, type Folded } from './view-instance.js';
import { statusOf, type Standing, type ViewStatus } from './view-status.js';

interface Entry extends Standing {
  serving?: ViewInstance;
  building?: ViewInstance;
  /** Number of the newest build: a number is never given twice, or a late write would reach the wrong collection. */
  builds: number;
  /** Whether it is this process that is to fold it. Else another does, or will. */
  taken: boolean;
  /** Whether it is: taken, and opened. */
  held: boolean;
}

/** Is told what the projector comes across. Must not throw. */
export interface ProjectorWatch {
  /** The view is about to be taken. @returns the collection whose build is to be held where it is. */
  taking(name: string): Promise<string | null>;
  /** The view is held from now on. */
  taken(name: string): void;
  /** Events that were recorded, before any view has folded them. */
  recorded(batch: readonly StoredEvent[]): void;
  /** The view has stopped at an event that it cannot fold. */
  stopped(name: string): void;
}

const RETRY_MS = 500;
const INSPECT_MS = 5_000;
/** Why a wait or a subscription ends: a reason of its own saves making an exception each time. */
const OVER = 'over';

/**
 * Folds the log into the views that it holds. One reader follows the log for all views that are live. Views that lag
 * behind, and those being built, share a second reader, and join the first when they reach it. That is also the moment
 * when a new build takes over from the collection that served until then.
 */
export class Projector {
  private readonly entries = new Map<string, Entry>();
  private readonly live = new Set<ViewInstance>();
  private readonly catchingUp = new Set<ViewInstance>();
  /** Events up to here have been taken by the live reader: whoever joins must have folded them already. */
  private livePosition: Position = START;
  private readonly stop = new AbortController();
  private readonly liveTurns = new Turns();
  private readonly buildTurns = new Turns();
  private readonly progress = new Signal();
  private readonly moreToBuild = new Signal();
  private loops: Promise<void>[] = [];
  /** What the live reader folded last, on its way to the store. */
  private writing: Promise<void> = Promise.resolve();
  private readonly batches: Batches;
  watch: ProjectorWatch | undefined;

  constructor(
    private readonly log: EventLog,
    private readonly store: ViewStore,
    catalog: EventCatalog,
    private readonly clock: Clock,
    private readonly logger: Logger,
    /** How long the store may not know that a view has passed events which mean nothing to it, in ms. */
    checkpointMs = 0,
  ) {
    this.batches = new Batches(log, store, catalog, clock, checkpointMs, (folded) => this.written(folded));
  }

  /** @throws Error when two views share a name. */
  register(view: AnyView): void {
    if (this.entries.has(view.name)) throw new Error(`View ${view.name} is registered twice`);
    this.entries.set(view.name, { view, builds: 0, taken: false, held: false });
  }

  get views(): readonly AnyView[] {
    return [...this.entries.values()].map(({ view }) => view);
  }

  view(name: string): AnyView {
    return this.entry(name).view;
  }

  /** Takes the views of those names, and follows the log until `close`. @param names @default all */
  async start(names: Iterable<string> = this.entries.keys()): Promise<void> {
    this.livePosition = await this.log.head();
    for (const name of names) await this.take(name);
    this.loops = [this.followLive(), this.catchUp(), this.inspect()];
  }

  /** Folds the view from now on: opens what is there, and begins what is not. */
  async take(name: string): Promise<void> {
    const entry = this.entry(name);
    entry.taken = true;
    try {
      await this.openEntry(entry, await this.watch?.taking(name));
    } catch (error) {
      this.leave(name);
      throw error;
    }
    entry.held = true;
    this.moreToBuild.fire();
    this.watch?.taken(name);
  }

  /** Leaves the view to another process. A batch that is being written may still come: its positions make it harmless. */
  leave(name: string): void {
    const entry = this.entry(name);
    entry.taken = false;
    entry.held = false;
    for (const instance of [entry.serving, entry.building]) {
      if (!instance) continue;
      this.live.delete(instance);
      this.catchingUp.delete(instance);
    }
    delete entry.serving;
    delete entry.building;
    this.moreToBuild.fire();
    this.progress.fire();
  }

  holds(name: string): boolean {
    return this.entry(name).held;
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
  reached(name: string, position: Position, timeoutMs: number): Promise<boolean> {
    return this.waitUntil(name, timeoutMs, (serving) => serving.position >= position);
  }

  /** As `reached`, for what `recall` gives: it need not be stored yet. */
  folded(name: string, position: Position, timeoutMs: number): Promise<boolean> {
    return this.waitUntil(name, timeoutMs, (serving) => serving.folded >= position);
  }

  /** A document of the serving collection as it was folded last; undefined where only the store knows. */
  recall(name: string, key: string): StoredDocument | undefined {
    return this.entry(name).serving?.recall(key);
  }

  private async waitUntil(
    name: string,
    timeoutMs: number,
    isThere: (serving: ViewInstance) => boolean,
  ): Promise<boolean> {
    const entry = this.entry(name);
    const there = (): boolean => entry.serving !== undefined && isThere(entry.serving);
    if (there() || timeoutMs <= 0) return there();
    const late = new AbortController();
    const timeout = this.clock.sleep(timeoutMs, late.signal).then(() => late.abort(OVER));
    try {
      while (!late.signal.aborted && !this.stop.signal.aborted && !entry.serving?.poison) {
        await Promise.race([this.progress.next(), timeout]);
        if (there()) return true;
      }
      return false;
    } finally {
      late.abort(OVER);
    }
  }

  /**
   * Builds the view anew from the first event, beside the collection that serves. One that is being built will do.
   *
   * @param ordered Position of the order. It is carried out once: no effect where a build was begun after it.
   */
  async rebuild(name: string, ordered?: Position): Promise<void> {
    const entry = this.entry(name);
    const { building, serving } = entry;
    if (ordered !== undefined && building) await building.mark(ORIGIN_MARK, ordered);
    if (ordered !== undefined && serving && !building && (await serving.origin()) >= ordered) return;
    await this.beginBuild(entry);
  }

  /** Holds a rebuild where it is, or lets it go on. The serving collection follows the log all the while. */
  pause(name: string, paused: boolean): void {
    const { building } = this.entry(name);
    if (building) building.paused = paused;
    this.moreToBuild.fire();
  }

  /**
   * Passes over the event that stopped a view.
   *
   * @param at Which collection, and at which event; whichever has stopped when left out.
   * @returns false when it has not stopped there.
   */
  async skip(name: string, at?: { readonly collection: string; readonly position: Position }): Promise<boolean> {
    const { serving, building } = this.entry(name);
    const instance = [serving, building].find(
      (each) => each?.poison && (!at || (each.collection === at.collection && each.poison.position === at.position)),
    );
    if (!instance?.poison) return false;
    this.logger.warn({ view: name, ...instance.poison }, 'poison event skipped');
    await instance.mark(CHECKPOINT_MARK, instance.poison.position);
    instance.poison = undefined;
    this.sendBack(instance);
    return true;
  }

  /** Drops a collection that neither serves nor is built, and that was begun before the order. */
  drop(name: string, collection: string, ordered: Position): Promise<void> {
    const entry = this.entry(name);
    return this.buildTurns.take(async () => {
      if (!entry.held || [entry.serving, entry.building].some((each) => each?.collection === collection)) return;
      // A later build has the same name where the one of the order was the newest, and is gone.
      if ((await new ViewInstance(entry.view, collection, this.store).origin()) > ordered) return;
      await this.store.drop(collection);
    });
  }

  /** Of the views that are held. */
  async status(): Promise<ViewStatus[]> {
    const head = await this.log.head();
    return this.held.map((entry) => statusOf(entry, head, this.clock.steady()));
  }

  /** Whether every view that is held follows the log live. One that has stopped holds up nobody else: `status` reports it. */
  ready(): boolean {
    const settled = ({ serving, building }: Entry): boolean =>
      serving ? this.live.has(serving) || serving.poison !== undefined : building?.poison !== undefined;
    return this.loops.length > 0 && this.held.every(settled);
  }

  /** Looks whether a view's serving collection is still there, and builds it again when it is not. */
  async inspectView(name: string): Promise<void> {
    const entry = this.entry(name);
    const { serving } = entry;
    if (!entry.held) return;
    if (serving && (await isLost(serving, this.log)) && entry.serving === serving) {
      this.logger.error({ view: name, collection: serving.collection }, 'view lost, building it again');
      delete entry.serving;
      this.live.delete(serving);
      this.catchingUp.delete(serving);
      await this.store.drop(serving.collection);
    }
    if (!entry.serving && entry.held) await this.beginBuild(entry);
  }

  private entry(name: string): Entry {
    const entry = this.entries.get(name);
    if (!entry) throw new Error(`No view is called ${name}`);
    return entry;
  }

  private get held(): readonly Entry[] {
    return [...this.entries.values()].filter(({ held }) => held);
  }

  private async openEntry(entry: Entry, paused?: string | null): Promise<void> {
    const { view } = entry;
    const own = await candidatesOf(view, this.store, this.log, this.logger);
    entry.builds = own[0]?.version === view.version ? own[0].build : 0;
    const best = own.find(({ serves }) => serves);
    if (best) {
      entry.serving = best.instance;
      await (best.version === view.version ? best.instance.open() : best.instance.reset());
      // An older version may lack what the present fold needs: it answers as it stands until the new one is there.
      if (best.version === view.version) this.catchingUp.add(best.instance);
    }
    const [newest] = own;
    if (newest && newest !== best && newest.version === view.version && (await newest.instance.bears(ORIGIN_MARK))) {
      await newest.instance.open();
      newest.instance.paused = newest.instance.collection === paused;
      entry.building = newest.instance;
      this.catchingUp.add(newest.instance);
    } else if (best?.version !== view.version) {
      await this.beginBuild(entry);
    }
    if (best?.version === view.version) await this.dropLeftovers(entry);
  }

  /** Begins a build, unless one is being made that is not `lost`. */
  private beginBuild(entry: Entry, lost?: ViewInstance): Promise<void> {
    return this.buildTurns.take(async () => {
      if (entry.building && entry.building !== lost) return;
      const { view } = entry;
      const [newest] = await collectionsOf(view, this.store);
      if (newest?.version === view.version) entry.builds = Math.max(entry.builds, newest.build);
      entry.builds += 1;
      const instance = new ViewInstance(view, collectionName(view, entry.builds), this.store);
      await instance.open(await this.log.head());
      if (!entry.taken) return;
      if (lost) this.catchingUp.delete(lost);
      entry.building = instance;
      this.catchingUp.add(instance);
      this.moreToBuild.fire();
    });
  }

  /** Moves an instance to the reader of those that lag, which begins with what the store holds. */
  private sendBack(instance: ViewInstance): void {
    const { serving, building } = this.entry(instance.view.name);
    this.live.delete(instance);
    if (instance !== serving && instance !== building) return;
    instance.doubtful = true;
    this.catchingUp.add(instance);
    this.moreToBuild.fire();
  }

  private async followLive(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      const broken = new AbortController();
      const either = AbortSignal.any([signal, broken.signal]);
      try {
        for await (const batch of this.log.subscribe(this.livePosition, { signal: either, batchSize: BATCH })) {
          await this.liveTurns.take(() => this.foldLive(batch));
          this.writing.catch(() => broken.abort(OVER));
        }
        await this.writing;
        await this.batches.writeCheckpoints(this.live);
      } catch (error) {
        this.writing = Promise.resolve();
        this.logger.warn({ err: error }, 'views fell behind, catching up');
        // Nobody knows what was written of the batch.
        for (const instance of this.live) this.sendBack(instance);
        await this.clock.sleep(RETRY_MS, signal);
      }
    }
  }

  /** One batch is being written while the next is folded: that is when a single document can be asked for. */
  private async foldLive(batch: readonly StoredEvent[]): Promise<void> {
    this.livePosition = batch.at(-1)?.position ?? this.livePosition;
    this.watch?.recorded(batch);
    const folded = await this.batches.fold([...this.live], batch);
    this.progress.fire();
    await this.writing;
    this.writing = this.batches.write(folded);
  }

  /** Folds batches for those that lag; one batch is being written while the next is folded. */
  private async catchUp(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      const wanted = this.moreToBuild.next();
      const lagging = this.nextToCatchUp();
      if (lagging.length === 0) {
        await wanted;
        continue;
      }
      try {
        for (const instance of lagging) if (instance.doubtful) await instance.reset();
        const rounds = this.moreToBuild.fired;
        const goesOn = (): boolean => this.moreToBuild.fired === rounds && !signal.aborted;
        if (!(await this.batches.foldToHead(lagging, goesOn))) continue;
        for (const instance of lagging) if (!instance.halted && !signal.aborted) await this.join(instance);
      } catch (error) {
        this.logger.warn({ err: error }, 'building views failed, trying again');
        for (const instance of lagging) this.sendBack(instance);
        await this.clock.sleep(RETRY_MS, signal);
      }
    }
  }

  /** Those that serve come first: they are near the head, and must not wait for a build that begins at the start. */
  private nextToCatchUp(): readonly ViewInstance[] {
    const lagging = [...this.catchingUp].filter(({ paused }) => !paused);
    const serving = lagging.filter((instance) => this.entry(instance.view.name).serving === instance);
    return serving.length > 0 ? serving : lagging;
  }

  /** Hands an instance that has reached the head over to the live reader; a new build takes over from the old one. */
  private async join(instance: ViewInstance): Promise<void> {
    const entry = this.entry(instance.view.name);
    const takesOver = entry.building === instance;
    if (!this.catchingUp.has(instance) || instance.paused) return;
    if (takesOver && !(await instance.bears(ORIGIN_MARK))) {
      await this.beginBuild(entry, instance);
      return;
    }
    await this.liveTurns.take(async () => {
      while (instance.folded < this.livePosition && !instance.halted) {
        const batch = await this.log.readAll(instance.folded, { limit: BATCH });
        await this.batches.write(await this.batches.fold([instance], batch));
      }
      if (instance.halted || !this.catchingUp.has(instance)) return;
      if (takesOver) await instance.mark(SERVING_MARK, START);
      if (!this.catchingUp.has(instance)) return;
      this.catchingUp.delete(instance);
      this.live.add(instance);
      if (takesOver) this.takeOver(entry, instance);
    });
    this.progress.fire();
    if (!takesOver || entry.serving !== instance) return;
    await this.dropLeftovers(entry).catch((error: unknown) =>
      this.logger.warn({ err: error, view: entry.view.name }, 'an old collection stays until the next start'),
    );
  }

  private takeOver(entry: Entry, instance: ViewInstance): void {
    const old = entry.serving;
    entry.serving = instance;
    delete entry.building;
    const { collection, position } = instance;
    this.logger.info({ view: entry.view.name, collection, position }, 'view serves');
    if (!old) return;
    this.live.delete(old);
    this.catchingUp.delete(old);
  }

  private dropLeftovers({ view, serving }: Entry): Promise<void> {
    return this.buildTurns.take(() => dropOlder(view, serving?.collection, this.store));
  }

  private written(folded: readonly Folded[]): void {
    for (const { instance, poison } of folded) {
      if (!poison) continue;
      this.live.delete(instance);
      this.catchingUp.delete(instance);
      this.logger.error({ view: instance.view.name, ...poison }, 'view stopped at a poison event');
      this.watch?.stopped(instance.view.name);
    }
    this.progress.fire();
  }

  private async inspect(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      await this.clock.sleep(INSPECT_MS, signal);
      try {
        for (const { view } of this.held) if (!signal.aborted) await this.inspectView(view.name);
      } catch (error) {
        this.logger.warn({ err: error }, 'the view store does not answer');
      }
    }
  }
}
