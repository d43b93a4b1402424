import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import type { RequestEvent } from '../../../contracts/runledger/ledger.events.js';
import type { Decider } from '../decider.js';
import { Refused, Unavailable } from '../errors.js';
import type { Clock } from '../ports/clock.js';
import type { Ids } from '../ports/ids.js';
import { inTime } from '../signal.js';
import type { Streams } from '../streams.js';

const KEPT_MS = 24 * 3_600_000;
/** How long a request waits for another with the same key. */
const MAX_WAIT_MS = 10_000;
const scope = { system: 'runledger', tenant: 'runledger' } as const;

/** What a request was answered with. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export type RequestState =
  | { readonly status: 'absent' }
  | {
      readonly status: 'accepted' | 'answered';
      readonly fingerprint: string;
      readonly commandId: string;
      readonly at: string;
      readonly answer: string | undefined;
    };

export type RequestCommand =
  | { readonly type: 'accept'; readonly fingerprint: string; readonly commandId: string }
  | { readonly type: 'answer'; readonly commandId: string; readonly answer: string };

/** One Idempotency-Key of one caller: what it was first used for, and how that was answered. */
export const requestDecider: Decider<RequestState, RequestCommand, RequestEvent> = {
  initial: { status: 'absent' },

  decide(command, state, at) {
    const current = state.status !== 'absent' && Date.parse(at) - Date.parse(state.at) < KEPT_MS ? state : undefined;
    switch (command.type) {
      case 'accept': {
        const { fingerprint, commandId } = command;
        if (!current) return [{ type: 'request.accepted', data: { ...scope, fingerprint, commandId } }];
        if (current.fingerprint === fingerprint) return [];
        throw new Refused('mismatch', 'Idempotency-Key was used for another request');
      }
      case 'answer':
        if (current?.status !== 'accepted' || current.commandId !== command.commandId) return [];
        return [{ type: 'request.answered', data: { ...scope, commandId: command.commandId, answer: command.answer } }];
    }
  },

  evolve(state, event, at) {
    switch (event.type) {
      case 'request.accepted': {
        const { fingerprint, commandId } = event.data;
        return { status: 'accepted', fingerprint, commandId, at, answer: undefined };
      }
      case 'request.answered':
        return state.status === 'absent' ? state : { ...state, status: 'answered', answer: event.data.answer };
    }
  },
};

/** A request that is carried out for the first time, or again because its answer was never recorded. */
export interface Claim {
  readonly stream: string;
  readonly commandId: string;
  readonly release: () => void;
}

/**
 * Gives the first answer again to a request that repeats its Idempotency-Key, for 24 hours and across restarts.
 *
 * A crash may come between a command and its recorded answer. The repeated request is then carried out again under the
 * same command id: streams that have accepted it do nothing, ids that follow from it are the same, and so is the answer.
 */
export class Idempotency {
  private readonly running = new Map<string, Promise<void>>();

  constructor(
    private readonly streams: Streams,
    private readonly ids: Ids,
    /** 32 bytes. Answers may hold secrets, and the log is read by many. */
    private readonly encryptionKey: Buffer,
    private readonly clock: Clock,
  ) {}

  /**
   * Takes a request on, or finds its answer. Waits while the same request is being carried out.
   *
   * @param caller What tells one caller's keys from another's.
   * @throws Refused `mismatch` when the key was used for another request.
   * @throws Unavailable when the same request takes too long elsewhere in this process.
   */
  async accept(key: string, caller: string, fingerprint: string): Promise<Answer | Claim> {
    const stream = `runledger.request-${createHash('sha256').update(`${caller}\n${key}`).digest('hex')}`;
    const waitsUntil = this.clock.steady() + MAX_WAIT_MS;
    for (let same = this.running.get(stream); same; same = this.running.get(stream)) {
      const left = waitsUntil - this.clock.steady();
      if (left <= 0 || !(await inTime(same, left, this.clock))) throw new Unavailable('The same request is under way');
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.running.set(stream, promise);
    const release = (): void => {
      this.running.delete(stream);
      resolve();
    };
    try {
      const command = { type: 'accept', fingerprint, commandId: this.ids.uuid() } as const;
      const { state } = await this.streams.transact(requestDecider, stream, command);
      if (state.status === 'absent') throw new Error(`${stream} was accepted and is absent`);
      if (state.answer === undefined) return { stream, commandId: state.commandId, release };
      release();
      return JSON.parse(this.decrypt(state.answer)) as Answer;
    } catch (error) {
      release();
      throw error;
    }
  }

  async answered({ stream, commandId }: Claim, answer: Answer): Promise<void> {
    const command = { type: 'answer', commandId, answer: this.encrypt(JSON.stringify(answer)) } as const;
    await this.streams.transact(requestDecider, stream, command);
  }

  private encrypt(text: string): string {
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', this.encryptionKey, nonce);
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64');
  }

  private decrypt(text: string): string {
    const bytes = Buffer.from(text, 'base64');
    const decipher = createDecipheriv('aes-256-gcm', this.encryptionKey, bytes.subarray(0, 12));
    decipher.setAuthTag(bytes.subarray(12, 28));
    return decipher.update(bytes.subarray(28), undefined, 'utf8') + decipher.final('utf8');
  }
}
