import { createPublicKey, verify as verifySignature } from 'node:crypto';
import { checkpointSigned } from '../../../contracts/runledger/ledger.events.js';
import { CHAIN_START, closesChain, orderHash } from '../hash-chain.js';
import { START, type LogReader, type Position, type StoredEvent } from '../ports/event-log.js';
import { CHECKPOINT_STREAM, signedText, type CheckpointData } from './notary.js';

/** The first thing that is not as it was written. */
export interface Finding {
  /**
   * `altered`: content does not match its hash. `gap`: a revision is missing, repeated or out of order. A signed
   * checkpoint says otherwise: `head` of a stream, `order` of the log. `signature`: a checkpoint is none.
   */
  readonly problem: 'altered' | 'gap' | 'signature' | 'head' | 'order';
  readonly stream: string;
  readonly revision: number;
  /** Where it came out: of the event itself, or of the checkpoint that knows better. */
  readonly position: Position;
  readonly message: string;
}

export interface Verification {
  readonly events: number;
  readonly streams: number;
  readonly checkpoints: number;
  /** Events that no checkpoint covers: chained, but not signed yet. */
  readonly unsigned: number;
  readonly finding: Finding | null;
}

/** What the verifier knows from elsewhere. */
export interface Trust {
  /** Public key (SPKI, DER in base64) that every checkpoint must be signed with. @default any key */
  readonly publicKey?: string | undefined;
  /** A checkpoint that was kept outside: a log that does not hold it was replaced by an older or another one. */
  readonly checkpoint?: { readonly revision: number; readonly hash: string } | undefined;
}

/** An event as far as chains and checkpoints go. `order` stands for the whole log up to it. */
interface Link {
  readonly stream: string;
  readonly revision: number;
  readonly hash: string;
  readonly order: string;
}

const PAGE = 1_000;
const BEFORE_ALL: { readonly revision: number; readonly hash: string } = { revision: -1, hash: CHAIN_START };
export const ALTERED = 'the event does not match its hash, or the one before it was changed';

/**
 * Recomputes the hash chain of every stream, and compares heads and order with the signed checkpoints. Feed it the
 * events of the whole log in order; it names the first that was altered, removed, inserted or moved.
 */
export class LogVerifier {
  private readonly chains = new Map<string, Link>();
  /** Where each stream stood when the newest checkpoint was signed. */
  private readonly signed = new Map<string, Link>();
  /** What came after that, in log order. */
  private readonly tail: Link[] = [];
  private covered = 0;
  private order = CHAIN_START;
  private events = 0;
  private checkpoints = 0;
  private finding: Finding | null = null;

  constructor(private readonly trust: Trust = {}) {}

  /** What has come out so far; `finish` first when that was the whole log. */
  get result(): Verification {
    const { events, checkpoints, finding } = this;
    const unsigned = this.tail.filter(({ stream }) => stream !== CHECKPOINT_STREAM).length;
    return { events, streams: this.chains.size, checkpoints, unsigned, finding };
  }

  /** @returns false when something is wrong: no need to go on. */
  take(event: StoredEvent): boolean {
    if (this.finding) return false;
    const { stream, revision, hash } = event;
    const end = this.chains.get(stream) ?? BEFORE_ALL;
    this.finding = linkProblem(end, event);
    if (this.finding) return false;
    if (stream === CHECKPOINT_STREAM && !this.checkpoint(event, end.hash)) return false;
    this.order = orderHash(this.order, event);
    const link = { stream, revision, hash, order: this.order };
    this.chains.set(stream, link);
    this.tail.push(link);
    this.events += 1;
    return true;
  }

  /** That was the whole log. */
  finish(): Verification {
    const { checkpoint } = this.trust;
    const end = this.chains.get(CHECKPOINT_STREAM) ?? BEFORE_ALL;
    if (!this.finding && checkpoint && end.revision < checkpoint.revision) {
      const at = { stream: CHECKPOINT_STREAM, revision: end.revision + 1, position: START };
      this.found('head', at, endsBefore(checkpoint.revision));
    }
    return this.result;
  }

  private checkpoint(event: StoredEvent, previous: string): boolean {
    const problem = signatureProblem(event, previous, this.trust);
    if (problem !== undefined) return this.found('signature', event, problem);
    const data = JSON.parse(event.data) as CheckpointData;
    if (!this.holdsHeads(event, data) || !this.holdsNothingElse(event, data)) return false;
    const last = this.tail[data.events - this.covered - 1];
    if (last?.order !== data.order) {
      return this.found('order', event, `the ${data.events} events it covers were in another order`);
    }
    for (const link of this.tail.splice(0, data.events - this.covered)) this.signed.set(link.stream, link);
    this.covered = data.events;
    this.checkpoints += 1;
    return true;
  }

  /** Every head that was signed must be there: streams may have moved on before the checkpoint was appended. */
  private holdsHeads(event: StoredEvent, { heads }: CheckpointData): boolean {
    const known = new Map(this.tail.map((link) => [placeOf(link), link.hash]));
    for (const head of heads) {
      const before = this.signed.get(head.stream);
      const hash = known.get(placeOf(head)) ?? (before?.revision === head.revision ? before.hash : undefined);
      if (hash === head.hash) continue;
      const { revision } = this.chains.get(head.stream) ?? BEFORE_ALL;
      this.finding = unlikeHead(event, head.stream, head.revision, revision + 1);
      return false;
    }
    return true;
  }

  /** What it covers must not lie past the heads that it names. */
  private holdsNothingElse(event: StoredEvent, { heads, events }: CheckpointData): boolean {
    const named = new Map(heads.map(({ stream, revision }) => [stream, revision]));
    for (const { stream, revision } of this.tail.slice(0, Math.max(0, events - this.covered))) {
      if (stream === CHECKPOINT_STREAM || revision <= (named.get(stream) ?? -1)) continue;
      const message = `revision ${revision} of ${stream} was not there when checkpoint ${event.revision} was signed`;
      return this.found('head', { stream, revision, position: event.position }, message);
    }
    return true;
  }

  private found(
    problem: Finding['problem'],
    at: Pick<StoredEvent, 'stream' | 'revision' | 'position'>,
    message: string,
  ): false {
    this.finding = findingAt(problem, at, message);
    return false;
  }
}

/** Verifies the whole log. @param progress Told now and then up to which position. */
export async function verifyLog(
  log: LogReader,
  trust: Trust = {},
  progress: (position: Position) => void = () => undefined,
): Promise<Verification> {
  const verifier = new LogVerifier(trust);
  let from = START;
  for (;;) {
    const page = await log.readAll(from, { limit: PAGE });
    for (const event of page) if (!verifier.take(event)) return verifier.result;
    const last = page.at(-1);
    if (!last) return verifier.finish();
    from = last.position;
    progress(from);
  }
}

/** Reads the checkpoints one after the other, and says what is wrong with the first that is none. */
export class CheckpointChain {
  private previous = BEFORE_ALL;

  constructor(private readonly trust: Trust = {}) {}

  /** How many there were. */
  get length(): number {
    return this.previous.revision + 1;
  }

  /** @returns the checkpoint, or what is wrong with it. */
  take(event: StoredEvent): CheckpointData | Finding {
    const { revision, hash } = this.previous;
    const found = (problem: Finding['problem'], message: string): Finding => findingAt(problem, event, message);
    if (event.stream !== CHECKPOINT_STREAM || event.revision !== revision + 1) {
      return { ...found('gap', `checkpoint ${revision + 1} is missing or out of order`), revision: revision + 1 };
    }
    if (!closesChain(hash, event.stream, event.revision, event)) return found('altered', ALTERED);
    const problem = signatureProblem(event, hash, this.trust);
    if (problem !== undefined) return found('signature', problem);
    this.previous = event;
    return JSON.parse(event.data) as CheckpointData;
  }

  /** Those were all. @returns what is wrong with the end, if anything. */
  finish(): Finding | null {
    const { checkpoint } = this.trust;
    if (!checkpoint || this.previous.revision >= checkpoint.revision) return null;
    const at = { stream: CHECKPOINT_STREAM, revision: this.length, position: START };
    return findingAt('head', at, endsBefore(checkpoint.revision));
  }
}

/** Verifies one stream: its chain, and what the signed checkpoints say of it. */
export async function verifyStream(log: LogReader, stream: string, trust: Trust = {}): Promise<Verification> {
  const checkpoints = new CheckpointChain(trust);
  const heads = new Map<number, { readonly hash: string; readonly checkpoint: StoredEvent }>();
  const result = { events: 0, streams: 0, checkpoints: 0, unsigned: 0 };
  for await (const event of eventsOf(log, CHECKPOINT_STREAM)) {
    const taken = checkpoints.take(event);
    if ('problem' in taken) return { ...result, finding: taken };
    const head = taken.heads.find((each) => each.stream === stream);
    if (head) heads.set(head.revision, { hash: head.hash, checkpoint: event });
    result.checkpoints += 1;
  }
  const cut = checkpoints.finish();
  if (cut) return { ...result, finding: cut };
  let end = BEFORE_ALL;
  let signed = stream === CHECKPOINT_STREAM ? Infinity : -1;
  for await (const event of eventsOf(log, stream)) {
    const finding = linkProblem(end, event);
    if (finding) return { ...result, finding };
    end = event;
    result.events += 1;
    const head = heads.get(event.revision);
    if (!head) continue;
    if (head.hash !== event.hash)
      return { ...result, finding: unlikeHead(head.checkpoint, stream, event.revision, event.revision) };
    signed = event.revision;
  }
  const [beyond] = [...heads].filter(([revision]) => revision > end.revision);
  if (beyond) {
    const [revision, { checkpoint }] = beyond;
    return { ...result, finding: unlikeHead(checkpoint, stream, revision, end.revision + 1) };
  }
  return { ...result, streams: end.revision < 0 ? 0 : 1, unsigned: Math.max(0, end.revision - signed), finding: null };
}

async function* eventsOf(log: LogReader, stream: string): AsyncGenerator<StoredEvent> {
  // A page may be shorter than it could be: the last one is empty.
  for (let from = 0; ;) {
    const page = await log.readStream(stream, { from, limit: PAGE });
    const last = page.at(-1);
    if (!last) return;
    yield* page;
    from = last.revision + 1;
  }
}

/** What is wrong with an event as the next of its stream; null when it is. */
export function linkProblem(
  end: { readonly revision: number; readonly hash: string },
  event: StoredEvent,
): Finding | null {
  const { stream, revision } = event;
  if (revision !== end.revision + 1) {
    const missing = end.revision + 1;
    const at = { ...event, revision: Math.min(missing, revision) };
    return findingAt('gap', at, `revision ${missing} of ${stream} is missing or out of order`);
  }
  return closesChain(end.hash, stream, revision, event) ? null : findingAt('altered', event, ALTERED);
}

function unlikeHead(
  { revision: number, position }: StoredEvent,
  stream: string,
  head: number,
  revision: number,
): Finding {
  const message = `checkpoint ${number} saw ${stream} at revision ${head}; the log does not hold it like that`;
  return findingAt('head', { stream, revision: Math.min(head, revision), position }, message);
}

function endsBefore(revision: number): string {
  return `the log ends before checkpoint ${revision}, which was kept elsewhere`;
}

function findingAt(
  problem: Finding['problem'],
  { stream, revision, position }: Pick<StoredEvent, 'stream' | 'revision' | 'position'>,
  message: string,
): Finding {
  return { problem, stream, revision, position, message };
}

/** What is wrong with a checkpoint by itself; undefined when nothing is. */
function signatureProblem(event: StoredEvent, previous: string, trust: Trust): string | undefined {
  const { publicKey: trusted, checkpoint: kept } = trust;
  const parsed = checkpointSigned.data.safeParse(parse(event.data));
  if (!parsed.success) return 'this is no checkpoint';
  const { data } = parsed;
  if (trusted !== undefined && data.publicKey !== trusted) return 'the checkpoint is signed with another key';
  if (data.previous !== previous || !isSigned(data)) return 'the checkpoint was not signed like this';
  if (kept?.revision === event.revision && kept.hash !== event.hash) return 'another checkpoint was kept elsewhere';
  return undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What is wrong with a checkpoint that stands alone: its chain and its signature. Undefined when nothing is. */
export function checkpointProblem(event: StoredEvent, trust: Trust): string | undefined {
  const { previous } = (parse(event.data) ?? {}) as { previous?: unknown };
  if (typeof previous !== 'string') return 'this is no checkpoint';
  if (!closesChain(previous, event.stream, event.revision, event)) return ALTERED;
  return signatureProblem(event, previous, trust);
}

function isSigned(data: CheckpointData): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(data.publicKey, 'base64'), format: 'der', type: 'spki' });
    return verifySignature(null, Buffer.from(signedText(data)), key, Buffer.from(data.signature, 'base64'));
  } catch {
    // A key that is none signs nothing.
    return false;
  }
}

function placeOf({ stream, revision }: { readonly stream: string; readonly revision: number }): string {
  return `${revision} ${stream}`;
}
