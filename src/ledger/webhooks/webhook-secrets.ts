import { randomBytes } from 'node:crypto';
import type { SigningKey } from '../../kernel/audit/signing-key.js';
import { Refused } from '../../kernel/errors.js';
import { SecretBox } from '../../kernel/secret-box.js';
import type { Endpoint } from './endpoint.decider.js';

const PREFIX = 'whsec_';
const MADE_BYTES = 32;
/** As Standard Webhooks asks for. */
const MIN_BYTES = 24;
const MAX_BYTES = 64;

/** Makes, checks and seals the secrets that deliveries are signed with. */
export class WebhookSecrets {
  private readonly box: SecretBox;

  constructor(signingKey: SigningKey) {
    this.box = new SecretBox(signingKey.derive('webhook secrets'));
  }

  /**
   * A sealed secret for an endpoint.
   *
   * @param given `whsec_` and 24 to 64 bytes in base64; made here when it is left out.
   * @throws Refused `invalid`, which does not repeat what was given.
   */
  make(endpoint: string, given?: string): string {
    return this.box.seal(
      given === undefined ? PREFIX + randomBytes(MADE_BYTES).toString('base64') : checked(given),
      endpoint,
    );
  }

  /** @returns undefined when it was sealed with another signing key. */
  open(endpoint: string, sealed: string): string | undefined {
    return this.box.open(sealed, endpoint);
  }
}

/**
 * The secrets that sign at a time, newest first; undefined when the newest cannot be opened. A former one that was sealed
 * with another signing key is left out: the rotation that put an end to it is what heals that.
 */
export function secretsOf(endpoint: Endpoint, secrets: WebhookSecrets, nowMs: number): string[] | undefined {
  const now = new Date(nowMs).toISOString();
  const current = endpoint.secrets.filter(({ until }) => until === null || until > now);
  const opened = current.map(({ sealed }) => secrets.open(endpoint.id, sealed));
  return opened[0] === undefined ? undefined : opened.filter((secret) => secret !== undefined);
}

function checked(given: string): string {
  const encoded = given.startsWith(PREFIX) ? given.slice(PREFIX.length) : '';
  const bytes = Buffer.from(encoded, 'base64');
  // Decoding is lenient: only what comes out the same is base64.
  if (bytes.length >= MIN_BYTES && bytes.length <= MAX_BYTES && bytes.toString('base64') === encoded) return given;
  throw new Refused('invalid', `secret: ${PREFIX} and ${MIN_BYTES} to ${MAX_BYTES} bytes in base64`);
}
