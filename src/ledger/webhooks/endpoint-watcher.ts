import type { Kernel } from '../../kernel/kernel.js';
import type { Position } from '../../kernel/ports/event-log.js';
import type { Follower } from '../../kernel/runtime.js';
import { Turns } from '../../kernel/signal.js';
import { endpointDecider, ENDPOINTS_STREAM, type Endpoint } from './endpoint.decider.js';
import { EndpointSender } from './endpoint-sender.js';
import { HostPace } from './host-pace.js';
import type { WebhookSecrets } from './webhook-secrets.js';

const BATCH = 500;
const RETRY_MS = 500;

/**
 * Knows the endpoints as the log says, in every process that sends, and makes the sender of each enabled one a duty that
 * these processes share. A changed address or secret holds from the next attempt on, a changed filter for whatever is
 * recorded after it.
 */
export class EndpointWatcher implements Follower {
  private readonly stop = new AbortController();
  private readonly pace: HostPace;
  private known: ReadonlyMap<string, Endpoint> = new Map();
  private readonly looks = new Turns();
  private readonly duties = new Set<string>();
  private position: Position = 0;
  private running: Promise<void> = Promise.resolve();

  constructor(
    private readonly kernel: Kernel,
    private readonly secrets: WebhookSecrets,
    private readonly random: () => number = Math.random,
  ) {
    this.pace = new HostPace(kernel.ports.clock);
  }

  async start(): Promise<void> {
    this.position = await this.kernel.ports.log.head();
    await this.reconcile();
    this.running = this.follow();
  }

  async close(): Promise<void> {
    this.stop.abort();
    await this.running;
  }

  private async follow(): Promise<void> {
    const { log, clock } = this.kernel.ports;
    const { signal } = this.stop;
    while (!signal.aborted) {
      try {
        for await (const batch of log.subscribe(this.position, { signal, batchSize: BATCH })) {
          if (batch.some(({ stream }) => stream === ENDPOINTS_STREAM)) await this.reconcile();
          this.position = batch.at(-1)?.position ?? this.position;
        }
      } catch (error) {
        this.kernel.logger.warn({ err: error }, 'webhook endpoints could not be followed, trying again');
        await clock.sleep(RETRY_MS, signal);
      }
    }
  }

  /** The stream is read to its end, so it does not matter which of its events was seen. */
  private look(): Promise<void> {
    return this.looks.take(async () => {
      this.known = (await this.kernel.streams.read(endpointDecider, ENDPOINTS_STREAM)).endpoints;
    });
  }

  private async reconcile(): Promise<void> {
    const { runtime } = this.kernel;
    await this.look();
    const wanted = [...this.known.values()].filter(({ disabled }) => disabled === null).map(({ id }) => id);
    for (const id of [...this.duties].filter((each) => !wanted.includes(each))) {
      await runtime.removeEffect(endpointDuty(id));
      this.duties.delete(id);
    }
    for (const id of wanted.filter((each) => !this.duties.has(each))) {
      await runtime.addEffect(endpointDuty(id), (mayAct) => this.senderOf(id, mayAct));
      this.duties.add(id);
    }
  }

  private senderOf(id: string, mayAct: () => boolean): EndpointSender {
    const { kernel, secrets, pace, random } = this;
    const endpoint = (): Endpoint | undefined => this.known.get(id);
    return new EndpointSender({ kernel, secrets, pace, random, endpoint, look: () => this.look() }, id, mayAct);
  }
}

/** What sending to an endpoint is called among the duties. */
export const endpointDuty = (id: string): string => `webhook endpoint ${id}`;
