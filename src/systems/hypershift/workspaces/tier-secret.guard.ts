import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { createHash, timingSafeEqual } from 'node:crypto';
import { Refused } from '../../../kernel/errors.js';
import { HypershiftOptions } from '../hypershift.options.js';

/** HyperShift API, "Update workspace tier": asks for `X-Webhook-Secret` where the operator has set one. */
@Injectable()
export class TierSecretGuard implements CanActivate {
  constructor(private readonly options: HypershiftOptions) {}

  canActivate(context: ExecutionContext): boolean {
    const { tierUpdateSecret } = this.options.settings;
    if (tierUpdateSecret === undefined) return true;
    const given = context.switchToHttp().getRequest<FastifyRequest>().headers['x-webhook-secret'];
    if (typeof given === 'string' && timingSafeEqual(digest(given), digest(tierUpdateSecret))) return true;
    throw new Refused('unauthorized', 'Missing or invalid X-Webhook-Secret');
  }
}

/** Digests are of one length, whatever was sent. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
