import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findToken, parseTokens } from './access-tokens.js';
import { InvalidSettings } from './errors.js';

const SECRET = 'hunter2-hunter2';
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const ops = { name: 'ops', token: SECRET, scopes: ['read', 'operate'] };

/** The one line with which the start ends. */
function refusal(value: string): string {
  try {
    parseTokens(value);
  } catch (error) {
    if (error instanceof InvalidSettings) return error.message;
    throw error;
  }
  throw new Error('The tokens were taken');
}

describe('the tokens of RUNLEDGER_TOKENS', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runledger-tokens-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('are none when nothing is set', () => {
    expect(parseTokens(undefined)).toEqual([]);
  });

  it('keep the hash of their secret, and nothing else of it', () => {
    const [token, hashed] = parseTokens(
      JSON.stringify([
        { ...ops, tenants: ['acme'] },
        { name: 'ci', sha256: sha256('other').toUpperCase(), scopes: ['work'] },
      ]),
    );
    expect(token).toEqual({
      name: 'ops',
      sha256: Buffer.from(sha256(SECRET), 'hex'),
      scopes: new Set(['read', 'operate']),
      tenants: new Set(['acme']),
    });
    expect(hashed).toEqual({
      name: 'ci',
      sha256: Buffer.from(sha256('other'), 'hex'),
      scopes: new Set(['work']),
      tenants: null,
    });
  });

  it('are found by their secret, and by nothing near it', () => {
    const tokens = parseTokens(JSON.stringify([ops, { name: 'ci', sha256: sha256('other'), scopes: ['work'] }]));
    expect(findToken(tokens, SECRET)?.name).toBe('ops');
    expect(findToken(tokens, 'other')?.name).toBe('ci');
    for (const wrong of ['', SECRET.slice(1), `${SECRET} `, SECRET.toUpperCase(), sha256('other')]) {
      expect(findToken(tokens, wrong)).toBeUndefined();
    }
  });

  it('may lie in a file', async () => {
    const file = join(folder, 'tokens.json');
    await writeFile(file, `\n ${JSON.stringify([ops])}\n`);
    expect(parseTokens(file).map(({ name }) => name)).toEqual(['ops']);
  });

  it.each([
    ['what is no JSON', `[{"token": ${SECRET}}]`, 'not a JSON array: it cannot be parsed'],
    ['the secret itself', SECRET, 'neither a JSON array nor the path of a file that can be read (ENOENT)'],
    ['no token', '[]', 'an array without tokens; unset it for access from this machine alone'],
  ])('that are %s stop the start', (_, value, message) => {
    expect(refusal(value)).toBe(`Setting RUNLEDGER_TOKENS: ${message}`);
  });

  it('in a file that holds no array stop the start', async () => {
    const file = join(folder, 'object.json');
    await writeFile(file, JSON.stringify(ops));
    expect(refusal(file)).toMatch(/^Setting RUNLEDGER_TOKENS: not a JSON array of objects of name/);
  });

  it.each([
    ['is no object', SECRET, /^entry 2: an object of name/],
    ['has a field too many', { ...ops, [SECRET]: SECRET }, /^entry 2: an object of name/],
    ['has no name', { ...ops, name: undefined }, /^entry 2, name: /],
    ['has a name with a line break', { ...ops, name: `a\n${SECRET}` }, /^entry 2, name: /],
    ['has the name of another', { ...ops, name: 'first' }, /^entry 2, name: that of another entry/],
    ['has no secret', { ...ops, token: undefined }, /^entry 2, token: either it or sha256/],
    ['has two secrets', { ...ops, sha256: sha256(SECRET) }, /^entry 2, token: either it or sha256/],
    ['has a secret with a blank', { ...ops, token: `${SECRET} ${SECRET}` }, /^entry 2, token: /],
    ['has the secret of another', { ...ops, token: 'first-secret' }, /^entry 2, token: that of another/],
    ['has half a hash', { ...ops, token: undefined, sha256: sha256(SECRET).slice(1) }, /^entry 2, sha256: of 64/],
    ['may do nothing', { ...ops, scopes: [] }, /^entry 2, scopes: at least one/],
    ['may do what there is not', { ...ops, scopes: ['read', SECRET] }, /^entry 2, scopes: each one of read, operate/],
    ['sees no tenant', { ...ops, tenants: [] }, /^entry 2, tenants: leave it out for all/],
    ['sees a tenant without a name', { ...ops, tenants: [''] }, /^entry 2, tenants: /],
  ])('one of which %s stop the start with one line that quotes nothing', (_, second, message) => {
    const line = refusal(JSON.stringify([{ name: 'first', token: 'first-secret', scopes: ['read'] }, second]));
    expect(line).toMatch(/^Setting RUNLEDGER_TOKENS: /);
    expect(line.slice('Setting RUNLEDGER_TOKENS: '.length)).toMatch(message);
    expect(line).not.toMatch(/hunter2|first-secret|\n/);
  });
});
