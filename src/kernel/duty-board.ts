import { DUTIES_COLLECTION, dutyKey, type LeaseDoc } from './duties.js';
import type { Clock } from './ports/clock.js';
import type { ViewReader } from './ports/view-store.js';
import type { OwnDuty, Runtime } from './runtime.js';

/** How a duty stands. Times are ISO 8601 UTC, by the clock of the process that holds it. */
export interface DutyStatus {
  readonly role: OwnDuty['role'];
  readonly name: string;
  /**
   * `held`; `free`: nobody holds it; `silent`: its lease should have been renewed by now, and unless clocks differ its
   * holder has died: another process takes it when that has lasted as long as a lease.
   */
  readonly state: 'held' | 'silent' | 'free';
  /** The process that holds it, or held it last where it is silent. */
  readonly holder: string | null;
  /** Whether that is this process. */
  readonly here: boolean;
  readonly since: string | null;
  /** When the lease ends unless it is renewed; null where nothing is shared, or it is not known. */
  readonly until: string | null;
}

/** Shows who does what, in every process: also in one that does nothing of it. */
export class DutyBoard {
  /** @param shared Where the leases are; undefined where this process has its stores for itself. */
  constructor(
    private readonly runtime: Pick<Runtime, 'duties'>,
    private readonly clock: Clock,
    /** The name of this process. */
    readonly member: string,
    private readonly shared: ViewReader | undefined,
  ) {}

  /**
   * Every duty that this process knows of, in the order of their names.
   *
   * @param further Duties that came while the service ran, and of which only processes with the role hear.
   * @throws Unavailable when the store of the leases cannot be reached.
   */
  async list(further: readonly Pick<DutyStatus, 'role' | 'name'>[] = []): Promise<DutyStatus[]> {
    const known = new Map<string, OwnDuty>();
    for (const { role, name } of further) known.set(dutyKey(role, name), { role, name, here: false, since: null });
    for (const duty of this.runtime.duties()) known.set(dutyKey(duty.role, duty.name), duty);
    const keys = [...known.keys()];
    const leases = new Map<string, LeaseDoc>();
    for (const { key, doc } of (await this.shared?.load(DUTIES_COLLECTION, keys)) ?? []) {
      if (doc) leases.set(key, doc as unknown as LeaseDoc);
    }
    const statuses = [...known].map(([key, duty]) => this.describe(duty, leases.get(key)));
    return statuses.sort((a, b) => (dutyKey(a.role, a.name) < dutyKey(b.role, b.name) ? -1 : 1));
  }

  private describe({ role, name, here, since }: OwnDuty, lease: LeaseDoc | undefined): DutyStatus {
    const { member } = this;
    if (here) return { role, name, state: 'held', holder: member, here, since, until: lease?.until ?? null };
    const holder = lease?.holder ?? null;
    if (holder === null) return { role, name, state: 'free', holder, here, since: null, until: null };
    const until = lease?.until ?? null;
    const state = until !== null && until < this.clock.iso() ? 'silent' : 'held';
    return { role, name, state, holder, here, since: lease?.since ?? null, until };
  }
}
