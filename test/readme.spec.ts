import { describe, expect, it } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { groups } from '../src/cli/groups.js';
import { createProgram } from '../src/cli/program.js';
import { screenOn } from '../src/cli/screen.js';
import { errorCodes } from '../src/kernel/errors.js';

const readme = await readFile(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8');

/** What stands under a heading, up to the next one of its kind. */
function section(heading: string): string {
  const [, rest] = readme.split(`\n## ${heading}\n`);
  if (rest === undefined) throw new Error(`README.md has no section ${heading}`);
  return rest.split('\n## ')[0] ?? '';
}

/** The rows of its table that begin with something in backticks, by that. */
function rowsOf(text: string): Map<string, string> {
  const rows = [...text.matchAll(/^\| *`([^`]+)` *\| *(.*?) *\|$/gm)];
  return new Map(rows.map(([, name = '', rest = '']) => [name, rest]));
}

describe('the README', () => {
  it('lists every stable error code, and no other', () => {
    expect([...rowsOf(section('Errors')).keys()].sort()).toEqual(Object.keys(errorCodes).sort());
  });

  it('says of each what the code says', () => {
    for (const [code, advice] of rowsOf(section('Errors'))) {
      expect({ code, advice: advice.replaceAll('`', '') }).toEqual({ code, advice: errorCodes[code] });
    }
  });

  it('lists every command, and no other', async () => {
    const surroundings = { env: {}, screen: screenOn(process.stdout, process.stderr), signal: AbortSignal.abort() };
    const program = await createProgram(surroundings, groups);
    expect([...rowsOf(section('The command line')).keys()].sort()).toEqual(namesBelow(program).sort());
  });
});

/** The full names of the commands that do something. */
function namesBelow(command: Command, before = ''): string[] {
  const name = `${before}${command.name()}`;
  return command.commands.length === 0 ? [name] : command.commands.flatMap((each) => namesBelow(each, `${name} `));
}
