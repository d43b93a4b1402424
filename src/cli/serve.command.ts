import type { Command } from 'commander';
import { command, type Cli } from './cli.js';

export function register(program: Command, _cli: Cli): void {
  command(
    program.command('serve').description('Start the service. Settings come from the environment: see the README.'),
    [
      ['runledger serve', 'listen on 127.0.0.1:3000, with everything in ./data'],
      ['PORT=0 RUNLEDGER_DATA_DIR=/var/lib/runledger runledger serve', 'a free port, another folder'],
    ],
    async () => {
      const { serve } = await import('../main.js');
      await serve();
    },
  );
}
