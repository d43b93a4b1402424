import { createHash, type Hash } from 'node:crypto';
import { z } from 'zod';
import { systemOf } from '../event-catalog.js';
import { CHAIN_START, closesChain, orderHash } from '../hash-chain.js';
import type { StoredEvent } from '../ports/event-log.js';
import { BUNDLE_VERSION, type BundleLine } from './bundle.js';
import { CHECKPOINT_STREAM, type CheckpointData } from './notary.js';
import { ALTERED, checkpointProblem, linkProblem, type Trust } from './verify.js';

/** The first thing in a bundle that is not as it was written. */
export interface BundleFinding {
  /** Beside those of a log, `artifact`: not the content it says; `foreign`: not of this run; `format`: no bundle. */
  readonly problem: 'altered' | 'gap' | 'signature' | 'head' | 'order' | 'artifact' | 'foreign' | 'format';
  /** Of the file, from 1. */
  readonly line: number;
  readonly stream?: string;
  readonly revision?: number;
  readonly message: string;
}

export interface BundleVerification {
  readonly system: string | null;
  readonly runId: string | null;
  readonly events: number;
  readonly checkpoints: number;
  /** Keys that the checkpoints are signed with. */
  readonly publicKeys: readonly string[];
  /** Events that no checkpoint in the bundle proves: they were not signed yet when it was made. */
  readonly unsigned: number;
  readonly artifacts: number;
  /** Artifacts whose hash stands in one of the events: the others are whole, and nothing more is known of them. */
  readonly vouched: number;
  readonly finding: BundleFinding | null;
}

/** An event as it lies in the log, in JSON. */
export const storedEvent = z.object({
  stream: z.string(),
  revision: z.number().int().min(0),
  position: z.number().int(),
  id: z.string(),
  type: z.string(),
  data: z.string(),
  metadata: z.string(),
  hash: z.string(),
});
const bundleLine: z.ZodType<BundleLine> = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('bundle'),
    version: z.literal(BUNDLE_VERSION),
    system: z.string(),
    tenant: z.string(),
    runId: z.string(),
    position: z.number().int(),
    streams: z.array(z.string()),
  }),
  storedEvent.extend({ kind: z.literal('checkpoint') }),
  storedEvent.extend({ kind: z.literal('event'), previous: z.string().exactOptional() }),
  z.object({
    kind: z.literal('order'),
    after: z.number().int(),
    to: z.number().int(),
    hashes: z.array(z.string()),
  }),
  z.object({
    kind: z.literal('artifact'),
    key: z.string(),
    sizeBytes: z.number().int().min(0),
    contentType: z.string(),
    sha256: z.string(),
    storedAt: z.string(),
  }),
  z.object({ kind: z.literal('content'), base64: z.string() }),
  z.object({ kind: z.literal('end'), lines: z.number().int(), sha256: z.string() }),
]);

type Of<Kind extends BundleLine['kind']> = Extract<BundleLine, { kind: Kind }>;

/** Stops the verification: thrown by a check, and caught where the line's number is known. */
class Found extends Error {
  constructor(
    readonly problem: BundleFinding['problem'],
    message: string,
    readonly at?: Pick<StoredEvent, 'stream' | 'revision'>,
  ) {
    super(message);
  }
}

/** Verifies a bundle line by line, with nothing but the bundle and a public key. */
export class BundleVerifier {
  private readonly whole = createHash('sha256');
  private lines = 0;
  private header: Of<'bundle'> | undefined;
  private ended = false;
  private finding: BundleFinding | null = null;
  private readonly checkpoints = new Map<number, { readonly event: StoredEvent; readonly data: CheckpointData }>();
  private readonly ends = new Map<string, StoredEvent>();
  /** By stream: the newest revision that a checkpoint has signed. */
  private readonly signed = new Map<string, number>();
  private events = 0;
  /** Hashes of events of other streams that are still to be found in the log's order. */
  private readonly mentions = new Set<string>();
  private segment: { readonly line: Of<'order'>; hash: string; count: number; found: string[] } | undefined;
  private artifact: { readonly line: Of<'artifact'>; readonly hash: Hash; bytes: number } | undefined;
  private readonly artifacts: string[] = [];
  /** Every hash in the texts of the events. */
  private readonly named = new Set<string>();

  constructor(private readonly trust: Trust = {}) {}

  /** @param text A line without its line feed. @returns false when something is wrong: no need to go on. */
  take(text: string): boolean {
    if (this.finding) return false;
    try {
      this.takeLine(parseLine(text));
      this.whole.update(`${text}\n`);
      this.lines += 1;
    } catch (error) {
      this.note(error);
    }
    return this.finding === null;
  }

  /** That was the whole file. */
  finish(): BundleVerification {
    if (!this.finding && !this.ended) {
      this.note(new Found('format', 'the bundle was cut off: its last line is missing'));
    }
    const { header, events, checkpoints, finding } = this;
    const beyond = [...this.ends].map(([stream, { revision }]) => revision - (this.signed.get(stream) ?? -1));
    return {
      system: header?.system ?? null,
      runId: header?.runId ?? null,
      events,
      checkpoints: checkpoints.size,
      publicKeys: [...new Set([...checkpoints.values()].map(({ data }) => data.publicKey))],
      unsigned: beyond.reduce((sum, count) => sum + Math.max(0, count), this.mentions.size),
      artifacts: this.artifacts.length,
      vouched: this.artifacts.filter((sha256) => this.named.has(sha256)).length,
      finding,
    };
  }

  private takeLine(line: BundleLine): void {
    if (this.ended) throw new Found('format', 'there is more after the end');
    if ((this.header === undefined) !== (line.kind === 'bundle'))
      throw new Found('format', 'a bundle begins with its own line');
    if (line.kind !== 'order') this.closeSegment();
    if (line.kind !== 'content') this.closeArtifact();
    switch (line.kind) {
      case 'bundle':
        this.header = line;
        return;
      case 'checkpoint':
        return this.takeCheckpoint(line);
      case 'event':
        return this.takeEvent(line);
      case 'order':
        return this.takeOrder(line);
      case 'artifact':
        this.artifact = { line, hash: createHash('sha256'), bytes: 0 };
        return;
      case 'content':
        return this.takeContent(line);
      case 'end':
        return this.end(line);
    }
  }

  private takeCheckpoint({ kind: _kind, ...event }: Of<'checkpoint'>): void {
    if (event.stream !== CHECKPOINT_STREAM) throw new Found('signature', 'this is no checkpoint', event);
    const problem = checkpointProblem(event, this.trust);
    if (problem !== undefined) throw new Found('signature', problem, event);
    const data = JSON.parse(event.data) as CheckpointData;
    const next = this.checkpoints.get(event.revision + 1);
    const before = this.checkpoints.get(event.revision - 1);
    if (next || (before && before.event.hash !== data.previous)) {
      throw new Found('order', 'the checkpoints are out of order', event);
    }
    this.checkpoints.set(event.revision, { event, data });
  }

  private takeEvent({ kind: _kind, previous, ...event }: Of<'event'>): void {
    this.assertOfRun(event);
    this.events += 1;
    for (const [sha256] of event.data.matchAll(/\b[0-9a-f]{64}\b/g)) this.named.add(sha256);
    if (!this.header?.streams.includes(event.stream)) {
      if (previous === undefined) throw new Found('gap', 'an event of another stream names no event before it', event);
      if (!closesChain(previous, event.stream, event.revision, event)) throw new Found('altered', ALTERED, event);
      this.mentions.add(event.hash);
      return;
    }
    const end = this.ends.get(event.stream) ?? { revision: -1, hash: CHAIN_START };
    const finding = linkProblem(end, event);
    if (finding) throw new Found(finding.problem, finding.message, finding);
    this.ends.set(event.stream, event);
    for (const { event: checkpoint, data } of this.checkpoints.values()) {
      const head = data.heads.find(({ stream, revision }) => stream === event.stream && revision === event.revision);
      if (!head) continue;
      if (head.hash !== event.hash) {
        throw new Found('head', `checkpoint ${checkpoint.revision} saw another event here`, event);
      }
      this.signed.set(event.stream, event.revision);
    }
  }

  private takeOrder(line: Of<'order'>): void {
    if (this.segment && (this.segment.line.after !== line.after || this.segment.line.to !== line.to))
      this.closeSegment();
    this.segment ??= { line, hash: this.orderAt(line.after), count: 0, found: [] };
    for (const hash of line.hashes) {
      this.segment.hash = orderHash(this.segment.hash, { hash });
      this.segment.count += 1;
      if (this.mentions.has(hash)) this.segment.found.push(hash);
    }
  }

  private closeSegment(): void {
    const { segment } = this;
    this.segment = undefined;
    if (!segment) return;
    const { after, to } = segment.line;
    const end = this.checkpoints.get(to)?.data;
    const events = (end?.events ?? 0) - (this.checkpoints.get(after)?.data.events ?? 0);
    if (end?.order !== segment.hash || events !== segment.count) {
      throw new Found('order', `these are not the events between checkpoints ${after} and ${to}`);
    }
    for (const hash of segment.found) this.mentions.delete(hash);
  }

  private orderAt(revision: number): string {
    if (revision === -1) return CHAIN_START;
    const checkpoint = this.checkpoints.get(revision);
    if (!checkpoint) throw new Found('order', `checkpoint ${revision} is missing`);
    return checkpoint.data.order;
  }

  private takeContent({ base64 }: Of<'content'>): void {
    if (!this.artifact) throw new Found('format', 'content without an artifact');
    const bytes = Buffer.from(base64, 'base64');
    this.artifact.hash.update(bytes);
    this.artifact.bytes += bytes.length;
  }

  private closeArtifact(): void {
    const { artifact } = this;
    this.artifact = undefined;
    if (!artifact) return;
    const { key, sha256, sizeBytes } = artifact.line;
    if (artifact.bytes !== sizeBytes || artifact.hash.digest('hex') !== sha256) {
      throw new Found('artifact', `${JSON.stringify(key)} is not the content that it says`);
    }
    this.artifacts.push(sha256);
  }

  private end({ lines, sha256 }: Of<'end'>): void {
    if (lines !== this.lines || this.whole.copy().digest('hex') !== sha256) {
      throw new Found('format', 'lines were added, removed or changed');
    }
    for (const { event: checkpoint, data } of this.checkpoints.values()) {
      for (const { stream, revision } of data.heads) {
        const end = this.ends.get(stream)?.revision ?? -1;
        if (!this.header?.streams.includes(stream) || revision <= end) continue;
        const message = `checkpoint ${checkpoint.revision} saw ${stream} at revision ${revision}, and the bundle ends at ${end}`;
        throw new Found('head', message, { stream, revision: end + 1 });
      }
    }
    this.ended = true;
  }

  private assertOfRun(event: StoredEvent): void {
    const { system, runId } = this.header ?? {};
    let about: unknown;
    try {
      about = (JSON.parse(event.data) as { runId?: unknown } | null)?.runId;
    } catch (cause) {
      throw new Found('altered', `the event's data is no JSON: ${String(cause)}`, event);
    }
    if (systemOf(event.stream) !== system || about !== runId)
      throw new Found('foreign', 'the event is about another run', event);
  }

  private note(error: unknown): void {
    if (!(error instanceof Found)) throw error;
    const { problem, message, at } = error;
    this.finding = {
      problem,
      line: this.lines + 1,
      ...(at ? { stream: at.stream, revision: at.revision } : {}),
      message,
    };
  }
}

function parseLine(text: string): BundleLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Found('format', `this line is no JSON: ${String(cause)}`);
  }
  const parsed = bundleLine.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new Found('format', `this line is none of a bundle: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
}

/** Verifies the lines of a bundle. */
export async function verifyBundle(lines: AsyncIterable<string>, trust: Trust = {}): Promise<BundleVerification> {
  const verifier = new BundleVerifier(trust);
  for await (const line of lines) if (!verifier.take(line)) break;
  return verifier.finish();
}
