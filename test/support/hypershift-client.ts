import { setTimeout as pause } from 'node:timers/promises';
import { until } from './until.js';

export interface Ask {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Below the dialect's base path. */
  readonly path: string;
  readonly body?: object;
  /** Sent as Idempotency-Key: the request is one, however often it is sent. */
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Told {
  readonly status: number;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any;
  /** Whether the answer says that it may be older than what was asked for. */
  readonly stale: boolean;
  /** How often the request was sent until it was answered. */
  readonly sent: number;
}

/** What a client needs of a server that may die at any moment. */
export interface Mortal {
  readonly origin: string;
  /** Resolves when it can be asked again. */
  ready(): Promise<void>;
}

const MAX_SENDS = 50;
const MS_PER_SECOND = 1_000;
const RUN = /^\/runs\/([^/]+)/;
const FINAL = /^(completed|failed)$/;

/**
 * A client that never gives up: it sends a request again until it is answered, and keeps an account of every write that
 * was acknowledged.
 */
export class HypershiftClient {
  readonly created: string[] = [];
  readonly positions: number[] = [];
  readonly codenames: string[] = [];
  /** First answer to each Idempotency-Key. */
  readonly keyed = new Map<string, { readonly ask: Ask; readonly text: string }>();
  /** Answers that a correct service does not give. */
  readonly complaints: string[] = [];
  /** Position of the newest write to each run: who reads it asks for an answer that knows of it. */
  private readonly newest = new Map<string, number>();

  /** @param limitMs How long to wait for an answer before the request is sent again. @default for ever */
  constructor(
    private readonly server: Mortal,
    private readonly limitMs?: number,
  ) {}

  async send(ask: Ask): Promise<Told> {
    for (let sent = 1; ; sent++) {
      if (sent > MAX_SENDS) throw new Error(`${ask.method} ${ask.path} was never answered`);
      const told = await this.once(ask, sent).catch(() => undefined);
      if (told && told.status < 500) {
        this.note(ask, told);
        return told;
      }
      if (told && told.status !== 503) this.complaints.push(`${ask.method} ${ask.path}: ${told.status} ${told.text}`);
      if (told) await pause(told.retryAfterMs);
      await this.server.ready();
    }
  }

  /** Sends once. Rejects when no answer comes, or not in time. */
  async once(ask: Ask, sent = 1, limitMs = this.limitMs): Promise<Told & { readonly retryAfterMs: number }> {
    const { method, path, body, key, headers } = ask;
    const runId = RUN.exec(path)?.[1] ?? '';
    const newest = this.newest.get(runId);
    const response = await fetch(`${this.server.origin}/hypershift${path}`, {
      method,
      headers: {
        ...(newest === undefined ? {} : { 'x-ledger-min-position': String(newest) }),
        ...headers,
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
      ...(limitMs === undefined ? {} : { signal: AbortSignal.timeout(limitMs) }),
    });
    const text = await response.text();
    const json = text === '' ? undefined : (JSON.parse(text) as { run_id?: string });
    const position = Number(response.headers.get('x-ledger-position') ?? 0);
    if (position > 0) {
      this.positions.push(position);
      const written = json?.run_id ?? runId;
      this.newest.set(written, Math.max(position, this.newest.get(written) ?? 0));
    }
    const stale = response.headers.get('x-ledger-stale') === 'true';
    const retryAfterMs = Number(response.headers.get('retry-after') ?? 0) * MS_PER_SECOND;
    return { status: response.status, text, json, stale, sent, retryAfterMs };
  }

  /** Creates a run; with a key exactly one, without one at least one. @returns its id. */
  async create(run: {
    workspace: string;
    description: string;
    codename: string;
    approval?: boolean;
    key?: string;
  }): Promise<string> {
    const { workspace, description, codename, approval = false, key } = run;
    const { status, text, json } = await this.send({
      method: 'POST',
      path: '/runs',
      headers: { 'x-workspace-id': workspace },
      body: { user_intent: { description }, codename, require_approval: approval },
      ...(key === undefined ? {} : { key }),
    });
    if (status !== 201) throw new Error(`No run was created: ${status} ${text}`);
    if (key !== undefined) this.codenames.push(codename);
    return json.run_id as string;
  }

  /** Sends a command that may have been carried out although its answer was lost: then it is refused the second time. */
  async command(runId: string, name: 'start' | 'approve' | 'reject', key?: string): Promise<void> {
    const path = `/runs/${runId}/${name}`;
    const told = await this.send({ method: 'POST', path, ...(key === undefined ? {} : { key }) });
    const ok = told.status < 300 || (told.status === 400 && told.sent > 1 && key === undefined);
    if (!ok) this.complaints.push(`POST ${path}: ${told.status} ${told.text}`);
  }

  /** Waits until a run has ended, or waits at the gate: while servers are killed that takes its time. @returns its status. */
  ended(runId: string, limitMs = 240_000): Promise<string> {
    const look = async (): Promise<string | false | undefined> => {
      const { json, status, stale } = await this.send({ method: 'GET', path: `/runs/${runId}` });
      if (status !== 200 && stale) return undefined;
      if (status !== 200) this.complaints.push(`GET /runs/${runId}: ${status}`);
      const blocked = json.status === 'blocked';
      return (FINAL.test(json.status as string) || blocked) && (json.status as string);
    };
    return until(`run ${runId} ends`, look, limitMs);
  }

  /** Sends every request with a key once more, and compares the answer with the first. @returns how many differ. */
  async repeatAll(): Promise<number> {
    let different = 0;
    for (const { ask, text } of this.keyed.values()) if ((await this.send(ask)).text !== text) different += 1;
    return different;
  }

  private note(ask: Ask, told: Told): void {
    const made = (told.json as { run_id?: unknown } | undefined)?.run_id;
    if (told.status === 201 && typeof made === 'string') this.created.push(made);
    if (ask.key === undefined || ask.method !== 'POST') return;
    const first = this.keyed.get(ask.key);
    if (!first) this.keyed.set(ask.key, { ask, text: told.text });
    else if (first.text !== told.text) this.complaints.push(`${ask.path} with key ${ask.key} was answered differently`);
  }
}
