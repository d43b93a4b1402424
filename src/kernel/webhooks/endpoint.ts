import type { DomainEvent, Recorded } from '../event-catalog.js';

/** What one event says to one receiver. */
export interface WebhookMessage {
  /** The name under which the receiver knows what happened. */
  readonly event: string;
  readonly tenant: string;
  /** The lane: deliveries about one run go out one after the other, in the log's order. */
  readonly runId: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A receiver of events: a cursor on the log, with the dialect's own headers, body and schedule. */
export interface WebhookEndpoint {
  /** Stable over restarts; names cursor, streams and metrics. */
  readonly id: string;
  readonly system: string;
  readonly url: string;
  /** Whether private addresses are refused. False for what the operator configures by environment. */
  readonly guarded: boolean;
  /** Standard Webhooks secrets; one signature each. None: unsigned. */
  readonly secrets: readonly string[];
  readonly schedule: RetrySchedule;
  readonly types: readonly string[];
  /** Undefined when this event is nothing for the receiver. `deliveryId` is the same in every attempt. */
  message(recorded: Recorded<DomainEvent>, deliveryId: string): WebhookMessage | undefined;
}

export interface RetrySchedule {
  /** Time limit of one attempt, in ms. */
  readonly timeoutMs: number;
  /** Pauses between attempts, in ms: one attempt more than there are pauses, then the delivery is abandoned. */
  readonly pausesMs: readonly number[];
}
