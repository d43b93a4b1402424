import type { Command } from 'commander';
import { command, WrongUsage, type Cli } from './cli.js';

/** What a worker of its own shares with the rest of the service. */
const SHARED = ['EVENTSTORE_URL', 'MONGODB_URL', 'NATS_URL'] as const;

export function register(program: Command, { env, signal }: Cli): void {
  command(
    program
      .command('worker')
      .description(
        'Do work, and nothing else, in a process of its own. It has the settings of the service, and shares its servers; ' +
          'it listens for /livez, /readyz and /metrics alone, at PORT or a free port.',
      ),
    [['EVENTSTORE_URL=… MONGODB_URL=… NATS_URL=… runledger worker', 'beside a service with the same servers']],
    async () => {
      const missing = SHARED.filter((name) => (env[name] ?? '') === '');
      if (missing.length > 0) {
        throw new WrongUsage(
          `A worker of its own shares the servers of the service: set ${missing.join(', ')}. ` +
            'With the embedded store one process has the data folder, and does the work itself: runledger serve',
        );
      }
      const { serve } = await import('../main.js');
      await serve({}, { ...env, PORT: env['PORT'] ?? '0', RUNLEDGER_ROLES: 'worker' });
      // The service stops by itself on the same signals; until then the command is not over.
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    },
  );
}
