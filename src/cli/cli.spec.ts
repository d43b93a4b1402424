import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { Command } from 'commander';
import { runCommand } from '../../test/support/cli.js';
import { groups } from './groups.js';
import { createProgram } from './program.js';
import { Progress } from './progress.js';
import { printable, screenOn, table, type Screen } from './screen.js';
import { ServerClient } from './server-client.js';

const silent: Screen = {
  line: () => undefined,
  note: () => undefined,
  status: () => undefined,
  watched: false,
  now: () => 0,
};
const wholeTree = (): Promise<Command> =>
  createProgram({ env: {}, screen: silent, signal: new AbortController().signal }, groups);

/** Commands that do something, by their full name. */
function leaves(command: Command, path: readonly string[] = []): { name: string; leaf: Command }[] {
  if (command.commands.length === 0) return [{ name: path.join(' '), leaf: command }];
  return command.commands.flatMap((each) => leaves(each, [...path, each.name()]));
}

describe('every command', () => {
  it('takes --json, has a description, and shows an example below its help', async () => {
    const program = await wholeTree();
    for (const { name, leaf } of leaves(program)) {
      const { code, stdout } = await runCommand([...name.split(' '), '--help']);
      expect({ name, code, described: leaf.description() !== '' }).toEqual({ name, code: 0, described: true });
      expect({ name, help: stdout }).toEqual({ name, help: expect.stringMatching(/--json[^]*Examples:\n {2}\$ /) });
    }
  });

  it('is named in the help of the whole, whichever group is loaded', async () => {
    const { code, stdout } = await runCommand(['--help']);
    expect(code).toBe(0);
    for (const { name } of groups) expect(stdout).toMatch(new RegExp(`^ {2}${name} +`, 'm'));
    for (const { summary } of groups) expect(stdout.replace(/\s+/g, ' ')).toContain(summary);
  });
});

describe('wrong usage', () => {
  it.each([
    ['an unknown command', ['serv'], /unknown command 'serv'[^]*Did you mean serve\?[^]*--help/],
    ['an unknown option', ['completion', 'bash', '--jsn'], /unknown option '--jsn'/],
    ['an argument that is none of its choices', ['completion', 'nosh'], /bash, zsh, fish/],
    ['a missing argument', ['completion'], /missing required argument 'shell'/],
    ['too many arguments', ['serve', 'now'], /too many arguments/],
  ])('%s ends with 2 and says what is meant', async (_what, args, said) => {
    const { code, stdout, stderr } = await runCommand(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(said);
  });
});

describe('completion', () => {
  /** What the script for bash offers after these words. */
  async function offered(...words: string[]): Promise<string[]> {
    const { stdout: script } = await runCommand(['completion', 'bash']);
    const line = ['runledger', ...words].map((word) => `'${word}'`).join(' ');
    const asked = `${script}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length}; _runledger; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-c', asked], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout.split('\n').filter((word) => word !== '');
  }

  it('offers the groups at first, and those that begin as what was typed', async () => {
    expect(await offered('')).toEqual(expect.arrayContaining(groups.map(({ name }) => name)));
    expect(await offered('comp')).toEqual(['completion']);
  });

  it('offers what may follow a command', async () => {
    expect(await offered('completion', '')).toEqual(['bash', 'zsh', 'fish', '--json', '--help']);
    expect(await offered('completion', 'z')).toEqual(['zsh']);
  });

  it.each(['zsh', 'fish'])('names every command to %s', async (shell) => {
    const { code, stdout } = await runCommand(['completion', shell]);
    expect(code).toBe(0);
    for (const { name } of leaves(await wholeTree())) expect(stdout).toContain(`'${name}'`);
  });

  it('is JSON when a program asks', async () => {
    const outcome = await runCommand(['completion', 'bash', '--json']);
    expect(outcome.json()).toEqual({ shell: 'bash', script: expect.stringContaining('complete -o default') });
  });
});

describe('progress', () => {
  /** What was shown of a task of 100 that makes a tenth of it every `stepMs`. */
  function shown(watched: boolean, stepMs: number): string[] {
    let now = 0;
    const texts: string[] = [];
    const add = (text?: string): void => void texts.push(text ?? '');
    const progress = new Progress({ ...silent, watched, now: () => now, status: add, note: add }, 'working', 100);
    for (let done = 10; done <= 100; done += 10) {
      now += stepMs;
      progress.at(done);
    }
    return texts;
  }

  it('shows nothing of what takes less than a second', () => {
    expect([...shown(true, 99), ...shown(false, 99)]).toEqual([]);
  });

  it('is a bar that moves, where somebody looks', () => {
    expect(shown(true, 500)).toHaveLength(9);
    expect(shown(true, 500).at(3)).toBe('working: [============            ] 50 %, 50 of 100, 20/s, 3 s left');
  });

  it('is a line every few seconds, where nobody does', () => {
    expect(shown(false, 1_000)).toEqual([
      'working: 50 %, 50 of 100, 10/s, 5 s left',
      'working: 100 %, 100 of 100, 10/s, 0 s left',
    ]);
  });
});

describe('the screen', () => {
  const on = (isTTY: boolean): { screen: Screen; stdout: string[]; stderr: string[] } => {
    const stdout: string[] = [];
    const stderr: string[] = [];
    const output = (texts: string[]) => ({ isTTY, columns: 40, write: (text: string) => texts.push(text) });
    return { screen: screenOn(output(stdout), output(stderr)), stdout, stderr };
  };

  it('takes the status line away before anything else is written', () => {
    const { screen, stdout, stderr } = on(true);
    screen.status('half');
    screen.line('answer');
    expect([stdout, stderr]).toEqual([['answer\n'], ['half', '\r\u001b[K']]);
  });

  it('has no status line where nobody looks', () => {
    const { screen, stdout, stderr } = on(false);
    screen.status('half');
    expect([stdout, stderr]).toEqual([[], []]);
  });

  it('shows tables in columns, and texts from outside without what a terminal would obey', () => {
    expect(table(['a', 'long'], [['xyz', '1']])).toEqual(['a    long', 'xyz  1']);
    expect(printable('red \u001b[31m\nü')).toBe('red \\u001b[31m\\u000aü');
  });
});

describe('a server that cannot be asked', () => {
  it('is named, with what to look at', async () => {
    const nobody = new ServerClient('http://127.0.0.1:9/', undefined);
    await expect(nobody.get('/ledger/runs')).rejects.toThrow(
      /^http:\/\/127\.0\.0\.1:9 does not answer .*running there/,
    );
  });
});
