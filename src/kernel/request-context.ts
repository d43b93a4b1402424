import { AsyncLocalStorage } from 'node:async_hooks';

/** Who asks, and as part of what. Travels with the call, and into the metadata of every event it causes. */
export interface RequestContext {
  /** One id for everything that follows from one request from outside. */
  readonly correlationId: string;
  /** The id of the event or request that led here. */
  readonly causationId?: string | undefined;
  /** Who acts: as the dialect names them, or as their token does. */
  actor?: string | undefined;
  /** W3C trace context, as received. */
  readonly traceparent?: string | undefined;
  /** Set when the caller gave an Idempotency-Key: a stream that has events of this command accepts it only once. */
  commandId?: string | undefined;
  /** Reads show at least this position, when the caller asked for it. */
  readonly minPosition?: number | undefined;
  /** What the answer's headers will say of the log. */
  readonly answer?: AnswerFacts | undefined;
}

/** Collected while a request is carried out. */
export interface AnswerFacts {
  /** Of the last event that the request wrote. */
  position?: number;
  /** A view had not reached what the read had to show. */
  stale?: boolean;
}

const storage = new AsyncLocalStorage<RequestContext>();
const outside: RequestContext = { correlationId: 'none' };

export function currentContext(): RequestContext {
  return storage.getStore() ?? outside;
}

/** Runs `work`, and everything it awaits, in a context. */
export function inContext<T>(context: RequestContext, work: () => T): T {
  return storage.run(context, work);
}
