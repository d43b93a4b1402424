import { createPublicKey, verify as verifySignature } from 'node:crypto';
import { CHAIN_START, chainHash } from '../hash-chain.js';
import { START, type EventLog, type Position, type StoredEvent } from '../ports/event-log.js';
import { CHECKPOINT_STREAM, signedText, type CheckpointData } from './notary.js';

/** The first thing that is not as it was written. */
export interface Finding {
  /** `altered`: content does not match its hash. `gap`: a revision is missing, repeated or out of order. `signature`, `head`: a checkpoint says otherwise. */
  readonly problem: 'altered' | 'gap' | 'signature' | 'head';
  readonly stream: string;
  readonly revision: number;
  readonly position: Position;
  readonly message: string;
}

export interface Verification {
  readonly events: number;
  readonly streams: number;
  readonly checkpoints: number;
  /** Events after the newest checkpoint: chained, but not signed yet. */
  readonly unsigned: number;
  readonly finding: Finding | null;
}

const PAGE = 1_000;

interface ChainEnd {
  revision: number;
  hash: string;
}

/**
 * Recomputes the hash chain of every stream, and compares the heads with the signed checkpoints. Feed it the events of
 * the whole log in order; it names the first that was altered, removed, inserted or moved.
 *
 * @param trusted Public key (SPKI, DER in base64) that checkpoints must be signed with; any key when left out.
 */
export class LogVerifier {
  private readonly chains = new Map<string, ChainEnd>();
  private events = 0;
  private checkpoints = 0;
  private unsigned = 0;
  private finding: Finding | null = null;

  constructor(private readonly trusted?: string) {}

  get result(): Verification {
    const { events, checkpoints, unsigned, finding } = this;
    return { events, streams: this.chains.size, checkpoints, unsigned, finding };
  }

  /** @returns false when something is wrong: no need to go on. */
  take(event: StoredEvent): boolean {
    if (this.finding) return false;
    const end = this.chains.get(event.stream) ?? { revision: -1, hash: CHAIN_START };
    if (event.revision !== end.revision + 1) {
      return this.found('gap', event, `revision ${end.revision + 1} of ${event.stream} is missing or out of order`);
    }
    if (chainHash(end.hash, event.stream, event.revision, event) !== event.hash) {
      return this.found('altered', event, `the event does not match its hash, or the one before it was changed`);
    }
    if (event.stream === CHECKPOINT_STREAM && !this.checkpoint(event, end)) return false;
    this.chains.set(event.stream, { revision: event.revision, hash: event.hash });
    this.events += 1;
    this.unsigned = event.stream === CHECKPOINT_STREAM ? 0 : this.unsigned + 1;
    return true;
  }

  private checkpoint(event: StoredEvent, before: ChainEnd): boolean {
    const data = JSON.parse(event.data) as CheckpointData;
    const key = createPublicKey({ key: Buffer.from(data.publicKey, 'base64'), format: 'der', type: 'spki' });
    const signature = Buffer.from(data.signature, 'base64');
    if (this.trusted !== undefined && data.publicKey !== this.trusted) {
      return this.found('signature', event, 'the checkpoint is signed with another key');
    }
    if (data.previous !== before.hash || !verifySignature(null, Buffer.from(signedText(data)), key, signature)) {
      return this.found('signature', event, 'the checkpoint was not signed like this');
    }
    for (const head of data.heads) {
      const end = this.chains.get(head.stream);
      // Events between the signing and the checkpoint's own place in the log may have moved the stream on.
      if (end && end.revision > head.revision) continue;
      if (end?.revision !== head.revision || end.hash !== head.hash) {
        const message = `checkpoint ${event.revision} saw ${head.stream} at revision ${head.revision}; the log does not hold it like that`;
        return this.found('head', { ...event, stream: head.stream, revision: head.revision }, message);
      }
    }
    this.checkpoints += 1;
    return true;
  }

  private found(
    problem: Finding['problem'],
    at: Pick<StoredEvent, 'stream' | 'revision' | 'position'>,
    message: string,
  ): false {
    const { stream, revision, position } = at;
    this.finding = { problem, stream, revision, position, message };
    return false;
  }
}

/** Verifies the whole log. */
export async function verifyLog(log: EventLog, trusted?: string): Promise<Verification> {
  const verifier = new LogVerifier(trusted);
  let from = START;
  for (;;) {
    const page = await log.readAll(from, { limit: PAGE });
    for (const event of page) if (!verifier.take(event)) return verifier.result;
    const last = page.at(-1);
    if (!last) return verifier.result;
    from = last.position;
  }
}
