import type { Logger } from 'pino';
import type { Clock } from './ports/clock.js';
import type { StoredDocument, ViewStore } from './ports/view-store.js';
import { Turns } from './signal.js';

export const DUTIES_COLLECTION = 'runledger.duties';
/** How often a lease is renewed while it lasts. */
const RENEWALS = 4;
const PAGE = 1_000;

/** What is done when a duty is this process's, and when it is no longer. */
export interface DutyHandlers {
  take(name: string): Promise<void>;
  leave(name: string): Promise<void>;
}

/** Work of which each part is done by one process at a time: the views to fold, the effects to bring about. */
export interface Duties {
  /** Whether this process may act on the duty at this moment. */
  holds(name: string): boolean;
  /** When this process took the duty: ISO 8601 UTC. Null where it does not have it. */
  since(name: string): string | null;
  start(): Promise<void>;
  /** From now on this is a duty too. A second time nothing happens. */
  add(name: string): Promise<void>;
  /** This is no duty any more: it is left, where it is held. */
  remove(name: string): Promise<void>;
  /** Leaves all duties, so that others can take them at once. */
  close(): Promise<void>;
}

/** All duties are this process's: nobody else reaches its stores. */
export class OwnDuties implements Duties {
  private readonly names: Set<string>;
  /** When each was taken. */
  private readonly taken = new Map<string, string>();
  private readonly turns = new Turns();
  private started = false;

  constructor(
    names: readonly string[],
    private readonly handlers: DutyHandlers,
    private readonly clock: Pick<Clock, 'iso'>,
  ) {
    this.names = new Set(names);
  }

  holds(name: string): boolean {
    return this.names.has(name);
  }

  since(name: string): string | null {
    return this.taken.get(name) ?? null;
  }

  async start(): Promise<void> {
    this.started = true;
    for (const name of this.names) await this.take(name);
  }

  async add(name: string): Promise<void> {
    this.names.add(name);
    if (this.started) await this.take(name);
  }

  async remove(name: string): Promise<void> {
    this.names.delete(name);
    await this.leave(name);
  }

  async close(): Promise<void> {
    this.started = false;
    await Promise.all([...this.names].map((name) => this.leave(name)));
  }

  private take(name: string): Promise<void> {
    return this.turns.take(async () => {
      if (this.taken.has(name) || !this.holds(name)) return;
      await this.handlers.take(name);
      this.taken.set(name, this.clock.iso());
    });
  }

  private async leave(name: string): Promise<void> {
    await this.turns.take(async () => undefined);
    if (this.taken.delete(name)) await this.handlers.leave(name);
  }
}

/** What is stored of a duty. Only `holder` and the document's position decide anything: clocks are not compared. */
export interface LeaseDoc {
  readonly holder: string | null;
  /** By the holder's clock: ISO 8601 UTC. Missing in what older code has written. */
  readonly since?: string | null;
  readonly until?: string | null;
}

export function dutyKey(role: string, name: string): string {
  return `${role} duty ${name}`;
}

export interface SharedDutiesOptions {
  /** Processes of one role share its duties. */
  readonly role: string;
  readonly names: readonly string[];
  /** This process; unlike every other. */
  readonly member: string;
  /** After so much silence a process counts as gone, in ms. */
  readonly leaseMs: number;
}

/** A lease or a sign of life as it was last seen, by this process's own clock. */
interface Seen {
  readonly holder: string | null;
  readonly position: number;
  readonly changedAt: number;
}

/**
 * Shares duties among the processes of a role by leases in the view store, each process about as many as the others.
 *
 * A lease is a document whose position rises with every change, so that of two who would take it the store lets one.
 * No clocks are compared: a lease is free when it has not changed for `leaseMs` by the clock of the one who looks, and
 * its holder stops acting `leaseMs` after it began to write what it last wrote. A process that was frozen finds that out
 * before it does anything else; and what it had under way when it froze is harmless, by the positions of views and the
 * ids of jobs, events and deliveries.
 */
export class SharedDuties implements Duties {
  private readonly seen = new Map<string, Seen>();
  /** Until when a duty is held, in steady time. */
  private readonly held = new Map<string, number>();
  /** When a duty was taken, or is about to be: by the clock on this process's wall, for people to read. */
  private readonly began = new Map<string, string>();
  private readonly turns = new Map<string, Turns>();
  /** Those that are given back, and whose leases still are this process's. */
  private readonly leaving = new Set<string>();
  private readonly stop = new AbortController();
  private loop: Promise<void> = Promise.resolve();
  private readonly names: Set<string>;
  /** Two rounds at the same time would count on what the other changes. */
  private readonly rounds = new Turns();
  private nextRound = new AbortController();
  private beats = 0;
  private prepared = false;

  constructor(
    private readonly store: ViewStore,
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly options: SharedDutiesOptions,
    private readonly handlers: DutyHandlers,
  ) {
    this.names = new Set(options.names);
  }

  holds(name: string): boolean {
    return this.clock.steady() < (this.held.get(name) ?? 0);
  }

  since(name: string): string | null {
    return this.holds(name) ? (this.began.get(name) ?? null) : null;
  }

  /** Takes what is free, and goes on looking. @throws Unavailable when the store cannot be reached. */
  async start(): Promise<void> {
    await this.rounds.take(() => this.share());
    // What begins slowly must not lose its lease over that.
    this.loop = this.shareForEver();
    await this.settled();
  }

  /** Taken in a round that begins at once, by whoever has room. */
  async add(name: string): Promise<void> {
    if (this.names.has(name)) return;
    this.names.add(name);
    this.nextRound.abort();
  }

  async remove(name: string): Promise<void> {
    if (!this.names.delete(name)) return;
    if (this.held.has(name)) await this.giveBack(name);
  }

  async close(): Promise<void> {
    this.stop.abort();
    await this.loop;
    const mine = [...this.held.keys()];
    for (const name of mine) this.lose(name);
    await this.settled();
    // What is still being given back.
    await this.rounds.take(async () => undefined);
    try {
      await this.write([...mine.map((name) => this.lease(name, null)), this.signOfLife(false)]);
    } catch (error) {
      this.logger.warn({ err: error }, 'duties could not be given back, others take them when their leases end');
    }
  }

  private async shareForEver(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      await this.clock.sleep(this.options.leaseMs / RENEWALS, AbortSignal.any([signal, this.nextRound.signal]));
      if (signal.aborted) return;
      this.nextRound = new AbortController();
      for (const name of this.held.keys()) if (!this.holds(name)) this.lose(name);
      try {
        await this.rounds.take(() => this.share());
      } catch (error) {
        this.logger.warn({ err: error }, 'duties could not be shared, trying again');
      }
    }
  }

  /** One round: sees who is there, gives up what is too much, renews what is held, and takes what is free. */
  private async share(): Promise<void> {
    const { leaseMs } = this.options;
    const names = [...this.names];
    const asked = this.clock.steady();
    await this.look();
    for (const name of this.held.keys()) if (!this.isMine(name)) this.lose(name);
    const mine = [...this.held.keys()].filter((name) => this.names.has(name));
    const fair = Math.ceil(names.length / this.membersAlive());
    const kept = mine.slice(0, fair);
    const wanted = names.filter((name) => this.isFree(name)).slice(0, Math.max(0, fair - kept.length));
    for (const name of mine.slice(fair)) {
      void this.giveBack(name).catch((error: unknown) =>
        this.logger.warn(
          { err: error, duty: name },
          'a duty could not be given back, others take it when its lease ends',
        ),
      );
    }
    await this.write([
      this.signOfLife(true),
      ...[...kept, ...wanted].map((name) => this.lease(name, this.options.member)),
    ]);
    await this.look();
    for (const name of [...kept, ...wanted].filter((each) => this.names.has(each))) {
      // Begun anew where the round took so long that the lease had ended: what was not done meanwhile is done then.
      if (!this.isMine(name) || !this.holds(name)) this.lose(name);
      if (this.isMine(name)) this.hold(name, asked + leaseMs);
    }
  }

  private async look(): Promise<void> {
    if (!this.prepared) await this.store.prepare(DUTIES_COLLECTION, { indexes: [] });
    this.prepared = true;
    const documents = await this.documents();
    const now = this.clock.steady();
    for (const { key, position, doc } of documents) {
      const { holder } = doc as { holder: string | null };
      const before = this.seen.get(key);
      if (before?.position !== position || before.holder !== holder)
        this.seen.set(key, { holder, position, changedAt: now });
    }
    // One that is gone altogether was given back by a process that ended, or lost with the whole collection.
    const present = new Set(documents.map(({ key }) => key));
    for (const key of this.seen.keys()) if (!present.has(key)) this.seen.delete(key);
  }

  private async documents(): Promise<readonly StoredDocument[]> {
    const all: StoredDocument[] = [];
    let after: string | undefined;
    do {
      const page = await this.store.find(DUTIES_COLLECTION, { limit: PAGE, ...(after === undefined ? {} : { after }) });
      all.push(...page.documents);
      after = page.next;
    } while (after !== undefined);
    return all;
  }

  private isAlive({ changedAt }: Seen): boolean {
    return this.clock.steady() - changedAt < this.options.leaseMs;
  }

  private membersAlive(): number {
    const own = this.memberKey(this.options.member);
    const others = [...this.seen].filter(
      ([key, seen]) => key !== own && key.startsWith(this.memberKey('')) && this.isAlive(seen),
    );
    return others.length + 1;
  }

  private isMine(name: string): boolean {
    return this.seen.get(dutyKey(this.options.role, name))?.holder === this.options.member;
  }

  private isFree(name: string): boolean {
    if (this.held.has(name) || this.leaving.has(name)) return false;
    const seen = this.seen.get(dutyKey(this.options.role, name));
    return !seen || seen.holder === null || seen.holder === this.options.member || !this.isAlive(seen);
  }

  private hold(name: string, until: number): void {
    const isNew = !this.held.has(name);
    this.held.set(name, until);
    if (!isNew) return;
    this.logger.info({ role: this.options.role, duty: name }, 'duty taken');
    void this.turnsOf(name).take(async () => {
      try {
        if (this.held.has(name)) await this.handlers.take(name);
      } catch (error) {
        this.logger.warn({ err: error, duty: name }, 'a duty could not be begun, trying again');
        // Not renewed, so that this process or another takes it anew.
        this.held.delete(name);
      }
    });
  }

  private lose(name: string): void {
    if (!this.held.delete(name)) return;
    this.logger.info({ role: this.options.role, duty: name }, 'duty left');
    void this.turnsOf(name).take(async () => {
      try {
        await this.handlers.leave(name);
      } catch (error) {
        this.logger.error({ err: error, duty: name }, 'a duty could not be ended');
      }
    });
  }

  /** Leaves a duty, and lets others take it when it has been left; the others are renewed meanwhile. */
  private async giveBack(name: string): Promise<void> {
    this.lose(name);
    this.leaving.add(name);
    try {
      await this.turnsOf(name).take(async () => undefined);
      await this.rounds.take(async () => {
        if (this.isMine(name)) await this.write([this.lease(name, null)]);
      });
    } finally {
      this.leaving.delete(name);
    }
  }

  /** Resolves when everything that was taken and left is begun and ended. */
  private async settled(): Promise<void> {
    await Promise.all([...this.turns.values()].map((turns) => turns.take(async () => undefined)));
  }

  private turnsOf(name: string): Turns {
    const turns = this.turns.get(name) ?? new Turns();
    this.turns.set(name, turns);
    return turns;
  }

  private write(documents: readonly StoredDocument[]): Promise<void> {
    return this.store.write([{ collection: DUTIES_COLLECTION, documents }]);
  }

  private lease(name: string, holder: string | null): StoredDocument {
    const key = dutyKey(this.options.role, name);
    const position = (this.seen.get(key)?.position ?? 0) + 1;
    if (holder === null) return { key, position, doc: { holder } };
    if (!this.held.has(name)) this.began.set(name, this.clock.iso());
    const until = new Date(this.clock.now() + this.options.leaseMs).toISOString();
    const doc: LeaseDoc = { holder, since: this.began.get(name) ?? null, until };
    return { key, position, doc: { ...doc } };
  }

  private signOfLife(alive: boolean): StoredDocument {
    const { member } = this.options;
    this.beats += 1;
    return { key: this.memberKey(member), position: this.beats, doc: alive ? { holder: member } : null };
  }

  private memberKey(member: string): string {
    return `${this.options.role} member ${member}`;
  }
}
