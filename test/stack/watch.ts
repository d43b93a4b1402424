import { connect, type JetStreamManager } from 'nats';
import type { Ports } from '../../src/kernel/kernel.js';
import { CHECKPOINT_STREAM } from '../../src/kernel/audit/notary.js';
import { START, type StoredEvent } from '../../src/kernel/ports/event-log.js';
import { deliveriesOf, runsOf } from '../support/hypershift-ledger.js';
import { until } from '../support/until.js';
import type { Fleet } from './fleet.js';

const PAGE = 1_000;
const REST_LIMIT_MS = 90_000;
const ANSWER_LIMIT_MS = 45_000;
const EVENTS = 'RUNLEDGER_EVENTS';
const OVER = new Set(['run.completed', 'run.failed', 'run.blocked', 'run.rejected']);

/** Looks at the stores of a fleet from outside, beside it. */
export class Watch {
  private readonly seen: StoredEvent[] = [];

  constructor(
    readonly ports: Ports,
    private readonly fleet: Fleet,
  ) {}

  /** All events so far. */
  async events(): Promise<readonly StoredEvent[]> {
    for (;;) {
      const page = await this.ports.log.readAll(this.seen.at(-1)?.position ?? START, { limit: PAGE });
      this.seen.push(...page);
      if (page.length < PAGE) return this.seen;
    }
  }

  /** Waits until all that was asked for is done, sent, folded and, where that is wanted, published. */
  async rest(published: boolean): Promise<void> {
    let last = '';
    await until(
      'the fleet comes to rest',
      async () => {
        const open = await this.open(published);
        if (open !== last && process.env['RUNLEDGER_TEST_TALK']) process.stderr.write(`  waiting for ${open}\n`);
        last = open;
        return open === '';
      },
      REST_LIMIT_MS,
    ).catch((error: unknown) => {
      throw new Error(`Still open: ${last}`, { cause: error });
    });
  }

  /** What is still to come, in words; empty when nothing is. */
  private async open(published: boolean): Promise<string> {
    const events = await this.events();
    const running = [...runsOf(events).values()].filter(isRunning).length;
    if (running > 0) return `${running} runs`;
    const jobs = await this.ports.queue.stats();
    if (jobs.length > 0) return `jobs ${JSON.stringify(jobs)}`;
    const delivered = events.filter(({ type }) => type === 'webhook.delivered').length;
    const { expected } = deliveriesOf(events, []);
    if (delivered < expected) return `${expected - delivered} webhooks`;
    const lagging = await this.lagging();
    if (lagging.length > 0) return `views ${lagging.join(', ')}`;
    const onBus = (await this.onBus((manager) => manager.streams.info(EVENTS))).state.messages;
    if (published && onBus < events.length) return `${events.length - onBus} events on the bus`;
    return (await this.events()).length === this.seen.length ? '' : 'further events';
  }

  /** Views that have not been folded up to the head, as an API process sees them. */
  private async lagging(): Promise<string[]> {
    const head = await this.ports.log.head();
    const answer = await fetch(`${this.fleet.origin}/readyz`, { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
    const { views = {} } = (await answer.json()) as { views?: Record<string, { position: number; state: string }> };
    if (answer.status !== 200) return [`readiness ${answer.status}`];
    return Object.entries(views)
      .filter(([, { position, state }]) => position < head || state !== 'live')
      .map(([name, { position }]) => `${name} at ${position} of ${head}`);
  }

  /** Compares what the bus carries with the log: every event once, in the log's order. */
  async published(ended: boolean): Promise<{ count: number; problems: string[] }> {
    const events = await this.events();
    // What a service signs last of all is published when it starts again.
    const said = ended ? events.findLastIndex(({ stream }) => stream !== CHECKPOINT_STREAM) + 1 : events.length;
    const ids = await this.busIds();
    const wanted = events.slice(0, Math.max(said, ids.length)).map(({ id }) => id);
    const problems: string[] = [];
    const known = new Set(ids);
    if (known.size !== ids.length) problems.push(`bus: ${ids.length - known.size} events came twice`);
    const missing = wanted.filter((id) => !known.has(id));
    if (missing.length > 0) problems.push(`bus: ${missing.length} events never came, the first is ${missing[0]}`);
    const inOrder = wanted.filter((id) => known.has(id));
    if (ids.some((id, index) => id !== inOrder[index])) problems.push('bus: events came out of order, or are unknown');
    return { count: ids.length, problems };
  }

  private async busIds(): Promise<string[]> {
    const { state } = await this.onBus((manager) => manager.streams.info(EVENTS));
    return this.onBus(async (_manager, connection) => {
      const ids: string[] = [];
      if (state.messages === 0) return ids;
      const consumer = await connection.jetstream().consumers.get(EVENTS, { headers_only: true });
      for await (const message of await consumer.consume()) {
        ids.push(message.headers?.get('Nats-Msg-Id') ?? '');
        if (message.seq >= state.last_seq) return ids;
      }
      return ids;
    });
  }

  private async onBus<Result>(
    work: (manager: JetStreamManager, connection: Awaited<ReturnType<typeof connect>>) => Promise<Result>,
  ): Promise<Result> {
    const connection = await connect({ servers: this.fleet.backends.env['NATS_URL'] ?? '' });
    try {
      return await work(await connection.jetstreamManager(), connection);
    } finally {
      await connection.close();
    }
  }
}

function isRunning(history: readonly StoredEvent[]): boolean {
  const gates = history.filter(({ type }) => type === 'run.awaiting_approval').length;
  const decided = history.filter(({ type }) => type === 'run.approved' || type === 'run.rejected').length;
  if (gates > decided) return false;
  return history.some(({ type }) => type === 'run.started') && !history.some(({ type }) => OVER.has(type));
}
