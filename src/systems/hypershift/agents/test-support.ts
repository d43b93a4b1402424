import { mkdtemp, rm } from 'node:fs/promises';
import { type RequestListener, type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StepContext } from './step-agent.js';

/** A context with a signal that never fires. */
export function context(changes: Partial<StepContext> = {}): StepContext {
  return { runId: 'req-abc-12345678', codename: null, signal: new AbortController().signal, ...changes };
}

/** Credentials that look real, put together so that no scanner stumbles over this repository. */
export const fakes = {
  payment: ['sk', 'live', 'Abcd1234'.repeat(3)].join('_'),
  paymentTest: ['sk', 'test', 'Z'.repeat(16)].join('_'),
  aws: `AKIA${'Q7'.repeat(8)}`,
  github: `ghp_${'a1B2'.repeat(9)}`,
  githubPat: `github_pat_${'a1_B'.repeat(9)}`,
  privateKey: ['-----BEGIN RSA', 'PRIVATE KEY-----\nMIIEabc/+=\nsecretbody\n-----END RSA', 'PRIVATE KEY-----'].join(
    ' ',
  ),
  assignment: `api${'_key'} = "${'hunter2'.repeat(2)}"`,
} as const;

/** Gives `use` an empty folder, and removes it afterwards. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'agents-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Gives `use` the URL (without a trailing `/`) of a local server, and stops it afterwards. */
export async function withServer<T>(listener: RequestListener, use: (url: string) => Promise<T>): Promise<T> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}
