import { randomUUID } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Clock } from '../../kernel/ports/clock.js';
import {
  WorkQueue,
  type DeadJob,
  type Job,
  type Lease,
  type LeaseRequest,
  type QueueStats,
} from '../../kernel/ports/work-queue.js';
import type { SqlValue } from './writer-protocol.js';
import type { StoreWriter } from './writer.js';

export const jobsSchema = `
  CREATE TABLE IF NOT EXISTS jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    grp TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'leased', 'dead')),
    due REAL NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    token TEXT,
    worker TEXT,
    error TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS jobs_due ON jobs (state, kind, due, seq);
  CREATE INDEX IF NOT EXISTS jobs_group ON jobs (grp, state);
`;

/** Why a wait ends: a reason of its own saves making an exception each time. */
const RESTED = 'rested';

interface JobRow {
  readonly seq: number;
  readonly id: string;
  readonly kind: string;
  readonly grp: string;
  readonly payload: string;
  readonly attempt: number;
  readonly token: string;
  readonly error: string | null;
}

/**
 * Jobs in a table. `due` is when a waiting job becomes ready, and when a leased one's lease ends; it runs on steady time
 * that starts from the wall clock at open, so a clock that jumps neither ends a lease early nor keeps it for ever.
 */
export class SqliteWorkQueue extends WorkQueue {
  private readonly origin: number;
  private readonly waiters = new Set<() => void>();
  /** Makes tokens of this process differ from those of any other. */
  private readonly session = randomUUID();
  private tokens = 0;
  private readonly statements = new Map<string, StatementSync>();

  constructor(
    private readonly writer: StoreWriter,
    private readonly reader: DatabaseSync,
    private readonly clock: Clock,
  ) {
    super();
    this.origin = clock.now() - clock.steady();
  }

  override async put(jobs: readonly Job[]): Promise<void> {
    if (jobs.length === 0) return;
    const now = this.now();
    const put = this.change(
      "INSERT INTO jobs (id, kind, grp, payload, state, due) VALUES (?, ?, ?, ?, 'waiting', ?) ON CONFLICT (id) DO NOTHING",
      jobs.map(({ id, kind, group, payload, delayMs = 0 }) => [
        id,
        kind,
        group,
        JSON.stringify(payload),
        now + delayMs,
      ]),
    );
    // Who waits asks at once, and is served in the same transaction.
    this.wake();
    await put;
  }

  override async lease(request: LeaseRequest): Promise<readonly Lease[]> {
    const { waitMs = 0, signal } = request;
    const deadline = this.now() + waitMs;
    for (;;) {
      // Registered before the look, so that a job put meanwhile is not slept over.
      const changed = this.nextChange();
      const leases = await this.take(request);
      const left = deadline - this.now();
      if (leases.length > 0 || left <= 0 || signal?.aborted) {
        changed.forget();
        return leases;
      }
      // What has become due since the look is taken at once.
      const due = this.untilDue(request.kinds);
      if (due > 0) await this.rest(Math.min(left, due), changed, signal);
      changed.forget();
      if (signal?.aborted) return [];
    }
  }

  override async heartbeat(lease: Lease, leaseMs: number): Promise<boolean> {
    const now = this.now();
    const changes = await this.change(
      "UPDATE jobs SET due = ? WHERE id = ? AND token = ? AND state = 'leased' AND due > ?",
      [[now + leaseMs, lease.job.id, lease.token, now]],
    );
    return changes > 0;
  }

  override async complete(lease: Lease): Promise<boolean> {
    const changes = await this.change("DELETE FROM jobs WHERE id = ? AND token = ? AND state = 'leased'", [
      [lease.job.id, lease.token],
    ]);
    return changes > 0;
  }

  override async retry(lease: Lease, delayMs: number): Promise<boolean> {
    const changes = await this.change(
      "UPDATE jobs SET state = 'waiting', due = ?, token = NULL, worker = NULL WHERE id = ? AND token = ? AND state = 'leased'",
      [[this.now() + delayMs, lease.job.id, lease.token]],
    );
    this.wake();
    return changes > 0;
  }

  override async bury(lease: Lease, error: string): Promise<boolean> {
    const changes = await this.change(
      "UPDATE jobs SET state = 'dead', error = ?, token = NULL, worker = NULL WHERE id = ? AND token = ? AND state = 'leased'",
      [[error, lease.job.id, lease.token]],
    );
    return changes > 0;
  }

  override async abandon(worker: string): Promise<number> {
    const changes = await this.change(
      "UPDATE jobs SET state = 'waiting', due = ?, token = NULL, worker = NULL WHERE worker = ? AND state = 'leased'",
      [[this.now(), worker]],
    );
    this.wake();
    return changes;
  }

  override async cancel(group: string): Promise<number> {
    return this.change("DELETE FROM jobs WHERE grp = ? AND state = 'waiting'", [[group]]);
  }

  override async holds(ids: readonly string[]): Promise<ReadonlySet<string>> {
    const rows = this.query('SELECT id FROM jobs WHERE id IN (SELECT value FROM json_each(?))', [JSON.stringify(ids)]);
    return new Set(rows.map((row) => row['id'] as string));
  }

  override async stats(): Promise<readonly QueueStats[]> {
    const now = this.now();
    const ready = "(state = 'waiting' AND due <= :now) OR (state = 'leased' AND due <= :now)";
    const rows = this.query(
      `SELECT kind, sum(${ready}) AS waiting, sum(state = 'waiting' AND due > :now) AS delayed,
         sum(state = 'leased' AND due > :now) AS leased, sum(state = 'dead') AS dead,
         min(CASE WHEN ${ready} THEN due END) AS oldest
       FROM jobs GROUP BY kind ORDER BY kind`.replaceAll(':now', '?1'),
      [now],
    );
    return rows.map((row) => ({
      kind: row['kind'] as string,
      waiting: row['waiting'] as number,
      delayed: row['delayed'] as number,
      leased: row['leased'] as number,
      dead: row['dead'] as number,
      oldestMs: row['oldest'] === null ? null : Math.max(0, now - (row['oldest'] as number)),
    }));
  }

  override async deadJobs(kind: string, limit = 100): Promise<readonly DeadJob[]> {
    const sql = "SELECT * FROM jobs WHERE state = 'dead' AND kind = ? ORDER BY seq LIMIT ?";
    const rows = this.query(sql, [kind, limit]) as unknown as JobRow[];
    return rows.map((row) => ({ job: toJob(row), attempt: row.attempt, error: row.error ?? '' }));
  }

  override async requeue(id: string): Promise<boolean> {
    const changes = await this.change(
      "UPDATE jobs SET state = 'waiting', attempt = 0, error = NULL, due = ? WHERE id = ? AND state = 'dead'",
      [[this.now(), id]],
    );
    this.wake();
    return changes > 0;
  }

  override async discard(id: string): Promise<boolean> {
    return (await this.change("DELETE FROM jobs WHERE id = ? AND state = 'dead'", [[id]])) > 0;
  }

  /** The store closes its connections itself, and as a whole: what is closed last leaves one file behind, not three. */
  override async close(): Promise<void> {}

  private async take({ kinds, worker, leaseMs, limit = 1 }: LeaseRequest): Promise<Lease[]> {
    const now = this.now();
    // Of one kind the index gives the oldest at once; with a list from JSON all that wait would be sorted first.
    const wanted = kinds.map(() => '?').join(', ');
    const token = `${this.session}:${(this.tokens += 1)}`;
    const [, taken] = await this.writer.run([
      {
        sql: `UPDATE jobs SET state = 'waiting', token = NULL, worker = NULL
              WHERE state = 'leased' AND kind IN (${wanted}) AND due <= ?`,
        params: [[...kinds, now]],
      },
      {
        sql: `UPDATE jobs SET state = 'leased', attempt = attempt + 1, token = ?, worker = ?, due = ?
              WHERE seq IN (SELECT seq FROM jobs WHERE state = 'waiting' AND kind IN (${wanted})
                            AND due <= ? ORDER BY due, seq LIMIT ?)
              RETURNING seq, id, kind, grp, payload, attempt, token`,
        params: [[token, worker, now + Math.max(100, leaseMs), ...kinds, now, limit]],
      },
    ]);
    const rows = [...((taken?.rows ?? []) as unknown as JobRow[])].sort((a, b) => a.seq - b.seq);
    return rows.map((row) => ({ job: toJob(row), attempt: row.attempt, token: row.token, worker }));
  }

  private async change(sql: string, params: readonly (readonly SqlValue[])[]): Promise<number> {
    const [result] = await this.writer.run([{ sql, params }]);
    return result?.changes ?? 0;
  }

  private query(sql: string, params: readonly SqlValue[]): Record<string, SqlValue>[] {
    let statement = this.statements.get(sql);
    if (!statement) this.statements.set(sql, (statement = this.reader.prepare(sql)));
    return statement.all(...params) as Record<string, SqlValue>[];
  }

  private now(): number {
    return this.origin + this.clock.steady();
  }

  /** Ms until the next waiting job or ended lease of these kinds, or until something may have changed unseen. */
  private untilDue(kinds: readonly string[]): number {
    const [row] = this.query(
      "SELECT min(due) AS due FROM jobs WHERE state IN ('waiting', 'leased') AND kind IN (SELECT value FROM json_each(?))",
      [JSON.stringify(kinds)],
    );
    return typeof row?.['due'] === 'number' ? row['due'] - this.now() : Number.MAX_SAFE_INTEGER;
  }

  private async rest(ms: number, changed: { promise: Promise<void> }, signal?: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const aborted = (): void => stop.abort(RESTED);
    signal?.addEventListener('abort', aborted);
    try {
      await Promise.race([changed.promise, this.clock.sleep(Math.min(ms, 2_000_000_000), stop.signal)]);
    } finally {
      stop.abort(RESTED);
      signal?.removeEventListener('abort', aborted);
    }
  }

  private nextChange(): { promise: Promise<void>; forget: () => void } {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter = (): void => resolve();
    this.waiters.add(waiter);
    return { promise, forget: () => void this.waiters.delete(waiter) };
  }

  private wake(): void {
    for (const waiter of this.waiters) waiter();
  }
}

function toJob({ id, kind, grp, payload }: JobRow): Job {
  return { id, kind, group: grp, payload: JSON.parse(payload) as Job['payload'] };
}
