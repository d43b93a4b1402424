import { LRUCache } from 'lru-cache';
import { canonicalJson } from './canonical-json.js';
import type { Decider } from './decider.js';
import { Conflict, Refused, Unavailable } from './errors.js';
import { systemOf, type DomainEvent, type EventCatalog, type EventMetadata } from './event-catalog.js';
import { CHAIN_START, chainHash } from './hash-chain.js';
import type { Metrics } from './metrics.js';
import type { Clock } from './ports/clock.js';
import type { Appended, EventLog, ExpectedRevision, Position, SealedEvent, StoredEvent } from './ports/event-log.js';
import type { Ids } from './ports/ids.js';
import { currentContext } from './request-context.js';
import { sealed } from './sealed-events.js';
import { inTime } from './signal.js';

/** An aggregate as it stands: its state, and where its stream and hash chain end. */
interface Loaded {
  readonly decider: unknown;
  readonly state: unknown;
  readonly revision: ExpectedRevision;
  readonly hash: string;
  /** Commands with an Idempotency-Key that this stream has accepted. */
  readonly commandIds: ReadonlySet<string>;
  readonly characters: number;
}

export interface Outcome<State, Event> {
  readonly state: State;
  /** What this command brought about; empty when it changed nothing. */
  readonly events: readonly Event[];
  /** Of the last event; undefined when nothing was appended. */
  readonly position: Position | undefined;
}

/** How often a command is decided anew when others write to the same stream. */
const MAX_ATTEMPTS = 50;
/** How often the same append is sent again when its outcome is unknown. */
const MAX_SENDS = 3;
/** How long a command waits for earlier ones: where the log does not answer, each of them takes as long as it may. */
const MAX_TURN_MS = 10_000;
const PAGE = 1_000;

/** How much is kept of what was loaded. */
export interface CacheLimits {
  readonly streams: number;
  /** Of event data that the kept states were made from: a measure of their size. */
  readonly characters: number;
}

const CACHE_LIMITS: CacheLimits = { streams: 5_000, characters: 32_000_000 };

/**
 * Loads, decides, appends, and decides again after a conflict: the one place where the log is written.
 *
 * Commands on one stream take turns inside a process; between processes the exact revision decides. States are cached
 * by stream, and forgotten as soon as the log says that they are stale.
 */
export class Streams {
  private readonly cache: LRUCache<string, Loaded>;
  private readonly turns = new Map<string, Promise<void>>();

  constructor(
    private readonly log: EventLog,
    private readonly catalog: EventCatalog,
    private readonly clock: Clock,
    private readonly ids: Ids,
    private readonly metrics: Metrics,
    private readonly onAppended: (tenant: string, position: Position) => void,
    limits: CacheLimits = CACHE_LIMITS,
  ) {
    this.cache = new LRUCache({
      max: limits.streams,
      maxSize: limits.characters,
      sizeCalculation: (loaded) => loaded.characters + 200,
    });
  }

  /**
   * Carries out a command on one stream.
   *
   * @param isNew The stream most likely has no event yet: it is not looked for, and found by the conflict if it has.
   * @throws Refused as the decider says, InvalidEvent for an event outside of its contract, TooLarge,
   *   Conflict when others won fifty times in a row, Unavailable when the log does not answer, or too many wait for it.
   */
  async transact<State, Command, Event extends DomainEvent>(
    decider: Decider<State, Command, Event>,
    stream: string,
    command: Command,
    { isNew = false }: { readonly isNew?: boolean } = {},
  ): Promise<Outcome<State, Event>> {
    return this.inTurn(stream, async () => {
      let loaded = isNew ? (this.cached(decider, stream) ?? nothing(decider)) : await this.load(decider, stream);
      for (let attempt = 1; ; attempt++) {
        const at = this.clock.iso();
        const { commandId } = currentContext();
        const done = commandId !== undefined && loaded.commandIds.has(commandId);
        const decision = done ? { events: [] } : decide(decider, command, loaded.state as State, at);
        if (decision.events.length > 0) {
          try {
            return await this.append(decider, stream, loaded, decision.events, at);
          } catch (error) {
            this.cache.delete(stream);
            if (!(error instanceof Conflict) || attempt >= MAX_ATTEMPTS) throw error;
            this.metrics.conflicts.inc();
            loaded = await this.load(decider, stream);
            continue;
          }
        }
        // Nothing is to be appended, so nothing has proved the state to be the newest: look before it is answered.
        const fresh = await this.refresh(decider, stream, loaded);
        if (fresh === loaded) return settled(decision, loaded.state as State);
        loaded = fresh;
      }
    });
  }

  /** The state of an aggregate after everything that was appended to its stream before the call. */
  async read<State, Command, Event extends DomainEvent>(
    decider: Decider<State, Command, Event>,
    stream: string,
  ): Promise<State> {
    return (await this.refresh(decider, stream, await this.load(decider, stream))).state as State;
  }

  private async append<State, Command, Event extends DomainEvent>(
    decider: Decider<State, Command, Event>,
    stream: string,
    loaded: Loaded,
    events: readonly Event[],
    at: string,
  ): Promise<Outcome<State, Event>> {
    const batch = this.seal(stream, loaded, events, at);
    const appended = await this.send(stream, loaded.revision, batch);
    const state = events.reduce((before, event) => decider.evolve(before, event, at), loaded.state as State);
    const { commandId } = currentContext();
    this.cache.set(stream, {
      decider,
      state,
      revision: appended.revision,
      hash: batch.at(-1)?.hash ?? loaded.hash,
      commandIds: commandId === undefined ? loaded.commandIds : new Set([...loaded.commandIds, commandId]),
      characters: batch.reduce(
        (sum, event) => sum + event.data.length,
        decider.lastEventOnly === true ? 0 : loaded.characters,
      ),
    });
    this.metrics.appended.inc({ system: systemOf(stream) }, events.length);
    this.onAppended(tenantOf(events), appended.position);
    return { state, events, position: appended.position };
  }

  /** Sends the same events again while nobody knows whether they are stored: their ids make that harmless. */
  private async send(stream: string, expected: ExpectedRevision, batch: readonly SealedEvent[]): Promise<Appended> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.log.append(stream, expected, batch);
      } catch (error) {
        if (!(error instanceof Unavailable) || attempt >= MAX_SENDS) throw error;
        await this.clock.sleep(20 * 2 ** attempt);
      }
    }
  }

  private seal(stream: string, loaded: Loaded, events: readonly DomainEvent[], at: string): SealedEvent[] {
    const { correlationId, causationId, actor, traceparent, commandId } = currentContext();
    const system = systemOf(stream);
    let revision = loaded.revision === 'none' ? -1 : loaded.revision;
    let previous = loaded.hash;
    return events.map((event) => {
      const schemaVersion = this.catalog.check(system, event);
      const tenant = tenantOf([event]);
      const metadata: { [Key in keyof EventMetadata]: EventMetadata[Key] | undefined } = {
        at,
        schemaVersion,
        tenant,
        correlationId,
        causationId,
        actor,
        traceparent,
        commandId,
      };
      const plain = {
        id: this.ids.uuid(),
        type: event.type,
        data: canonicalJson(event.data),
        metadata: canonicalJson(metadata),
      };
      revision += 1;
      previous = chainHash(previous, stream, revision, plain);
      return sealed({ ...plain, hash: previous });
    });
  }

  private async load<State, Command, Event extends DomainEvent>(
    decider: Decider<State, Command, Event>,
    stream: string,
  ): Promise<Loaded> {
    return this.cached(decider, stream) ?? this.refresh(decider, stream, nothing(decider));
  }

  private cached(decider: unknown, stream: string): Loaded | undefined {
    const cached = this.cache.get(stream);
    return cached?.decider === decider ? cached : undefined;
  }

  /** What is known of a stream, brought up to its end. The same reference back means that nothing was missing. */
  private async refresh<State, Command, Event extends DomainEvent>(
    decider: Decider<State, Command, Event>,
    stream: string,
    known: Loaded,
  ): Promise<Loaded> {
    let { revision, hash } = known;
    let characters = decider.lastEventOnly === true ? 0 : known.characters;
    let state = known.state as State;
    const commandIds = new Set(known.commandIds);
    for await (const stored of this.history(stream, known.revision, decider.lastEventOnly === true)) {
      const recorded = this.catalog.read(stored);
      state = decider.evolve(state, recorded.event as Event, recorded.at);
      ({ revision, hash } = stored);
      characters += stored.data.length;
      if (recorded.metadata.commandId !== undefined) commandIds.add(recorded.metadata.commandId);
    }
    if (revision === known.revision) return known;
    const loaded = { decider, state, revision, hash, commandIds, characters };
    this.cache.set(stream, loaded);
    return loaded;
  }

  /** The events after a revision; with `lastOnly` just the newest of them. */
  private async *history(stream: string, after: ExpectedRevision, lastOnly: boolean): AsyncGenerator<StoredEvent> {
    const first = after === 'none' ? 0 : after + 1;
    if (lastOnly) {
      const [last] = await this.log.readStream(stream, { backwards: true, limit: 1 });
      if (last && last.revision >= first) yield last;
      return;
    }
    for (let from = first; ; from += PAGE) {
      const page = await this.log.readStream(stream, { from, limit: PAGE });
      yield* page;
      if (page.length < PAGE) return;
    }
  }

  private async inTurn<Result>(stream: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.turns.get(stream);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.turns.set(stream, promise);
    const end = (): void => {
      if (this.turns.get(stream) === promise) this.turns.delete(stream);
      resolve();
    };
    if (before && !(await inTime(before, MAX_TURN_MS, this.clock))) {
      void before.then(end);
      throw new Unavailable(`Earlier commands on ${stream} still wait for the log`);
    }
    try {
      return await work();
    } finally {
      end();
    }
  }
}

/** An aggregate of which nothing has been heard. */
function nothing(decider: { readonly initial: unknown }): Loaded {
  const { initial: state } = decider;
  return { decider, state, revision: 'none', hash: CHAIN_START, commandIds: new Set(), characters: 0 };
}

interface Decision<Event> {
  readonly events: readonly Event[];
  /** Why not, when the decider refused. */
  readonly refused?: Refused;
}

function decide<State, Command, Event extends DomainEvent>(
  decider: Decider<State, Command, Event>,
  command: Command,
  state: State,
  at: string,
): Decision<Event> {
  try {
    return { events: decider.decide(command, state, at) };
  } catch (error) {
    if (error instanceof Refused) return { events: [], refused: error };
    throw error;
  }
}

function settled<State, Event>({ refused }: Decision<Event>, state: State): Outcome<State, Event> {
  if (refused) throw refused;
  return { state, events: [], position: undefined };
}

function tenantOf(events: readonly DomainEvent[]): string {
  const { tenant } = (events[0]?.data ?? {}) as { tenant?: unknown };
  return typeof tenant === 'string' ? tenant : 'runledger';
}
