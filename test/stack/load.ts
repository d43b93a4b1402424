import type { Luck } from '../support/fault-scale.js';
import type { HypershiftClient } from '../support/hypershift-client.js';
import { until } from '../support/until.js';

const CLIENTS = 4;
const RUNS_A_WORKSPACE = 4;
/** A run waits for what a fault holds up, and for the tries that follow. */
const RUN_LIMIT_MS = 90_000;

export interface LoadOptions {
  /** What runs are asked to do; see the recorded agents. */
  readonly descriptions?: readonly string[];
  /** Workspaces that are used in turn, and may have so many runs. @default a new one after every fourth run */
  readonly workspaces?: readonly string[];
}

/** Clients that ask for one run after the other, from its creation to its end, until they are told to stop. */
export class Load {
  /** Runs that have come to their end, or to a decision. */
  done = 0;
  private over = false;
  private readonly working: Promise<unknown>;
  private failure: unknown;

  /** @param name Tells its runs from those of other loads on the same ledger. */
  constructor(
    private readonly client: HypershiftClient,
    private readonly luck: Luck,
    private readonly name: string,
    private readonly options: LoadOptions = {},
  ) {
    const working = Array.from({ length: CLIENTS }, (_, worker) => this.work(worker));
    this.working = Promise.all(working).catch((error: unknown) => {
      this.failure = error;
      this.over = true;
    });
  }

  /** Waits until so many more runs have ended. @param when For the error of who waits in vain. */
  async goesOn(when: string, runs = CLIENTS): Promise<void> {
    const goal = this.done + runs;
    await until(`${runs} more runs end ${when}`, () => this.done >= goal || this.over, RUN_LIMIT_MS);
    if (this.failure !== undefined) throw this.failure;
  }

  /** Lets every client finish its run. */
  async stop(): Promise<void> {
    this.over = true;
    await this.working;
    if (this.failure !== undefined) throw this.failure;
  }

  private async work(worker: number): Promise<void> {
    for (let turn = 0; !this.over; turn++) {
      const { workspaces = [] } = this.options;
      const own = `ws-${this.name}-${worker}-${Math.floor(turn / RUNS_A_WORKSPACE)}`;
      await this.play(`${this.name}-${worker}-${turn}`, workspaces[(worker + turn) % workspaces.length] ?? own);
      this.done += 1;
    }
  }

  /** A run of some kind; every third waits for a human. */
  private async play(tag: string, workspace: string): Promise<void> {
    const { client, luck } = this;
    const { descriptions = ['slow 20', 'slow 50', 'veto', 'deploy a page'] } = this.options;
    const description = luck.pick(descriptions);
    const approval = luck.whole(1, 3) === 1;
    const runId = await client.create({
      workspace,
      description,
      codename: tag,
      approval,
      key: `create ${tag}`,
    });
    await client.command(runId, 'start', luck.whole(1, 2) === 1 ? `start ${tag}` : undefined);
    await client.ended(runId, RUN_LIMIT_MS);
    if (!approval || description === 'veto') return;
    await client.command(runId, luck.pick(['approve', 'reject']), `decide ${tag}`);
  }
}
