import { Failed, type Cli } from './cli.js';
import { ServerClient } from './server-client.js';
import { serverOf, type TargetOptions } from './target.js';

const USUAL = 'http://127.0.0.1:3000';

/** The server that the user named, or else the one that listens where one usually does. */
export function serverOrUsual(cli: Cli, options: TargetOptions): ServerClient {
  const named = serverOf(cli, options);
  if (named) return named;
  if (options.data !== undefined)
    throw new Failed('This works through a running server alone: start it, and name it with --url');
  const server = serverOf(cli, { ...options, url: USUAL });
  if (!server) throw new Error(`${USUAL} is an address`);
  return server;
}
