import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OpenPorts } from '../../src/adapters/open-ports.js';
import { roles, type Role } from '../../src/kernel/settings.js';
import { REFUSED_FIRST } from '../faults/scenarios.js';
import { HypershiftClient } from '../support/hypershift-client.js';
import { audit, type Account, type AuditOptions } from '../support/hypershift-ledger.js';
import { ServerProcess } from '../support/server-process.js';
import { openStores } from '../support/stores.js';
import { WebhookReceiver } from '../support/webhook-receiver.js';
import { openBackends, type Backends } from './backends.js';
import { Balancer } from './balancer.mjs';
import { Watch } from './watch.js';

const PROCESSES_OF_A_ROLE = 2;
/** After so much silence a process counts as gone. Short, so that tests need not wait; long enough for a busy machine. */
export const LEASE_MS = 1_500;
/** A bound on waiting only: many processes start on few cores. */
const START_LIMIT_MS = 60_000;
const LAST_LINES = 20;
/** Errors for whoever runs the service, where a test has lost or spoiled what is built again then. */
const EXPECTED = /"msg":"(view lost|view was folded from another log), building it again"/;
/** How long a client waits before it asks elsewhere: longer than any command may take that will be answered. */
const ANSWER_LIMIT_MS = 60_000;

export interface FleetOptions {
  /** @default LEASE_MS */
  readonly leaseMs?: number;
  /** How long clients wait for an answer before they ask elsewhere, in ms. @default 60,000 */
  readonly answerLimitMs?: number;
  /** Further settings of every process. */
  readonly env?: Readonly<Record<string, string>>;
  /** What runs in the place of the recorded service where a process only works: a path, and what it is told. */
  readonly workerProgram?: readonly string[];
}

export interface SettleOptions extends AuditOptions {
  /** Whether the bus must hold every event: not where it was wiped. @default true */
  readonly published?: boolean;
}

/** What an account of the whole fleet tells beside the ledger's. */
export interface FleetAccount extends Account {
  /** Events that the bus carries, each once. */
  readonly published: number;
}

/** The whole service on its production stack: two processes of each role, and a client that asks each API in turn. */
export class Fleet {
  readonly client: HypershiftClient;
  private readonly frozen = new Set<ServerProcess>();
  private turn = 0;
  private stores: OpenPorts | undefined;

  private constructor(
    readonly backends: Backends,
    readonly processes: Readonly<Record<Role, readonly ServerProcess[]>>,
    readonly receiver: WebhookReceiver,
    private readonly folder: string,
    private readonly balancer: Balancer,
    options: FleetOptions,
  ) {
    this.client = new HypershiftClient(this, options.answerLimitMs ?? ANSWER_LIMIT_MS);
  }

  static async open(options: FleetOptions = {}): Promise<Fleet> {
    const backends = await openBackends();
    const folder = await mkdtemp(join(tmpdir(), 'runledger-stack-'));
    const refused = new Set<string>();
    const receiver = await WebhookReceiver.start(({ deliveryId, body }) => {
      if (!body.includes(REFUSED_FIRST) || refused.has(deliveryId)) return 200;
      refused.add(deliveryId);
      return 500;
    });
    const ports: number[] = [];
    const balancer = await Balancer.open(ports);
    const { privateKey } = generateKeyPairSync('ed25519');
    const env = {
      ...backends.env,
      WEBHOOK_URL: receiver.url,
      RUNLEDGER_LEASE_MS: String(options.leaseMs ?? LEASE_MS),
      RUNLEDGER_LOG_LEVEL: 'warn',
      RUNLEDGER_SIGNING_KEY: privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64'),
      RUNLEDGER_PUBLIC_URL: balancer.url,
      DEPLOY_BUILD_BASE_DIR: join(folder, 'builds'),
      FAULT_EXECUTIONS: join(folder, 'executions.jsonl'),
      ...options.env,
    };
    const start = (role: Role, number: number): Promise<ServerProcess> =>
      ServerProcess.start({
        dataDir: join(folder, `${role}-${number}`),
        env: { ...env, RUNLEDGER_ROLES: role },
        recoveryLimitMs: START_LIMIT_MS,
        ...(role === 'worker' && options.workerProgram ? { program: options.workerProgram } : {}),
      });
    const names = roles.flatMap((role) =>
      Array.from({ length: PROCESSES_OF_A_ROLE }, (_, number) => [role, number] as const),
    );
    const started = await Promise.allSettled(names.map(([role, number]) => start(role, number)));
    const processes: Record<Role, ServerProcess[]> = { api: [], projector: [], dispatcher: [], worker: [] };
    for (const [index, [role]] of names.entries()) {
      const outcome = started[index];
      if (outcome?.status === 'fulfilled') processes[role].push(outcome.value);
    }
    const fleet = new Fleet(backends, processes, receiver, folder, balancer, options);
    const failed = started.find(({ status }) => status === 'rejected');
    if (failed) {
      await fleet.close();
      throw (failed as PromiseRejectedResult).reason;
    }
    ports.push(...fleet.processes.api.map(({ port }) => port));
    return fleet;
  }

  /** An API process, each in turn; none that is known to be frozen. */
  get origin(): string {
    const asked = this.processes.api.filter((process) => !this.frozen.has(process));
    this.turn += 1;
    return asked[this.turn % asked.length]?.origin ?? '';
  }

  /** Resolves when some API process can be asked. */
  async ready(): Promise<void> {
    await Promise.any(this.processes.api.map((process) => process.ready()));
  }

  get all(): readonly ServerProcess[] {
    return roles.flatMap((role) => this.processes[role]);
  }

  /** Stops the process where it is, and takes it out of the rotation. */
  freeze(process: ServerProcess): void {
    this.frozen.add(process);
    process.freeze();
  }

  thaw(process: ServerProcess): void {
    process.thaw();
    this.frozen.delete(process);
  }

  /** What the service stores, seen from outside. */
  async watch(): Promise<Watch> {
    this.stores ??= await openStores({ ...this.backends.env, RUNLEDGER_DATA_DIR: join(this.folder, 'watch') });
    return new Watch(this.stores.ports, this);
  }

  /** Waits until everything that was asked for is done. @returns what the stores hold, compared with what was observed. */
  async settle(options: SettleOptions = {}): Promise<FleetAccount> {
    const { client } = this;
    await Promise.all(this.all.map((process) => process.ready()));
    const different = await client.repeatAll();
    // Once is enough for each.
    client.keyed.clear();
    const watch = await this.watch();
    await this.resting(watch, options);
    return this.account(watch, options, different);
  }

  /** Stops every process in peace. @returns the account of what is left. */
  async end(options: SettleOptions = {}): Promise<FleetAccount> {
    const watch = await this.watch();
    await this.resting(watch, options);
    const codes = await Promise.all(this.all.map((process) => process.stop()));
    const account = await this.account(watch, { ended: true, ...options }, 0);
    const wrong = codes.filter((code) => code !== 0).map((code) => `a process stopped with ${code}`);
    return { ...account, problems: [...account.problems, ...wrong] };
  }

  async close(): Promise<void> {
    for (const process of this.all) process.thaw();
    await Promise.all(this.all.map((process) => process.stop()));
    await this.stores?.close();
    await this.balancer.close();
    await this.receiver.close();
    await this.backends.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async resting(watch: Watch, { published = true }: SettleOptions): Promise<void> {
    await watch.rest(published).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${this.lastWords()}`, { cause: error });
    });
  }

  /** What each process logged last, for whoever looks why it does not go on. */
  private lastWords(): string {
    const texts = roles.flatMap((role) =>
      this.processes[role].map(({ lines }, number) => `${role} ${number}:\n${lines.slice(-LAST_LINES).join('\n')}`),
    );
    return texts.join('\n\n');
  }

  private async account(watch: Watch, options: SettleOptions, different: number): Promise<FleetAccount> {
    const { client, receiver } = this;
    const { created, positions, codenames } = client;
    const executions = join(this.folder, 'executions.jsonl');
    const observed = { created, positions, codenames, received: receiver.received, executions };
    const account = await audit(watch.ports, observed, { ended: false, ...options });
    const published = await watch.published(options.ended ?? false);
    const problems = [
      ...account.problems,
      ...(options.published === false ? [] : published.problems),
      ...client.complaints,
      ...this.all.flatMap(({ errors }) => errors).filter((line) => !EXPECTED.test(line)),
      ...(different > 0 ? [`idempotency: ${different} requests were answered differently the second time`] : []),
    ];
    return { ...account, published: published.count, problems };
  }
}
