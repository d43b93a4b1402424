import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onStack, openStack, type Stack } from './stack.js';
import { createApp, type App, type AppOverrides } from '../../src/app.js';

export interface TestApp {
  readonly app: App;
  /** `http://127.0.0.1:<port>` */
  readonly origin: string;
  readonly dataDir: string;
  /** Environment of a command line that works on what the service stores. */
  readonly stores: Readonly<Record<string, string>>;
  /** Stops the service and starts it again on the same data. @returns the new one. */
  restart(env?: NodeJS.ProcessEnv): Promise<TestApp>;
  /** Stops the service and removes its data. */
  close(): Promise<void>;
}

/** Starts the whole service in this process, on a free port and a folder of its own. */
export async function startApp(env: NodeJS.ProcessEnv = {}, overrides: AppOverrides = {}): Promise<TestApp> {
  const dataDir = await mkdtemp(join(tmpdir(), 'runledger-app-'));
  const stack = onStack ? await openStack() : undefined;
  return startOn(dataDir, env, overrides, stack);
}

async function startOn(
  dataDir: string,
  env: NodeJS.ProcessEnv,
  overrides: AppOverrides,
  stack: Stack | undefined,
): Promise<TestApp> {
  const app = await createApp(
    { PORT: '0', RUNLEDGER_LOG_LEVEL: 'silent', RUNLEDGER_DATA_DIR: dataDir, ...stack?.env, ...env },
    overrides,
  );
  const origin = await app.listen();
  return {
    app,
    origin,
    dataDir,
    stores: { RUNLEDGER_DATA_DIR: dataDir, ...stack?.env },
    async restart(changed = env) {
      await app.close();
      return startOn(dataDir, changed, overrides, stack);
    },
    async close() {
      await app.close();
      await stack?.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
