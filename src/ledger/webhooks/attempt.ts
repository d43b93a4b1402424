import type { WebhookSource } from '../../../contracts/runledger/webhook.events.js';
import { GIVE_UP_AFTER_MS, pauseAfter } from './schedule.js';
import type { AttemptEvent } from './delivery.decider.js';

/** The receiver is gone for good: it asks to be sent nothing more. */
const GONE = 410;

/** How one attempt went. */
export interface Attempt {
  readonly url: string;
  /** Wall time in ms. */
  readonly sentAtMs: number;
  /** Null when there was no answer. */
  readonly status: number | null;
  readonly error: string | null;
  readonly durationMs: number;
  readonly response: string;
  readonly retryAfterMs: number | undefined;
}

export interface Attempted {
  readonly tenant: string;
  readonly endpoint: string;
  readonly deliveryId: string;
  readonly round: number;
  /** The attempt's number in its round, from 1. */
  readonly attempt: number;
  readonly source: WebhookSource | null;
}

export interface Verdict {
  readonly outcome: AttemptEvent;
  /** How long until the next attempt, in ms; undefined when there is none. */
  readonly pauseMs: number | undefined;
  /** Why the whole endpoint is to be disabled. */
  readonly disable: 'gone' | 'failing' | undefined;
  /** Wall time in ms since when nothing has arrived. */
  readonly failingSinceMs: number | undefined;
}

/**
 * What follows from an attempt.
 *
 * @param failingSinceMs Since when the endpoint has been failing before it; undefined when it has not.
 * @param random From 0 to 1: spreads what is tried again.
 */
export function judge(delivery: Attempted, made: Attempt, failingSinceMs: number | undefined, random: number): Verdict {
  const { status, sentAtMs } = made;
  const data = {
    system: 'runledger',
    ...delivery,
    url: made.url,
    sentAt: new Date(sentAtMs).toISOString(),
    status,
    durationMs: Math.round(made.durationMs * 10) / 10,
    response: made.response,
  } as const;
  if (made.error === null) {
    const outcome = { type: 'webhook_delivery.succeeded', data } as const;
    return { outcome, pauseMs: undefined, disable: undefined, failingSinceMs: undefined };
  }
  const since = failingSinceMs ?? sentAtMs;
  const failure = { ...data, error: made.error, failingSince: new Date(since).toISOString() };
  const pauseMs = status === GONE ? undefined : pauseAfter(delivery.attempt, made.retryAfterMs, random);
  const outcome: AttemptEvent =
    pauseMs === undefined
      ? { type: 'webhook_delivery.abandoned', data: failure }
      : {
          type: 'webhook_delivery.failed',
          data: { ...failure, retryAt: new Date(sentAtMs + made.durationMs + pauseMs).toISOString() },
        };
  const tooLong = sentAtMs - since >= GIVE_UP_AFTER_MS;
  const disable = status === GONE ? 'gone' : tooLong ? 'failing' : undefined;
  return { outcome, pauseMs, disable, failingSinceMs: since };
}
