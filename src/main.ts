import { createApp, type App, type AppOverrides } from './app.js';
import { InvalidSettings, Unavailable } from './kernel/errors.js';

/** With what runs, the stop takes at most this long; then the process ends, and the log knows where to go on. */
const STOP_LIMIT_MS = 10_000;

/**
 * `runledger serve`: starts the service and stops it on SIGTERM or SIGINT.
 *
 * @param overrides For tests that run the service as a process of its own.
 * @param env What its settings are read from.
 */
export async function serve(overrides: AppOverrides = {}, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  let app: App;
  try {
    app = await createApp(env, overrides);
    await app.listen();
  } catch (error) {
    if (!(error instanceof InvalidSettings) && !(error instanceof Unavailable)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(error instanceof InvalidSettings ? 2 : 1);
  }
  const stop = (signal: string): void => {
    app.kernel.logger.info({ signal }, 'stopping');
    setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref();
    app.close().then(
      () => process.exit(0),
      (error: unknown) => {
        app.kernel.logger.error({ err: error }, 'the stop failed');
        process.exit(1);
      },
    );
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}
