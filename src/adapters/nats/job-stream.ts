import { DiscardPolicy, RetentionPolicy, StorageType, type JsMsg, type StreamConfig, type StreamInfo } from 'nats';
import { TooLarge, Unavailable } from '../../kernel/errors.js';
import { Signal } from '../../kernel/signal.js';
import { JobMirror, type HeldVersion } from './job-mirror.js';
import { decode, encode, tokenOf, type HeldJob, type JobRecord } from './job-record.js';
import { TIMEOUT_MS, type NatsLink } from './nats-link.js';
import { ServerTime } from './server-time.js';
import { follow, StreamReader, type Follower } from './stream-reader.js';

/** How long a mark stays: longer than a server keeps the connection of a process that is frozen. */
const MARK_MS = 600_000;
const SWEEP_EVERY_MS = 30_000;
/** What a job's message may grow by: headers, a worker's name, an error. */
const RESERVE_BYTES = 32_768;
const IN_FLIGHT = 256;

/** What becomes of a job; undefined when it is to stay as it is. */
export type Change = (job: HeldJob, now: number) => JobRecord | undefined;

/**
 * The stream of jobs, in which the newest message of each subject is the whole truth about one job, and this process's
 * mirror of it. A change is a new message that names the one it replaces by `Nats-Expected-Last-Subject-Sequence`; of
 * two that name the same, the server takes one.
 *
 * A job that is over leaves a mark, so that the mirrors of other processes see it go; the mark is deleted later.
 */
export class JobStream implements Follower {
  readonly mirror = new JobMirror();
  /** Fires when the mirror has changed. */
  readonly changed = new Signal();
  private readonly time: ServerTime;
  private readonly config: Partial<StreamConfig> & { readonly name: string };
  private readonly closing = new AbortController();
  private running: Promise<unknown> = Promise.resolve();
  /** Up to here the mirror has seen the stream; undefined until it has read all that was there when it began. */
  private seen: number | undefined;
  /** Where the stream ended when the mirror began to read it. */
  private goal = 0;
  /** Marks to be deleted, in the order of their time. */
  private readonly marks: { readonly seq: number; readonly due: number }[] = [];

  constructor(
    private readonly link: NatsLink,
    stream: string,
  ) {
    this.time = new ServerTime(link.options.clock);
    this.config = {
      name: stream,
      description: 'Work of Runledger: the newest message of each subject is a job.',
      subjects: [`${stream}.*`],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      max_msgs_per_subject: 1,
      // A full stream refuses new jobs; it never drops old ones.
      discard: DiscardPolicy.New,
    };
  }

  /** @throws Unavailable when the server cannot be reached. */
  async start(): Promise<void> {
    await this.info();
    const { clock, logger } = this.link.options;
    this.running = Promise.all([follow(this, { clock, logger, signal: this.closing.signal }), this.sweepForEver()]);
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.changed.fire();
    await this.running;
  }

  /** The server's time, in ms since 1970. */
  now(): number {
    return this.time.now();
  }

  /** Resolves when the mirror has seen all that the stream holds at the time of asking. @throws Unavailable */
  async sync(): Promise<void> {
    const { last_seq: end } = (await this.info()).state;
    const { clock, timeoutMs = TIMEOUT_MS } = this.link.options;
    const until = clock.steady() + timeoutMs;
    for (;;) {
      const changed = this.changed.next();
      if (this.seen !== undefined && this.seen >= end) return;
      const left = until - clock.steady();
      if (left <= 0 || this.closing.signal.aborted) throw new Unavailable('The jobs in NATS could not be read in time');
      const woken = new AbortController();
      await Promise.race([changed, clock.sleep(left, woken.signal)]);
      woken.abort();
    }
  }

  /** Adds a job, unless there is one of its id. @throws Unavailable, TooLarge */
  async create(job: HeldJob): Promise<void> {
    const limit = this.link.maxBytes - RESERVE_BYTES;
    const size = encode(job).length;
    if (size > limit) throw new TooLarge(`A job of ${size} bytes: raise max_payload of the NATS server`, limit);
    // The mirror cannot say that it is there: somebody may have taken it off just now.
    for (let expected = 0; !(await this.store(job, expected));) {
      const found = await this.read(job.id);
      if (found?.job.state !== 'gone' && found) return;
      expected = found?.seq ?? 0;
    }
  }

  /** Replaces that very version. @returns false when it is not the newest. @throws Unavailable when nobody knows */
  swap(version: HeldVersion, next: JobRecord): Promise<boolean> {
    return this.store(next, version.seq);
  }

  /** Changes a job as `decide` says of its newest version. @returns whether it did. @throws Unavailable */
  async change(id: string, decide: Change): Promise<boolean> {
    let version = this.mirror.get(id);
    for (let certain = false; ; certain = true) {
      const next = version && decide(version.job, this.now());
      if (version && next) {
        if (await this.swap(version, next)) return true;
      } else if (certain) {
        return false;
      }
      await this.read(id);
      version = this.mirror.get(id);
    }
  }

  /** Changes every job of which `decide` says so. @returns how many. @throws Unavailable */
  async changeEach(decide: Change): Promise<number> {
    await this.sync();
    const now = this.now();
    const chosen = [...this.mirror.held()].filter(({ job }) => decide(job, now) !== undefined);
    let changes = 0;
    await inParallel(chosen, async ({ job }) => {
      if (await this.change(job.id, decide)) changes += 1;
    });
    return changes;
  }

  /** Looks at the newest version itself, and lets the mirror know. */
  async read(id: string): Promise<{ readonly seq: number; readonly job: JobRecord } | undefined> {
    const message = await this.link.lastOf(this.config.name, this.subjectOf(id));
    if (!message) {
      this.mirror.forget(id);
      return undefined;
    }
    const version = { seq: message.seq, job: decode(message.data) };
    this.mirror.learn(version);
    return version;
  }

  /** As a follower: begins anew where the stream begins. */
  async open(): Promise<StreamReader> {
    const { state } = await this.info();
    const reader = await StreamReader.open(this.link, { stream: this.config.name, from: 1 });
    // What is gone by now may have left no mark, and a server that has lost its disk counts from 1 again.
    this.mirror.clear();
    this.goal = state.last_seq;
    this.seen = reader.waiting === 0 ? this.goal : undefined;
    this.changed.fire();
    return reader;
  }

  /** As a follower: takes note of a message. */
  take(message: JsMsg): void {
    const { seq } = message;
    const job = decode(message.data);
    this.mirror.follow({ seq, job });
    if (this.seen !== undefined) {
      this.seen = seq;
    } else {
      // What was there when this process came: whoever left it may be no more.
      if (job.state === 'gone') this.markLater(seq);
      if (seq >= this.goal || message.info.pending === 0) this.seen = Math.max(seq, this.goal);
    }
    this.changed.fire();
  }

  private async store(job: JobRecord, expected: number): Promise<boolean> {
    const expect = { streamName: this.config.name, lastSubjectSequence: expected };
    const stored = await this.link.publish(this.subjectOf(job.id), encode(job), { expect });
    if (!stored) return false;
    this.mirror.learn({ seq: stored.seq, job });
    if (job.state === 'gone') this.markLater(stored.seq);
    this.changed.fire();
    return true;
  }

  private subjectOf(id: string): string {
    return `${this.config.name}.${tokenOf(id)}`;
  }

  private async info(): Promise<StreamInfo> {
    const askedAt = this.link.options.clock.steady();
    const info = await this.link.ensureStream(this.config);
    this.time.learn((info as { readonly ts?: string }).ts, askedAt);
    return info;
  }

  private markLater(seq: number): void {
    this.marks.push({ seq, due: this.link.options.clock.steady() + MARK_MS });
  }

  private async sweepForEver(): Promise<void> {
    const { clock, logger } = this.link.options;
    const { signal } = this.closing;
    while (!signal.aborted) {
      await clock.sleep(SWEEP_EVERY_MS, signal);
      const later = this.marks.findIndex(({ due }) => due > clock.steady());
      const due = this.marks.splice(0, later < 0 ? this.marks.length : later);
      if (signal.aborted || !this.link.connected) continue;
      try {
        await inParallel(due, ({ seq }) => this.link.deleteMessage(this.config.name, seq));
      } catch (error) {
        // Whoever opens the stream next finds what is left.
        logger.debug({ err: error }, 'marks of jobs that are over could not be deleted');
      }
    }
  }
}

/** Does something for each item, for many at a time, in their order. Waits for all, then throws what was thrown first. */
export async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<unknown>): Promise<void> {
  const rest = items.values();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (const item of rest) {
      try {
        await work(item);
      } catch (error) {
        failures.push(error);
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, items.length) }, worker));
  if (failures.length > 0) throw failures[0];
}
