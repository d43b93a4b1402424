import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startApp, type TestApp } from './support/app.js';
import { record } from './support/recorded-log.js';
import { TcpProxy } from './support/tcp-proxy.js';
import { until } from './support/until.js';

const EXAMPLES = fileURLToPath(new URL('../examples', import.meta.url));
const tokens = [{ name: 'subscriber', token: 'a-token', scopes: ['read'], tenants: ['acme'] }];

/** An example as a process, with the lines that it prints. */
class Example {
  readonly lines: string[] = [];
  errors = '';
  private readonly exited: Promise<unknown>;

  constructor(
    command: readonly string[],
    token: string,
    private readonly child: ChildProcess = spawn(command[0] ?? '', command.slice(1), {
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], RUNLEDGER_TOKEN: token },
    }),
  ) {
    let rest = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      this.lines.push(...lines);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.errors += text));
    this.exited = once(child, 'close');
  }

  get positions(): number[] {
    return this.lines.map((line) => (JSON.parse(line) as { position: number }).position);
  }

  async whenPrinted(count: number): Promise<void> {
    await until(`${count} lines; it said ${this.errors}`, () => this.lines.length >= count);
  }

  /** @returns the exit code. */
  async whenEnded(): Promise<number | null> {
    await this.exited;
    return this.child.exitCode;
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
  }
}

describe.each([
  ['subscriber.ts', [process.execPath, '--disable-warning=ExperimentalWarning', `${EXAMPLES}/subscriber.ts`]],
  ['subscriber.py', ['python3', `${EXAMPLES}/subscriber.py`]],
])('the example %s', (_, command) => {
  let service: TestApp;
  let proxy: TcpProxy;
  let folder: string;
  let running: Example[];
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runledger-example-'));
    service = await startApp({ RUNLEDGER_ROLES: 'api', RUNLEDGER_TOKENS: JSON.stringify(tokens) });
    proxy = await TcpProxy.open(Number(new URL(service.origin).port));
    running = [];
  });
  afterEach(async () => {
    await Promise.all(running.map((example) => example.kill()));
    await proxy.close();
    await service.close();
    await rm(folder, { recursive: true });
  });

  const run = (token = 'a-token', filters = 'type=thing.*'): Example => {
    const origin = `http://127.0.0.1:${proxy.port}`;
    const example = new Example([...command, origin, join(folder, 'state.json'), filters], token);
    running.push(example);
    return example;
  };

  it('prints every event once, in order, whatever breaks', async () => {
    const { log } = service.app.kernel.ports;
    const recorded = await record(log, [{}, { tenant: 'other' }, { data: { text: 'ü\n' } }, { type: 'other' }]);
    const wanted = [recorded[0], recorded[2]];
    const first = run();
    await first.whenPrinted(2);
    // Cut off, with more to come meanwhile and after.
    proxy.cut();
    wanted.push(...(await record(log, [{}, {}])));
    await first.whenPrinted(4);
    wanted.push(...(await record(log, [{}])));
    await first.whenPrinted(5);
    expect(first.positions).toEqual(wanted);
    expect(JSON.parse(first.lines[1] ?? '')).toMatchObject({ type: 'thing.happened', data: { text: 'ü\n' } });
    // Killed: another one goes on. What was printed and perhaps not written down may come again, once.
    await first.kill();
    wanted.push(...(await record(log, [{}, {}])));
    const second = run();
    await until('the last event', () => second.positions.at(-1) === wanted.at(-1));
    expect([...new Set([...first.positions, ...second.positions])]).toEqual(wanted);
    expect(second.lines.length).toBeLessThanOrEqual(3);
  });

  it('ends when it is refused', async () => {
    const example = run('no-token');
    expect(await example.whenEnded()).toBe(1);
    expect(example.errors).toContain('401 {"error":"The token is not known"}');
  });
});
