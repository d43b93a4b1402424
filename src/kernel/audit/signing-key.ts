import { createPrivateKey, createPublicKey, generateKeyPairSync, hkdfSync, sign, type KeyObject } from 'node:crypto';
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidSettings } from '../errors.js';

/** The service's Ed25519 key: signs checkpoints, and other keys are derived from it. */
export class SigningKey {
  /** SPKI of the public half, DER in base64. */
  readonly publicKey: string;

  constructor(private readonly key: KeyObject) {
    this.publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64');
  }

  /** Ed25519 signature in base64. */
  sign(text: string): string {
    return sign(null, Buffer.from(text), this.key).toString('base64');
  }

  /** 32 bytes for another purpose, from which the key itself cannot be found. */
  derive(purpose: string): Buffer {
    const secret = this.key.export({ type: 'pkcs8', format: 'der' });
    return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `runledger ${purpose}`, 32));
  }
}

/**
 * Takes the key from a setting (PEM or base64 of PKCS #8), or from `<folder>/signing-key.pem`, which is made at the
 * first start and readable by its owner alone.
 *
 * @throws InvalidSettings when the setting or the file holds no Ed25519 private key.
 */
export function loadSigningKey(folder: string, setting?: string): SigningKey {
  if (setting !== undefined) return new SigningKey(parseKey(setting, 'RUNLEDGER_SIGNING_KEY'));
  const path = join(folder, 'signing-key.pem');
  try {
    return new SigningKey(parseKey(readFileSync(path, 'utf8'), path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  mkdirSync(folder, { recursive: true });
  const { privateKey } = generateKeyPairSync('ed25519');
  writeDurably(path, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
  return new SigningKey(privateKey);
}

function parseKey(text: string, where: string): KeyObject {
  try {
    const key = text.includes('-----BEGIN')
      ? createPrivateKey(text)
      : createPrivateKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'pkcs8' });
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // What the parser says may quote the key: only where it came from is told.
  }
  throw new InvalidSettings(`${where} holds no Ed25519 private key (PKCS #8, PEM or base64)`);
}

function writeDurably(path: string, content: string): void {
  const draft = `${path}.new`;
  const file = openSync(draft, 'w', 0o600);
  writeSync(file, content);
  fsyncSync(file);
  closeSync(file);
  chmodSync(draft, 0o600);
  renameSync(draft, path);
}
