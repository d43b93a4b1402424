import type { Position } from '../../kernel/ports/event-log.js';
import type { Caller } from '../access/caller.js';
import type { LedgerEvent } from './ledger-event.js';

/** Which events are wanted. What is undefined does not matter. */
export interface EventCriteria {
  readonly system?: string | undefined;
  readonly tenant?: string | undefined;
  /** Types, or what they begin with when it ends in `*`: any of them. */
  readonly types?: readonly string[] | undefined;
  readonly run?: string | undefined;
  readonly actor?: string | undefined;
  readonly correlation?: string | undefined;
  /** Recorded at this time or later: ms since 1970. */
  readonly fromMs?: number | undefined;
  /** Recorded before this time: ms since 1970. */
  readonly toMs?: number | undefined;
  /** At a higher position. */
  readonly after?: Position | undefined;
  /** At a lower position. */
  readonly before?: Position | undefined;
}

/** What one caller wants to see, as far as they may. */
export class EventFilter {
  /** The same for filters that let the same events through. */
  readonly key: string;

  constructor(
    readonly criteria: EventCriteria,
    private readonly caller: Pick<Caller, 'sees' | 'tenants'>,
  ) {
    const tenants = caller.tenants && [...caller.tenants].sort();
    this.key = JSON.stringify([tenants, Object.entries(criteria).sort(([a], [b]) => (a < b ? -1 : 1))]);
  }

  /** Cheap questions come first: metadata and data are parsed only when they decide. */
  lets(event: LedgerEvent): boolean {
    const { system, tenant, types, run, actor, correlation, fromMs, toMs, after, before } = this.criteria;
    const { position, type } = event.stored;
    if (after !== undefined && position <= after) return false;
    if (before !== undefined && position >= before) return false;
    if (system !== undefined && event.system !== system) return false;
    if (types && !types.some((wanted) => typeMatches(wanted, type))) return false;
    if (tenant !== undefined && event.tenant !== tenant) return false;
    if (!this.isSeen(event)) return false;
    if (actor !== undefined && event.metadata.actor !== actor) return false;
    if (correlation !== undefined && event.metadata.correlationId !== correlation) return false;
    // An event without a time is in no range of time.
    if (fromMs !== undefined && !(Date.parse(event.metadata.at ?? '') >= fromMs)) return false;
    if (toMs !== undefined && !(Date.parse(event.metadata.at ?? '') < toMs)) return false;
    return run === undefined || event.isAbout(run);
  }

  private isSeen(event: LedgerEvent): boolean {
    return this.caller.tenants === null || (event.tenant !== null && this.caller.sees(event.tenant));
  }
}

/** @param wanted A type, or what types begin with when it ends in `*`. */
export function typeMatches(wanted: string, type: string): boolean {
  return wanted.endsWith('*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted;
}
