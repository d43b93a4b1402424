import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidSettings } from '../errors.js';
import { loadSigningKey } from './signing-key.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runledger-key-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function verifies(publicKey: string, text: string, signature: string): boolean {
  const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
  return verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64'));
}

describe('the signing key', () => {
  it('is made at the first start, in a folder that may not be there yet, and stays', async () => {
    const data = join(folder, 'deep', 'data');
    const first = loadSigningKey(data);
    expect(loadSigningKey(data).publicKey).toBe(first.publicKey);
    expect(await readdir(data)).toEqual(['signing-key.pem']);
  });

  it('can be read by its owner alone', async () => {
    loadSigningKey(folder);
    expect((await stat(join(folder, 'signing-key.pem'))).mode & 0o777).toBe(0o600);
  });

  it('signs so that a stranger can verify with the public half', () => {
    const key = loadSigningKey(folder);
    const signature = key.sign('what was said');
    expect(verifies(key.publicKey, 'what was said', signature)).toBe(true);
    expect(verifies(key.publicKey, 'what was sayd', signature)).toBe(false);
  });

  it.each(['pem', 'base64'])('may come from a setting as %s, and then no file is made', async (form) => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const setting =
      form === 'pem'
        ? privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
        : privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
    const key = loadSigningKey(folder, setting);
    expect(key.publicKey).toBe(publicKey.export({ type: 'spki', format: 'der' }).toString('base64'));
    expect(await readdir(folder)).toEqual([]);
  });

  it('derives keys for other purposes: always the same, and one for each', () => {
    const key = loadSigningKey(folder);
    expect(key.derive('a')).toHaveLength(32);
    expect(key.derive('a')).toEqual(loadSigningKey(folder).derive('a'));
    expect(key.derive('a')).not.toEqual(key.derive('b'));
  });

  it.each([
    ['no key', 'hunter2 is no key'],
    [
      'a key of another kind',
      generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ],
    ['a public key', generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }).toString()],
    ['a broken key', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----'],
  ])('that is %s stops the start with one line that does not quote it', (_name, setting) => {
    const message = 'RUNLEDGER_SIGNING_KEY holds no Ed25519 private key (PKCS #8, PEM or base64)';
    expect(() => loadSigningKey(folder, setting)).toThrow(new InvalidSettings(message));
  });

  it('that cannot be read from its file is never replaced by another', async () => {
    const path = join(folder, 'signing-key.pem');
    await writeFile(path, 'damaged');
    expect(() => loadSigningKey(folder)).toThrow(InvalidSettings);
    expect(await readFile(path, 'utf8')).toBe('damaged');
  });

  it('is made anew after a crash in the middle of making it', async () => {
    await writeFile(join(folder, 'signing-key.pem.new'), '-----BEGIN PRIV');
    const key = loadSigningKey(folder);
    expect(loadSigningKey(folder).publicKey).toBe(key.publicKey);
  });
});
