import { CHECKPOINT_STREAM, type CheckpointData } from '../kernel/audit/notary.js';
import { Failed, type Cli } from './cli.js';
import { withLog } from './readable-ledger.js';
import type { TargetOptions } from './target.js';

/** What is to be kept of a checkpoint, so that a later log can be held against it. */
export interface KeptCheckpoint {
  readonly revision: number;
  readonly hash: string;
  /** How many events it covers, and the newest of them. */
  readonly events: number;
  readonly position: number;
  readonly signedAt: string;
  readonly publicKey: string;
}

export async function newestCheckpoint(cli: Cli, options: TargetOptions): Promise<void> {
  const [newest] = await withLog(cli, options, (log) =>
    log.readStream(CHECKPOINT_STREAM, { backwards: true, limit: 1 }),
  );
  if (!newest)
    throw new Failed('No checkpoint has been signed yet: the service signs one a minute, and one at its end');
  const { events, position, publicKey } = JSON.parse(newest.data) as CheckpointData;
  const { at } = JSON.parse(newest.metadata) as { at: string };
  const { revision, hash } = newest;
  const kept: KeptCheckpoint = { revision, hash, events, position, signedAt: at, publicKey };
  if (options.json) {
    cli.screen.line(JSON.stringify(kept));
    return;
  }
  cli.screen.line(`checkpoint  ${revision}, signed ${at}`);
  cli.screen.line(`covers      ${events} events, up to position ${position}`);
  cli.screen.line(`hash        ${hash}`);
  cli.screen.line(`public key  ${publicKey}`);
}
