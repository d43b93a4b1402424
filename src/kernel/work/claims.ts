import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto';
import { Refused } from '../errors.js';
import type { Lease } from '../ports/work-queue.js';

/** What a worker from outside holds: a lease of the queue, and the attempt that the log knows. */
export interface Claim {
  readonly lease: Lease;
  readonly attempt: number;
  /** Wall time in ms. */
  readonly claimedAt: number;
}

/**
 * Claims as texts that workers carry and send back, signed: any process of the service can take a report, and none has to
 * remember who holds what.
 */
export class Claims {
  /** Made once: of a plain key one is made for every signature, which takes five times as long as the signature. */
  private readonly key: KeyObject;

  constructor(key: Buffer) {
    this.key = createSecretKey(key);
  }

  write(claim: Claim): string {
    const text = Buffer.from(JSON.stringify(claim)).toString('base64url');
    return `${text}.${this.sign(text).toString('base64url')}`;
  }

  /** @throws Refused `invalid` for a text that is none of ours. */
  read(claim: string): Claim {
    const dot = claim.indexOf('.');
    const text = claim.slice(0, Math.max(0, dot));
    const given = Buffer.from(claim.slice(dot + 1), 'base64url');
    const wanted = this.sign(text);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted))
      throw new Refused('invalid', 'claim: send it as it was given');
    return JSON.parse(Buffer.from(text, 'base64url').toString()) as Claim;
  }

  private sign(text: string): Buffer {
    return createHmac('sha256', this.key).update(text).digest();
  }
}
