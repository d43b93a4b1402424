import { runCommand, type CommandOutcome } from './cli.js';
import { until } from './until.js';

/** `runledger webhooks listen`, carried out in this process on a free port until it is stopped. */
export class Listener {
  /** What it has printed. */
  readonly lines: string[] = [];
  readonly notes: string[] = [];
  private readonly breakOff = new AbortController();
  readonly outcome: Promise<CommandOutcome>;

  private constructor(args: readonly string[], env: NodeJS.ProcessEnv) {
    this.outcome = runCommand(['webhooks', 'listen', ...args], env, {
      signal: this.breakOff.signal,
      line: (text) => void this.lines.push(text),
      note: (text) => void this.notes.push(text),
    });
  }

  static async start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Listener> {
    const listener = new Listener(args, env);
    let over = false;
    void listener.outcome.finally(() => (over = true));
    await until('the listener listens, or has ended', () => listener.url !== '' || over);
    return listener;
  }

  get url(): string {
    return /^Listening on (\S+)$/m.exec(this.notes.join('\n'))?.[1] ?? '';
  }

  /** Each line of what `--json` prints. */
  printed<Taken>(): Taken[] {
    return this.lines.map((line) => JSON.parse(line) as Taken);
  }

  async post(body: string | Buffer, headers: Readonly<Record<string, string>>): Promise<number> {
    const answer = await fetch(this.url, { method: 'POST', headers, body: new Uint8Array(Buffer.from(body)) });
    await answer.body?.cancel();
    return answer.status;
  }

  /** As the user does by Ctrl-C. */
  async stop(): Promise<CommandOutcome> {
    this.breakOff.abort();
    return this.outcome;
  }
}
