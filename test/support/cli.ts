import { run } from '../../src/cli/main.js';
import type { Surroundings } from '../../src/cli/cli.js';

export interface CommandOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Of what a command printed with `--json`. */
  json<Answer>(): Answer;
}

/** Carries out a command line in this process, without a terminal. */
export async function runCommand(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  surroundings: Partial<Surroundings['screen']> & { signal?: AbortSignal } = {},
): Promise<CommandOutcome> {
  const out: string[] = [];
  const notes: string[] = [];
  const { signal = new AbortController().signal, ...screen } = surroundings;
  const code = await run(args, {
    env,
    signal,
    screen: {
      line: (text) => void out.push(text),
      note: (text) => void notes.push(text),
      status: () => undefined,
      watched: false,
      now: () => 0,
      ...screen,
    },
  });
  const stdout = out.join('\n');
  return { code, stdout, stderr: notes.join('\n'), json: <Answer>() => JSON.parse(stdout) as Answer };
}
