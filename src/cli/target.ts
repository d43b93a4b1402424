import type { Command } from 'commander';
import { WrongUsage, type Cli, type CommonOptions } from './cli.js';
import { ServerClient } from './server-client.js';

/** Where a command finds its ledger. */
export interface TargetOptions extends CommonOptions {
  readonly url?: string;
  readonly token?: string;
  readonly data?: string;
}

const DATA = ['--data <folder>', 'data folder to work on directly (default: RUNLEDGER_DATA_DIR, else ./data)'] as const;

/** Gives a command the options that say which ledger it works on. */
export function withTarget(declared: Command): Command {
  return declared
    .option('--url <url>', 'work through the running server at this address (default: RUNLEDGER_URL)')
    .option('--token <token>', 'token for that server (better: RUNLEDGER_TOKEN, which other users do not see)')
    .option(...DATA);
}

/** The same for a command that works on what is stored, and never through a server. */
export function withData(declared: Command): Command {
  return declared.option(...DATA);
}

/**
 * The server that the user named; undefined when the command is to work on the data folder.
 *
 * @throws WrongUsage when both are named, or the URL is none.
 */
export function serverOf({ env }: Cli, { url, token, data }: TargetOptions): ServerClient | undefined {
  if (url !== undefined && data !== undefined)
    throw new WrongUsage('Either --url or --data: a command works on one ledger');
  const address = url ?? (data === undefined ? env['RUNLEDGER_URL'] : undefined);
  if (address === undefined || address === '') return undefined;
  if (!/^https?:\/\/./.test(address) || !URL.canParse(address))
    throw new WrongUsage('--url is an address like http://127.0.0.1:3000');
  const secret = token ?? env['RUNLEDGER_TOKEN'];
  return new ServerClient(address, secret === '' ? undefined : secret);
}

/** The environment with the data folder that the user named: what the service's settings are read from. */
export function environmentOf({ env }: Cli, { data }: TargetOptions): NodeJS.ProcessEnv {
  return data === undefined ? env : { ...env, RUNLEDGER_DATA_DIR: data };
}
