import { createPublicKey } from 'node:crypto';
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { verifyBundle, type BundleVerification } from '../kernel/audit/verify-bundle.js';
import { verifyLog, verifyStream, type Trust, type Verification } from '../kernel/audit/verify.js';
import { WrongUsage, type Cli } from './cli.js';
import { Progress } from './progress.js';
import { withLog } from './readable-ledger.js';
import { printable } from './screen.js';
import type { TargetOptions } from './target.js';

export interface TrustOptions {
  readonly publicKey?: string;
  readonly checkpoint?: string;
}

const kept = z.object({ revision: z.number().int().min(0), hash: z.string().regex(/^[0-9a-f]{64}$/) });

/** Of a running server only the stored events are asked for: what they prove is worked out here. @returns whether everything is as it was written. */
export async function verifyStored(
  cli: Cli,
  options: TrustOptions & TargetOptions & { readonly stream?: string },
): Promise<boolean> {
  const trust = trustOf(options);
  const { stream, json } = options;
  const verification = await withLog(cli, options, async (log) => {
    if (stream !== undefined) return verifyStream(log, stream, trust);
    const progress = new Progress(cli.screen, 'verifying', await log.head());
    const result = await verifyLog(log, trust, (position) => progress.at(position));
    progress.end();
    return result;
  });
  if (stream !== undefined && verification.events === 0 && !verification.finding) {
    throw new WrongUsage(`There is no stream ${stream} in this ledger`);
  }
  if (json) cli.screen.line(JSON.stringify(verification));
  else for (const line of told(verification, stream)) cli.screen.line(line);
  return verification.finding === null;
}

function told({ events, streams, checkpoints, unsigned, finding }: Verification, stream: string | undefined): string[] {
  if (finding) {
    const { problem, revision, position } = finding;
    return [
      `NOT as it was written: ${problem} at revision ${revision} of ${printable(finding.stream)} (position ${position})`,
      `  ${printable(finding.message)}`,
      `  ${events} events before it are as they were written.`,
    ];
  }
  const where = stream === undefined ? ` in ${streams} streams` : '';
  return [
    `As it was written: ${events} events${where}, ${checkpoints} signed checkpoints.`,
    ...(unsigned > 0 ? [`  ${unsigned} events are chained, and not signed yet.`] : []),
  ];
}

/** @returns whether everything is as it was written. */
export async function verifyBundleFile(cli: Cli, file: string, options: TrustOptions, json: boolean): Promise<boolean> {
  if (!existsSync(file)) throw new WrongUsage(`There is no file ${file}`);
  const trust = trustOf(options);
  const progress = new Progress(cli.screen, 'verifying', statSync(file).size);
  const verification = await verifyBundle(
    linesOf(file, (bytes) => progress.at(bytes)),
    trust,
  );
  progress.end();
  if (json) cli.screen.line(JSON.stringify(verification));
  else for (const line of toldOfBundle(verification, options.publicKey !== undefined)) cli.screen.line(line);
  return verification.finding === null;
}

async function* linesOf(file: string, progress: (bytes: number) => void): AsyncGenerator<string> {
  const input = createReadStream(file, 'utf8');
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    yield line;
    progress(input.bytesRead);
  }
}

function toldOfBundle(verification: BundleVerification, trusted: boolean): string[] {
  const { system, runId, events, checkpoints, publicKeys, unsigned, artifacts, vouched, finding } = verification;
  if (finding) {
    const { problem, line, stream, revision, message } = finding;
    const where = stream === undefined ? '' : `, revision ${revision} of ${printable(stream)}`;
    return [`NOT as it was written: ${problem} in line ${line}${where}`, `  ${printable(message)}`];
  }
  return [
    `As it was written: run ${printable(runId ?? '')} of ${printable(system ?? '')}, ${events} events, ` +
      `${checkpoints} signed checkpoints, ${artifacts} artifacts.`,
    ...(unsigned > 0 ? [`  ${unsigned} events are chained, and not signed yet.`] : []),
    ...(artifacts > vouched ? [`  ${artifacts - vouched} artifacts are whole, and no event names their hash.`] : []),
    ...(trusted ? [] : publicKeys.map((key) => `  Signed with ${key}: compare it, or give --public-key.`)),
  ];
}

/** @throws WrongUsage for a key or a checkpoint that is none. */
export function trustOf({ publicKey, checkpoint }: TrustOptions): Trust {
  return {
    ...(publicKey === undefined ? {} : { publicKey: parsePublicKey(publicKey) }),
    ...(checkpoint === undefined ? {} : { checkpoint: parseCheckpoint(checkpoint) }),
  };
}

function parsePublicKey(given: string): string {
  const text = (existsSync(given) ? readFileSync(given, 'utf8') : given).trim();
  try {
    const key = text.includes('-----BEGIN')
      ? createPublicKey(text)
      : createPublicKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'spki' });
    if (key.asymmetricKeyType === 'ed25519') return key.export({ type: 'spki', format: 'der' }).toString('base64');
  } catch {
    // What the parser says may quote the key.
  }
  throw new WrongUsage('--public-key is an Ed25519 public key (SPKI) in base64, or a file with it or with a PEM');
}

function parseCheckpoint(file: string): { readonly revision: number; readonly hash: string } {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new WrongUsage(`--checkpoint: ${file} cannot be read as JSON`, { cause });
  }
  const parsed = kept.safeParse(value);
  if (!parsed.success) throw new WrongUsage(`--checkpoint: ${file} is not what "audit checkpoint --json" prints`);
  return parsed.data;
}
