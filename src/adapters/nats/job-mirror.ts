import type { QueueStats } from '../../kernel/ports/work-queue.js';
import type { HeldJob, JobRecord } from './job-record.js';

/** A version of a job: the message at `seq` holds it. */
export interface Version<Content extends JobRecord = JobRecord> {
  readonly seq: number;
  readonly job: Content;
}

export type HeldVersion = Version<HeldJob>;

/**
 * What this process knows of the stream of jobs: each job's newest version, and per kind those that are or will be
 * ready, in order. A version never gives way to an older one, so it does not matter whether the stream or the process's
 * own acknowledgement tells of it first.
 */
export class JobMirror {
  private readonly versions = new Map<string, Version>();
  private readonly lines = new Map<string, HeldVersion[]>();

  clear(): void {
    this.versions.clear();
    this.lines.clear();
  }

  get(id: string): HeldVersion | undefined {
    const version = this.versions.get(id);
    return version && isHeld(version) ? version : undefined;
  }

  /** Everything that the queue holds. */
  *held(): Generator<HeldVersion> {
    for (const version of this.versions.values()) if (isHeld(version)) yield version;
  }

  /** Takes note of a version that this process has written. */
  learn(version: Version): void {
    const known = this.versions.get(version.job.id);
    if (known && known.seq >= version.seq) return;
    this.versions.set(version.job.id, version);
    if (isHeld(version)) this.queueUp(version);
  }

  /** Takes note of what the stream holds: all older versions have been seen, so what is gone can be forgotten. */
  follow(version: Version): void {
    this.learn(version);
    const known = this.versions.get(version.job.id);
    if (known?.job.state === 'gone' && known.seq === version.seq) this.versions.delete(version.job.id);
  }

  /** Takes note that the stream holds nothing of this job. */
  forget(id: string): void {
    this.versions.delete(id);
  }

  /** Takes the oldest jobs of these kinds that are ready out of their lines; `queueUp` puts one back. */
  takeReady(kinds: readonly string[], now: number, limit: number): HeldVersion[] {
    const ready: HeldVersion[] = [];
    while (ready.length < limit) {
      const next = this.firstOf(kinds);
      if (!next || next.job.due > now) return ready;
      this.lines.get(next.job.kind)?.shift();
      ready.push(next);
    }
    return ready;
  }

  /** When the next job of these kinds becomes ready; undefined when none will by itself. */
  nextDue(kinds: readonly string[]): number | undefined {
    return this.firstOf(kinds)?.job.due;
  }

  /** Puts a job into the line of its kind: by the time it is ready, those of one time in the stream's order. */
  queueUp(version: HeldVersion): void {
    const { kind, state } = version.job;
    if (state === 'dead') return;
    let line = this.lines.get(kind);
    if (!line) this.lines.set(kind, (line = []));
    let [low, high] = [0, line.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = line[middle];
      if (other && comesBefore(other, version)) low = middle + 1;
      else high = middle;
    }
    line.splice(low, 0, version);
  }

  stats(now: number): QueueStats[] {
    const kinds = new Map<string, { waiting: number; delayed: number; leased: number; dead: number; oldest: number }>();
    for (const { job } of this.held()) {
      let figures = kinds.get(job.kind);
      if (!figures) kinds.set(job.kind, (figures = { waiting: 0, delayed: 0, leased: 0, dead: 0, oldest: Infinity }));
      if (job.state === 'dead') {
        figures.dead += 1;
      } else if (job.due <= now) {
        // A lease that has ended makes its job ready.
        figures.waiting += 1;
        figures.oldest = Math.min(figures.oldest, job.due);
      } else {
        figures[job.state === 'leased' ? 'leased' : 'delayed'] += 1;
      }
    }
    return [...kinds]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([kind, { oldest, ...counts }]) => ({
        kind,
        ...counts,
        oldestMs: oldest === Infinity ? null : now - oldest,
      }));
  }

  /** The first in line of all these kinds. */
  private firstOf(kinds: readonly string[]): HeldVersion | undefined {
    let first: HeldVersion | undefined;
    for (const kind of kinds) {
      const next = this.firstInLine(kind);
      if (next && (!first || comesBefore(next, first))) first = next;
    }
    return first;
  }

  /** Jobs leave their line only at its front: until then an old version stands there, and is passed over. */
  private firstInLine(kind: string): HeldVersion | undefined {
    const line = this.lines.get(kind);
    for (let next = line?.[0]; next; next = line?.[0]) {
      if (this.versions.get(next.job.id) === next) return next;
      line?.shift();
    }
    this.lines.delete(kind);
    return undefined;
  }
}

function isHeld(version: Version): version is HeldVersion {
  return version.job.state !== 'gone';
}

export function comesBefore(one: HeldVersion, other: HeldVersion): boolean {
  return one.job.due === other.job.due ? one.seq < other.seq : one.job.due < other.job.due;
}
