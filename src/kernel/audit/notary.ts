import type { Logger } from 'pino';
import { checkpointSigned, type CheckpointEvent } from '../../../contracts/runledger/ledger.events.js';
import { canonicalJson } from '../canonical-json.js';
import type { Decider } from '../decider.js';
import { CHAIN_START } from '../hash-chain.js';
import type { Clock } from '../ports/clock.js';
import { START, type EventLog, type Position, type StoredEvent } from '../ports/event-log.js';
import type { Streams } from '../streams.js';
import type { SigningKey } from './signing-key.js';

export const CHECKPOINT_STREAM = 'runledger.checkpoints';

export type CheckpointData = CheckpointEvent['data'];
type Head = CheckpointData['heads'][number];

const EVERY_MS = 60_000;
/** A checkpoint with these and one more batch of heads is still far below the size limit of an append. */
const MAX_HEADS = 2_000;
const BATCH = 500;

interface Checkpoints {
  readonly position: Position;
}

const decider: Decider<Checkpoints, CheckpointData, CheckpointEvent> = {
  initial: { position: START },
  lastEventOnly: true,
  decide: (data, state) => (data.position > state.position ? [{ type: checkpointSigned.type, data }] : []),
  evolve: (_state, event) => ({ position: event.data.position }),
};

/** What a checkpoint's signature covers. */
export function signedText({ signature: _signature, ...rest }: CheckpointData): string {
  return canonicalJson(rest);
}

/**
 * Signs, every minute and at the end, the heads of all streams that moved. A hash chain per stream shows neither a tail
 * that was cut off nor a stream that was removed; the checkpoints do.
 */
export class Notary {
  private readonly stop = new AbortController();
  private readonly heads = new Map<string, Head>();
  private position: Position = START;
  private previous = CHAIN_START;
  private loops: Promise<void>[] = [];
  private signing: Promise<void> = Promise.resolve();

  constructor(
    private readonly log: EventLog,
    private readonly streams: Streams,
    private readonly key: SigningKey,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  async start(): Promise<void> {
    const [last] = await this.log.readStream(CHECKPOINT_STREAM, { backwards: true, limit: 1 });
    if (last) {
      this.position = (JSON.parse(last.data) as CheckpointData).position;
      this.previous = last.hash;
    }
    this.loops = [this.follow(), this.signForEver()];
  }

  /** Signs what is still unsigned, and ends. */
  async close(): Promise<void> {
    this.stop.abort();
    await Promise.all(this.loops);
    await this.signing;
    // What was appended last may not have come by the subscription yet.
    for (;;) {
      const batch = await this.log.readAll(this.position, { limit: BATCH });
      if (batch.length === 0) break;
      await this.take(batch);
    }
    await this.sign();
  }

  private async follow(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      try {
        for await (const batch of this.log.subscribe(this.position, { signal, batchSize: BATCH }))
          await this.take(batch);
      } catch (error) {
        this.logger.warn({ err: error }, 'the notary lost the log, trying again');
        await this.clock.sleep(1_000, signal);
      }
    }
  }

  private async take(batch: readonly StoredEvent[]): Promise<void> {
    for (const { stream, revision, hash, position } of batch) {
      this.position = position;
      // The checkpoints' own stream is chained by `previous`; signing it would never come to rest.
      if (stream !== CHECKPOINT_STREAM) this.heads.set(stream, { stream, revision, hash });
    }
    if (this.heads.size >= MAX_HEADS) await this.signNow();
  }

  private async signForEver(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted) {
      await this.clock.sleep(EVERY_MS, signal);
      if (signal.aborted) return;
      try {
        await this.signNow();
      } catch (error) {
        this.logger.warn({ err: error }, 'no checkpoint could be signed, trying again');
      }
    }
  }

  /** One at a time: each checkpoint names the one before. */
  private signNow(): Promise<void> {
    const turn = this.signing.then(() => this.sign());
    this.signing = turn.catch(() => undefined);
    return turn;
  }

  private async sign(): Promise<void> {
    if (this.heads.size === 0) return;
    const { position } = this;
    const heads = [...this.heads.values()].sort((a, b) => (a.stream < b.stream ? -1 : 1));
    await this.append(position, heads);
    for (const head of heads) if (this.heads.get(head.stream) === head) this.heads.delete(head.stream);
  }

  private async append(position: Position, heads: readonly Head[]): Promise<void> {
    const unsigned = {
      system: 'runledger' as const,
      tenant: 'runledger' as const,
      position,
      heads: [...heads],
      previous: this.previous,
      publicKey: this.key.publicKey,
      signature: '',
    };
    const signature = this.key.sign(signedText(unsigned));
    await this.streams.transact(decider, CHECKPOINT_STREAM, { ...unsigned, signature });
    const [last] = await this.log.readStream(CHECKPOINT_STREAM, { backwards: true, limit: 1 });
    if (last) this.previous = last.hash;
  }
}
