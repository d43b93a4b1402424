import { Ended, exitCodes, explain, type ExitCode, type Surroundings } from './cli.js';
import { screenOn } from './screen.js';

/**
 * Carries out a command line.
 *
 * @param args What stands after the name of the program.
 * @returns the exit code; undefined while the service runs on.
 */
export async function main(args: readonly string[]): Promise<ExitCode | undefined> {
  if (args.length === 0 || (args.length === 1 && args[0] === 'serve')) {
    // The usual start waits for no command tree.
    const { serve } = await import('../main.js');
    await serve();
    return undefined;
  }
  const stop = new AbortController();
  const interrupted = (): void => stop.abort();
  if (args[0] !== 'serve') {
    process.once('SIGINT', interrupted);
    process.once('SIGTERM', interrupted);
  }
  // Whoever reads only the beginning (`| head`) has seen enough.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    stop.abort();
  });
  return run(args, { env: process.env, screen: screenOn(process.stdout, process.stderr), signal: stop.signal });
}

/** `main` in given surroundings. */
export async function run(args: readonly string[], around: Surroundings): Promise<ExitCode> {
  const [{ CommanderError }, { createProgram }, { groups }] = await Promise.all([
    import('commander'),
    import('./program.js'),
    import('./groups.js'),
  ]);
  const json = args.includes('--json');
  try {
    const named = args.find((word) => !word.startsWith('-') && word !== 'help');
    const program = await createProgram(around, groups, named ?? '');
    await program.parseAsync(args, { from: 'user' });
    return exitCodes.fine;
  } catch (error) {
    around.screen.status();
    if (error instanceof Ended) return error.code;
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.fine : exitCodes.usage;
    const { message, code } = explain(error);
    around.screen.note(json ? JSON.stringify({ error: message }) : message);
    return code;
  }
}
