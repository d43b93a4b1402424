import {
  connect,
  Events,
  NatsError,
  nanos,
  type ConnectionOptions,
  type JetStreamClient,
  type JetStreamManager,
  type JetStreamPublishOptions,
  type NatsConnection,
  type PubAck,
  type StreamConfig,
  type StreamInfo,
} from 'nats';
import type { Logger } from 'pino';
import { TooLarge, Unavailable } from '../../kernel/errors.js';
import type { Clock } from '../../kernel/ports/clock.js';

/** Where a NATS cluster is, and how patient to be with it. */
export interface NatsOptions {
  /** `nats://user:password@host:port`, `tls://…`; several servers of one cluster with commas between. */
  readonly url: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Nodes that keep each stream that is made here: 1 or, in a cluster, 3. @default 1 */
  readonly replicas?: number;
  /** How long to wait for an answer, in ms. @default 5,000 */
  readonly timeoutMs?: number;
  /** How often to ask whether the server is still there, in ms; after two questions without answer it is not. @default 10,000 */
  readonly pingMs?: number;
}

export const TIMEOUT_MS = 5_000;
const RECONNECT_MS = 250;
/** Error codes of JetStream: the stream, or the subject, does not end where the publisher expected. */
const WRONG_SEQUENCE = [10071, 10164];
const STREAM_NOT_FOUND = 10059;
const STREAM_EXISTS = 10058;
const MESSAGE_NOT_FOUND = 10037;
/** What the server says of a message to delete that is not there. */
const NOT_THERE = [MESSAGE_NOT_FOUND, 10043, 10057];
const MESSAGE_TOO_LARGE = 10054;

/**
 * A connection to NATS that comes back by itself, for ever. While it is away every call is refused at once as
 * `Unavailable`: the client would otherwise keep messages and send them at some later time.
 */
export class NatsLink {
  private readonly cutters = new Set<() => void>();
  private cuts = 0;
  private up = true;

  private constructor(
    private readonly connection: NatsConnection,
    readonly jetStream: JetStreamClient,
    readonly manager: JetStreamManager,
    readonly options: NatsOptions,
  ) {}

  /** @throws Unavailable when no server answers, or it has no JetStream. */
  static async open(options: NatsOptions, name: string): Promise<NatsLink> {
    const { timeoutMs = TIMEOUT_MS, pingMs = 10_000 } = options;
    try {
      const connection = await connect({
        ...serversOf(options.url),
        name: `runledger ${name}`,
        timeout: timeoutMs,
        pingInterval: pingMs,
        maxPingOut: 2,
        maxReconnectAttempts: -1,
        reconnectTimeWait: RECONNECT_MS,
        ignoreAuthErrorAbort: true,
      });
      try {
        const manager = await connection.jetstreamManager({ timeout: timeoutMs });
        const link = new NatsLink(connection, connection.jetstream({ timeout: timeoutMs }), manager, options);
        void link.watch();
        return link;
      } catch (error) {
        await connection.close();
        throw error;
      }
    } catch (error) {
      throw asUnavailable(error, 'NATS cannot be reached');
    }
  }

  get connected(): boolean {
    return this.up && !this.connection.isClosed();
  }

  /** How often the connection was lost: what was on its way at that time may not have come. */
  get epoch(): number {
    return this.cuts;
  }

  /** The largest message that the server takes, in bytes. */
  get maxBytes(): number {
    return this.connection.info?.max_payload ?? 1_048_576;
  }

  /** Calls `cutter` whenever the connection is lost. @returns what takes it back. */
  onCut(cutter: () => void): () => void {
    this.cutters.add(cutter);
    return () => this.cutters.delete(cutter);
  }

  /**
   * Publishes into a stream.
   *
   * @returns the acknowledgement; undefined when the stream does not end where `options.expect` says.
   * @throws Unavailable when the message was not stored, or nobody knows.
   * @throws TooLarge when no server would take it.
   */
  async publish(
    subject: string,
    body: Uint8Array,
    options: Partial<JetStreamPublishOptions>,
  ): Promise<PubAck | undefined> {
    this.assertConnected();
    // The server would cut the connection. Headers count too; theirs are short.
    const limit = this.maxBytes - 4_096;
    if (body.length > limit) {
      throw new TooLarge(`A message of ${body.length} bytes: raise max_payload of the NATS server`, limit);
    }
    try {
      return await this.jetStream.publish(subject, body, options);
    } catch (error) {
      const code = codeOf(error);
      if (code !== undefined && WRONG_SEQUENCE.includes(code)) return undefined;
      if (code === MESSAGE_TOO_LARGE)
        throw new TooLarge(`A message of ${body.length} bytes: raise the stream's limit`, body.length);
      throw asUnavailable(error, `Not stored in NATS: ${subject}`);
    }
  }

  /** Asks the server something. @throws Unavailable */
  async ask<Answer>(question: (manager: JetStreamManager) => Promise<Answer>): Promise<Answer> {
    this.assertConnected();
    try {
      return await question(this.manager);
    } catch (error) {
      throw asUnavailable(error, 'NATS did not answer');
    }
  }

  /** The newest message of a subject; undefined when there is none. @throws Unavailable */
  lastOf(stream: string, subject: string): Promise<{ readonly seq: number; readonly data: Uint8Array } | undefined> {
    return this.ask(async (manager) => {
      try {
        return await manager.streams.getMessage(stream, { last_by_subj: subject });
      } catch (error) {
        if (codeOf(error) === MESSAGE_NOT_FOUND) return undefined;
        throw error;
      }
    });
  }

  /** Deletes one message; no error when it is not there. @throws Unavailable */
  deleteMessage(stream: string, seq: number): Promise<void> {
    return this.ask(async (manager) => {
      try {
        await manager.streams.deleteMessage(stream, seq, false);
      } catch (error) {
        const code = codeOf(error);
        if (code === undefined || !NOT_THERE.includes(code)) throw error;
      }
    });
  }

  /** Makes the stream when it is not there. One that is there stays as its operator has set it. @throws Unavailable */
  ensureStream(config: Partial<StreamConfig> & { readonly name: string }): Promise<StreamInfo> {
    const { replicas = 1 } = this.options;
    return this.ask(async ({ streams }) => {
      for (;;) {
        try {
          return await streams.info(config.name);
        } catch (error) {
          if (codeOf(error) !== STREAM_NOT_FOUND) throw error;
        }
        try {
          return await streams.add({ num_replicas: replicas, duplicate_window: nanos(120_000), ...config });
        } catch (error) {
          // Somebody else has made it meanwhile.
          if (codeOf(error) !== STREAM_EXISTS) throw error;
        }
      }
    });
  }

  /** Sends what is on its way, if the server takes it, then closes. */
  async close(): Promise<void> {
    const { clock, timeoutMs = TIMEOUT_MS } = this.options;
    const drained = new AbortController();
    if (this.connected) {
      const draining = this.connection.drain().catch(() => undefined);
      await Promise.race([draining, clock.sleep(timeoutMs, drained.signal)]);
      drained.abort();
    }
    await this.connection.close();
  }

  private assertConnected(): void {
    if (!this.connected) throw new Unavailable('The connection to NATS is lost');
  }

  private async watch(): Promise<void> {
    const { logger } = this.options;
    for await (const { type, data } of this.connection.status()) {
      if (type === Events.Disconnect) {
        this.up = false;
        this.cuts += 1;
        logger.warn({ server: data }, 'connection to NATS lost');
        for (const cutter of this.cutters) cutter();
      } else if (type === Events.Reconnect) {
        this.up = true;
        logger.info({ server: data }, 'connection to NATS is back');
      }
    }
  }
}

/** The error's code in JetStream's list; undefined when it did not come from there. */
function codeOf(error: unknown): number | undefined {
  return error instanceof NatsError ? error.api_error?.err_code : undefined;
}

function asUnavailable(error: unknown, message: string): Error {
  if (error instanceof Unavailable) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new Unavailable(`${message}: ${reason}`, { cause: error });
}

/** The client wants servers and credentials apart. */
/** What the client is told of servers that are named by a URL. */
export function serversOf(url: string): ConnectionOptions {
  const servers = url.split(',').map((text) => new URL(text.includes('://') ? text.trim() : `nats://${text.trim()}`));
  const { username, password, protocol } = servers[0] ?? new URL('nats://127.0.0.1:4222');
  const [user, pass] = [decodeURIComponent(username), decodeURIComponent(password)];
  return {
    servers: servers.map(({ hostname, port }) => `${hostname}:${port === '' ? 4222 : port}`),
    ...(user === '' ? {} : pass === '' ? { token: user } : { user, pass }),
    ...(protocol === 'tls:' ? { tls: {} } : {}),
  };
}
