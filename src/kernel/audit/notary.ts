import type { Logger } from 'pino';
import { checkpointSigned, type CheckpointEvent } from '../../../contracts/runledger/ledger.events.js';
import { canonicalJson } from '../canonical-json.js';
import type { Decider } from '../decider.js';
import { CHAIN_START, orderHash } from '../hash-chain.js';
import type { Clock } from '../ports/clock.js';
import { START, type EventLog, type Position, type StoredEvent } from '../ports/event-log.js';
import { isReadableFrom } from '../readable-from.js';
import type { Streams } from '../streams.js';
import type { SigningKey } from './signing-key.js';

export const CHECKPOINT_STREAM = 'runledger.checkpoints';

export type CheckpointData = CheckpointEvent['data'];
type Head = CheckpointData['heads'][number];

const EVERY_MS = 60_000;
/** A checkpoint with so much and one more batch of heads is still below the size limit of an append. */
const MAX_HEADS_BYTES = 300_000;
const BATCH = 500;
const PAGE = 1_000;

interface SignCommand {
  readonly data: CheckpointData;
  /** How many events the checkpoint before covers; 0 when there is none. */
  readonly after: number;
}

/** The chain of checkpoints, of which the newest tells everything. */
export const checkpointDecider: Decider<{ readonly events: number }, SignCommand, CheckpointEvent> = {
  initial: { events: 0 },
  lastEventOnly: true,
  // Another process may have signed meanwhile: then `previous` names the wrong checkpoint.
  decide: ({ data, after }, { events }) => (after === events ? [{ type: checkpointSigned.type, data }] : []),
  evolve: (_state, event) => ({ events: event.data.events }),
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
  private headsBytes = 0;
  private position: Position = START;
  private events = 0;
  private order = CHAIN_START;
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
    const last = await this.lastCheckpoint();
    if (last) {
      ({ events: this.events, order: this.order } = last.data);
      this.position = await this.endOf(last.data);
    }
    this.loops = [this.follow(), this.signForEver()];
  }

  /** Signs what is still unsigned, and ends. */
  async close(): Promise<void> {
    this.stop.abort();
    await Promise.all(this.loops);
    await this.signing;
    try {
      // What was appended last may not have come by the subscription yet.
      for (;;) {
        const batch = await this.log.readAll(this.position, { limit: BATCH });
        if (batch.length === 0) break;
        await this.take(batch);
      }
      await this.sign();
    } catch (error) {
      this.logger.warn({ err: error }, 'no last checkpoint could be signed, the next start signs it');
    }
  }

  /** Where what a checkpoint covers ends here: in a log that was copied from another store, it is counted out. */
  private async endOf({ position, events }: CheckpointData): Promise<Position> {
    if (await isReadableFrom(this.log, position)) return position;
    this.logger.warn({ position }, 'the last checkpoint was signed in another store, counting the events it covers');
    let end = START;
    for (let left = events; left > 0;) {
      const page = await this.log.readAll(end, { limit: Math.min(left, PAGE) });
      const last = page.at(-1);
      if (!last) break;
      end = last.position;
      left -= page.length;
    }
    return end;
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
    for (const event of batch) {
      const { stream, revision, hash, position } = event;
      this.position = position;
      this.events += 1;
      this.order = orderHash(this.order, event);
      // The checkpoints' own stream is chained by `previous`; signing it would never come to rest.
      if (stream !== CHECKPOINT_STREAM) this.remember({ stream, revision, hash });
    }
    if (this.headsBytes >= MAX_HEADS_BYTES) await this.signNow();
  }

  private remember(head: Head): void {
    if (!this.heads.has(head.stream)) this.headsBytes += bytesOf(head);
    this.heads.set(head.stream, head);
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
    const { position, events, order } = this;
    const heads = [...this.heads.values()].sort((a, b) => (a.stream < b.stream ? -1 : 1));
    await this.append({ system: 'runledger', tenant: 'runledger', position, events, order, heads });
    for (const head of heads) {
      if (this.heads.get(head.stream) !== head) continue;
      this.heads.delete(head.stream);
      this.headsBytes -= bytesOf(head);
    }
  }

  /** Signs after the newest checkpoint, unless that covers as much: another process may sign too. */
  private async append(covered: Omit<CheckpointData, 'previous' | 'publicKey' | 'signature'>): Promise<void> {
    for (;;) {
      const last = await this.lastCheckpoint();
      const after = last?.data.events ?? 0;
      if (after >= covered.events) return;
      const { publicKey } = this.key;
      const unsigned = { ...covered, previous: last?.hash ?? CHAIN_START, publicKey, signature: '' };
      const data = { ...unsigned, signature: this.key.sign(signedText(unsigned)) };
      const outcome = await this.streams.transact(checkpointDecider, CHECKPOINT_STREAM, { data, after });
      if (outcome.events.length > 0) return;
    }
  }

  private async lastCheckpoint(): Promise<{ readonly data: CheckpointData; readonly hash: string } | undefined> {
    const [last] = await this.log.readStream(CHECKPOINT_STREAM, { backwards: true, limit: 1 });
    return last && { data: JSON.parse(last.data) as CheckpointData, hash: last.hash };
  }
}

function bytesOf({ stream }: Head): number {
  return Buffer.byteLength(JSON.stringify(stream)) + 130;
}
