import { Worker } from 'node:worker_threads';
import { Unavailable } from '../../kernel/errors.js';
import type {
  AppendResult,
  AppendUnit,
  SqlResult,
  SqlUnit,
  Unit,
  UnitResult,
  WriterFile,
  WriterReply,
} from './writer-protocol.js';

/** Points at which a fault test may end the process: before a group goes to the disk, and after it is there. */
export interface WriterHooks {
  readonly beforeGroup?: (group: number, units: readonly Unit[]) => void;
  readonly afterGroup?: (group: number, units: readonly Unit[]) => void;
}

interface Pending {
  readonly unit: Unit;
  readonly resolve: (result: never) => void;
  readonly reject: (error: Error) => void;
}

/** Keeps one transaction short enough for the appends that wait behind it. */
const MAX_GROUP_UNITS = 512;
const MAX_GROUP_CHARACTERS = 4_000_000;

/**
 * Hands writes to the writer thread in groups: everything asked for in one tick, or while a group is on its way, is
 * committed together with one wait for the disk. The event loop never waits for it.
 */
export class Writer {
  private waiting: Pending[] = [];
  private inFlight: Pending[] | undefined;
  private scheduled = false;
  private groups = 0;
  private failure: Unavailable | undefined;
  private readonly exited: Promise<void>;
  private idle: (() => void) | undefined;

  private constructor(
    private readonly worker: Worker,
    private readonly hooks: WriterHooks,
  ) {
    this.exited = new Promise((resolve) => worker.once('exit', () => resolve()));
    worker.on('message', (reply: WriterReply) => this.settle(reply));
    worker.on('error', (error) => this.fail(new Unavailable('The SQLite writer stopped', { cause: error })));
    worker.on('exit', () => this.fail(new Unavailable('The store is closed')));
  }

  /** Starts the thread on its file. */
  static async start(workerData: WriterFile, hooks: WriterHooks = {}): Promise<Writer> {
    // Tests run from TypeScript, the product from its build: the thread's file has the same ending as this one.
    const file = import.meta.url.endsWith('.ts') ? './writer-thread.ts' : './writer-thread.js';
    const worker = new Worker(new URL(file, import.meta.url), {
      workerData,
      execArgv: [],
      // What crosses to the thread is soon garbage: it need not wait for a large heap to fill.
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    });
    await new Promise<void>((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (reply: WriterReply) => {
        worker.off('error', reject);
        if ('ready' in reply) resolve();
        else reject(new Unavailable('The SQLite writer did not start'));
      });
    });
    return new Writer(worker, hooks);
  }

  append(unit: AppendUnit): Promise<AppendResult> {
    return this.submit(unit) as Promise<AppendResult>;
  }

  run(statements: SqlUnit['statements']): Promise<SqlResult> {
    return this.submit({ kind: 'sql', statements }) as Promise<SqlResult>;
  }

  /** Lets everything that was asked for finish, then ends the thread. */
  async close(): Promise<void> {
    if (!this.failure && (this.inFlight || this.waiting.length > 0)) {
      await new Promise<void>((resolve) => (this.idle = resolve));
    }
    this.worker.postMessage({ close: true });
    await this.exited;
  }

  private submit(unit: Unit): Promise<unknown> {
    if (this.failure) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => {
      this.waiting.push({ unit, resolve, reject });
      if (this.inFlight || this.scheduled) return;
      this.scheduled = true;
      setImmediate(() => {
        this.scheduled = false;
        this.send();
      });
    });
  }

  private send(): void {
    if (this.inFlight || this.waiting.length === 0 || this.failure) return;
    const group = this.takeGroup();
    const units = group.map(({ unit }) => unit);
    this.groups += 1;
    this.hooks.beforeGroup?.(this.groups, units);
    this.inFlight = group;
    this.worker.postMessage({ group: units });
  }

  private takeGroup(): Pending[] {
    let size = 0;
    let count = 0;
    while (count < this.waiting.length && count < MAX_GROUP_UNITS && size < MAX_GROUP_CHARACTERS) {
      size += sizeOf((this.waiting[count] as Pending).unit);
      count += 1;
    }
    return this.waiting.splice(0, count);
  }

  private settle(reply: WriterReply): void {
    const group = this.inFlight;
    if (!group || 'ready' in reply) return;
    this.inFlight = undefined;
    this.hooks.afterGroup?.(
      this.groups,
      group.map(({ unit }) => unit),
    );
    if ('failed' in reply) {
      const error = new Unavailable(`The store refused a write: ${reply.failed}`);
      for (const pending of group) pending.reject(error);
    } else {
      for (const [index, pending] of group.entries()) settleUnit(pending, reply.results[index] as UnitResult);
    }
    this.send();
    if (!this.inFlight) this.idle?.();
  }

  private fail(error: Unavailable): void {
    if (this.failure) return;
    this.failure = error;
    for (const pending of [...(this.inFlight ?? []), ...this.waiting]) pending.reject(error);
    this.inFlight = undefined;
    this.waiting = [];
    this.idle?.();
  }
}

/** What the ports ask of a writer. */
export type StoreWriter = Pick<Writer, 'append' | 'run'>;

/** Stands where nothing may be written. */
export const readOnlyWriter: StoreWriter = {
  append: () => Promise.reject(new Unavailable('The store was opened for reading only')),
  run: () => Promise.reject(new Unavailable('The store was opened for reading only')),
};

function settleUnit(pending: Pending, result: UnitResult): void {
  if ('error' in result) pending.reject(new Error(`SQLite: ${result.error}`));
  else pending.resolve(result.ok as never);
}

function sizeOf(unit: Unit): number {
  if (unit.kind === 'append') return unit.events.reduce((sum, event) => sum + event[2].length + event[3].length, 200);
  let size = 200;
  for (const { params } of unit.statements) {
    for (const row of params) for (const value of row) size += typeof value === 'string' ? value.length : 8;
  }
  return size;
}
