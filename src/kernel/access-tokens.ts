import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { InvalidSettings } from './errors.js';

/** What a token may be used for: to look, to change what runs, to take work. None of them brings another along. */
export const accessScopes = ['read', 'operate', 'work'] as const;
export type AccessScope = (typeof accessScopes)[number];

/** A token as it is kept: of the secret itself there is only the hash. */
export interface AccessToken {
  readonly name: string;
  readonly sha256: Buffer;
  readonly scopes: ReadonlySet<AccessScope>;
  /** Null for all tenants. */
  readonly tenants: ReadonlySet<string> | null;
}

const SETTING = 'Setting RUNLEDGER_TOKENS';
const FIELDS = 'name, token or sha256, scopes and tenants';

/** Messages of our own: the library's would quote what was given, and what was given may be the secret. */
const entry = z.strictObject(
  {
    name: z
      .string('a text')
      .max(128, 'of 128 characters at most')
      .regex(/^[\p{L}\p{N}][\p{L}\p{N} ._:@-]*$/u, 'begins with a letter or digit, and has no signs but . _ : @ -'),
    token: z
      .string('a text')
      .regex(/^[\x21-\x7e]+$/, 'of visible ASCII characters without blanks')
      .optional(),
    sha256: z
      .string('a text')
      .regex(/^[0-9a-f]{64}$/i, 'of 64 hexadecimal digits')
      .optional(),
    scopes: z
      .array(z.enum(accessScopes, `each one of ${accessScopes.join(', ')}`), 'an array')
      .min(1, 'at least one of them'),
    tenants: z
      .array(z.string('each a text').min(1, 'no tenant is empty'), 'an array')
      .min(1, 'leave it out for all tenants')
      .optional(),
  },
  `an object of ${FIELDS}, and nothing else`,
);

/**
 * Reads the value of `RUNLEDGER_TOKENS`.
 *
 * @param value A JSON array of tokens, or the path of a file that holds one.
 * @throws InvalidSettings with one line that says which entry to correct, and quotes nothing of what was given.
 */
export function parseTokens(value: string | undefined): readonly AccessToken[] {
  if (value === undefined) return [];
  const text = value.trimStart().startsWith('[') ? value : readTokenFile(value);
  const tokens = parseArray(text).map(parseEntry);
  for (const [index, token] of tokens.entries()) {
    const others = tokens.slice(0, index);
    if (others.some(({ name }) => name === token.name)) throw refused(index, 'name', 'that of another entry');
    if (others.some(({ sha256 }) => sha256.equals(token.sha256)))
      throw refused(index, 'token', 'that of another entry');
  }
  return tokens;
}

/**
 * The token that was presented. Compared by hash, with every token that there is: how long it takes says nothing of
 * how much of it was right, nor of whose it is.
 */
export function findToken(tokens: readonly AccessToken[], presented: string): AccessToken | undefined {
  const hash = sha256(presented);
  let found: AccessToken | undefined;
  for (const token of tokens) if (timingSafeEqual(hash, token.sha256)) found = token;
  return found;
}

function readTokenFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new InvalidSettings(`${SETTING}: neither a JSON array nor the path of a file that can be read (${code})`);
  }
}

function parseArray(text: string): readonly unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new InvalidSettings(`${SETTING}: not a JSON array: it cannot be parsed`);
  }
  if (!Array.isArray(value)) throw new InvalidSettings(`${SETTING}: not a JSON array of objects of ${FIELDS}`);
  if (value.length === 0) {
    throw new InvalidSettings(`${SETTING}: an array without tokens; unset it for access from this machine alone`);
  }
  return value;
}

function parseEntry(given: unknown, index: number): AccessToken {
  const parsed = entry.safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const [field] = issue?.path ?? [];
    throw refused(index, field === undefined ? undefined : String(field), issue?.message ?? 'invalid');
  }
  const { name, token, sha256: hash, scopes, tenants } = parsed.data;
  if ((token === undefined) === (hash === undefined))
    throw refused(index, 'token', 'either it or sha256, and not both');
  return {
    name,
    sha256: hash === undefined ? sha256(token ?? '') : Buffer.from(hash, 'hex'),
    scopes: new Set(scopes),
    tenants: tenants ? new Set(tenants) : null,
  };
}

function refused(index: number, field: string | undefined, message: string): InvalidSettings {
  return new InvalidSettings(`${SETTING}: entry ${index + 1}${field === undefined ? '' : `, ${field}`}: ${message}`);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
