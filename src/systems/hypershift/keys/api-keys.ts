import { Injectable } from '@nestjs/common';
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { Kernel } from '../../../kernel/kernel.js';
import { currentContext } from '../../../kernel/request-context.js';
import { apiKeyStream } from '../hypershift.streams.js';
import { apiKeyDecider } from './api-key.decider.js';

/** `hs_<8 hex>_<24 hex>`: the first part names the key, the second proves it. */
const KEY = /^hs_([0-9a-f]{8})_[0-9a-f]{24}$/;
const KEY_ID = /^key_([0-9a-f]{8})$/;

export interface NewApiKey {
  readonly id: string;
  readonly name: string;
  /** Shown once, and kept nowhere. */
  readonly key: string;
  readonly prefix: string;
  readonly createdAt: string;
}

/** Makes, checks and revokes API keys. */
@Injectable()
export class ApiKeys {
  private readonly seed: Buffer;

  constructor(private readonly kernel: Kernel) {
    this.seed = kernel.signingKey.derive('hypershift api keys');
  }

  async create(tenant: string, name: string): Promise<NewApiKey> {
    const secret = this.secret();
    const prefix = secret.slice(0, 8);
    const key = `hs_${prefix}_${secret.slice(8, 32)}`;
    const command = { type: 'create', tenant, keyId: `key_${prefix}`, prefix, hash: sha256(key), name } as const;
    const { state } = await this.kernel.streams.transact(apiKeyDecider, apiKeyStream(prefix), command);
    if (state.status === 'absent') throw new Error('The key was created and is absent');
    return { id: state.keyId, name, key, prefix, createdAt: state.createdAt };
  }

  /** @throws Refused `not_found` when the workspace has no such active key. */
  async revoke(tenant: string, keyId: string): Promise<void> {
    const prefix = KEY_ID.exec(keyId)?.[1] ?? '00000000';
    await this.kernel.streams.transact(apiKeyDecider, apiKeyStream(prefix), { type: 'revoke', tenant });
  }

  /** The workspace that an active key selects; undefined for any other text. */
  async workspaceOf(key: string): Promise<string | undefined> {
    const prefix = KEY.exec(key)?.[1];
    if (prefix === undefined) return undefined;
    const state = await this.kernel.streams.read(apiKeyDecider, apiKeyStream(prefix));
    if (state.status !== 'active') return undefined;
    return timingSafeEqual(Buffer.from(sha256(key)), Buffer.from(state.hash)) ? state.tenant : undefined;
  }

  /** Random, or for a request that is repeated after a crash the same again, known to nobody without our key. */
  private secret(): string {
    const { commandId } = currentContext();
    if (commandId === undefined) return randomBytes(16).toString('hex');
    return createHmac('sha256', this.seed).update(commandId).digest('hex').slice(0, 32);
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
