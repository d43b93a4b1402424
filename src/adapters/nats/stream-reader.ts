import { AckPolicy, DeliverPolicy, nanos, type Consumer, type JsMsg } from 'nats';
import type { Logger } from 'pino';
import { Unavailable } from '../../kernel/errors.js';
import type { Clock } from '../../kernel/ports/clock.js';
import type { NatsLink } from './nats-link.js';

export interface Reading {
  readonly stream: string;
  /** The first sequence to read. */
  readonly from: number;
  /** Only what falls under this subject. @default everything */
  readonly filter?: string;
  /** Leaves the bodies out. @default false */
  readonly headersOnly?: boolean;
  /** The most messages on their way at once. @default 256 */
  readonly batch?: number;
}

const BATCH = 256;
/** How long one request for messages lies at the server. */
const PULL_MS = 30_000;
/** The server forgets a reader that has asked for nothing for so long. */
const FORGOTTEN_MS = 120_000;
const AGAIN_MS = 250;

/**
 * Reads a stream in order, from a sequence on, and then live. It asks for messages batch by batch, so a slow reader
 * holds up only itself and the server never has to cut it off. The server forgets it when it is gone.
 *
 * It never leaves a message out: when it cannot be sure (the connection was lost, the server has forgotten the reader)
 * `messages` throws, and the caller opens another one after the last message it took.
 */
export class StreamReader {
  private delivered = 0;

  private constructor(
    private readonly link: NatsLink,
    private readonly consumer: Consumer,
    private readonly reading: Reading,
    private readonly epoch: number,
    /** How many messages were there when it was opened. */
    readonly waiting: number,
  ) {}

  /** @throws Unavailable */
  static async open(link: NatsLink, reading: Reading): Promise<StreamReader> {
    const { stream, from, filter, headersOnly = false } = reading;
    const { epoch } = link;
    return link.ask(async (manager) => {
      const { name, num_pending: waiting } = await manager.consumers.add(stream, {
        ack_policy: AckPolicy.None,
        deliver_policy: DeliverPolicy.StartSequence,
        opt_start_seq: Math.max(1, from),
        inactive_threshold: nanos(FORGOTTEN_MS),
        mem_storage: true,
        num_replicas: 1,
        ...(filter === undefined ? {} : { filter_subject: filter }),
        ...(headersOnly ? { headers_only: true } : {}),
      });
      return new StreamReader(link, await link.jetStream.consumers.get(stream, name), reading, epoch, waiting);
    });
  }

  /** Gives messages until the signal fires. @throws Unavailable when some may have been lost on their way. */
  async *messages(signal: AbortSignal): AsyncGenerator<JsMsg> {
    const { batch: size = BATCH } = this.reading;
    try {
      while (!signal.aborted) {
        this.assertUnbroken();
        const batch = await this.consumer.fetch({ max_messages: size, expires: PULL_MS });
        const end = (): void => batch.stop();
        const forget = this.link.onCut(end);
        signal.addEventListener('abort', end);
        // Either may have happened while the batch was asked for.
        if (signal.aborted || this.link.epoch !== this.epoch) end();
        try {
          for await (const message of batch) {
            this.delivered += 1;
            if (message.info.deliverySequence !== this.delivered) throw new Unavailable('NATS left a message out');
            yield message;
            if (signal.aborted) return;
          }
        } finally {
          forget();
          signal.removeEventListener('abort', end);
          end();
        }
      }
    } finally {
      // The server would forget it by itself, only later.
      if (this.link.connected) void this.consumer.delete().catch(() => undefined);
    }
  }

  private assertUnbroken(): void {
    if (this.link.epoch !== this.epoch) throw new Unavailable('The connection to NATS was lost');
  }
}

/** Somebody who follows a stream, over every loss of the connection. */
export interface Follower {
  /** Opens a reader where the follower stands. Called again after every loss. */
  open(): Promise<StreamReader>;
  take(message: JsMsg): void | Promise<void>;
}

/** Reads on and on until the signal fires. */
export async function follow(
  follower: Follower,
  { clock, logger, signal }: { readonly clock: Clock; readonly logger: Logger; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    try {
      const reader = await follower.open();
      for await (const message of reader.messages(signal)) await follower.take(message);
    } catch (error) {
      if (signal.aborted) return;
      logger.warn({ err: error }, 'reading from NATS broke off, again soon');
      await clock.sleep(AGAIN_MS, signal);
    }
  }
}
