import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import type { Clock } from '../ports/clock.js';
import { outboundFailure, OutboundFailed } from './outbound-errors.js';

/** The most of an answer's body that is kept, in bytes. */
export const MAX_BODY_START_BYTES = 1_024;

/** Up to here a body is read to its end, so that the connection can be used again; past it, it is dropped. */
const MAX_DISCARDED_BYTES = 65_536;

export interface PostAnswer {
  readonly status: number;
  /** What `Retry-After` asks for, from the answer on, in ms; absent when it is missing or unreadable. */
  readonly retryAfterMs?: number;
  /** The first 1 KiB of the body, read as UTF-8. */
  readonly bodyStart: string;
  /** From the call to the end of the answer, in ms. */
  readonly ms: number;
}

/**
 * One post and its answer, as undici reports them. Settles `answer` exactly once: a limit that passes while the post
 * still waits for a connection settles it at once, and keeps the post from being sent afterwards.
 */
export class PostExchange implements Dispatcher.DispatchHandler {
  readonly answer: Promise<PostAnswer>;
  private readonly startedAt: number;
  private readonly timer: NodeJS.Timeout;
  private resolve!: (answer: PostAnswer) => void;
  private reject!: (error: OutboundFailed) => void;
  private controller: Dispatcher.DispatchController | undefined;
  private settled = false;
  private status = 0;
  private retryAfterMs: number | undefined;
  private readonly kept: Buffer[] = [];
  private keptBytes = 0;
  private receivedBytes = 0;

  constructor(
    private readonly clock: Clock,
    timeoutMs: number,
  ) {
    this.answer = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    this.startedAt = clock.steady();
    this.timer = setTimeout(() => this.fail(new OutboundFailed(`no answer within ${timeoutMs} ms`)), timeoutMs);
  }

  /** Settles the answer with a failure, and takes the post off its connection. */
  fail(error: unknown): void {
    if (this.settled) return;
    const failure = outboundFailure(error);
    this.settle();
    this.reject(failure);
    this.controller?.abort(failure);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    if (this.settled) controller.abort(new OutboundFailed('given up before it was sent'));
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    this.status = status;
    this.retryAfterMs = parseRetryAfter(headers['retry-after'], this.clock.now());
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    if (this.keptBytes < MAX_BODY_START_BYTES) {
      const part = chunk.subarray(0, MAX_BODY_START_BYTES - this.keptBytes);
      this.kept.push(part);
      this.keptBytes += part.length;
    }
    if (this.receivedBytes > MAX_DISCARDED_BYTES) {
      this.succeed();
      controller.abort(new OutboundFailed('rest of the body dropped'));
    }
  }

  onResponseEnd(): void {
    this.succeed();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.fail(error);
  }

  private succeed(): void {
    if (this.settled) return;
    this.settle();
    this.resolve({
      status: this.status,
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
      // As a stream, the decoder leaves out a character that the cut went through.
      bodyStart: new TextDecoder().decode(Buffer.concat(this.kept), { stream: true }),
      ms: this.clock.steady() - this.startedAt,
    });
  }

  private settle(): void {
    this.settled = true;
    clearTimeout(this.timer);
  }
}

/**
 * Reads `Retry-After`: whole seconds, or an HTTP date.
 *
 * @returns ms from `nowMs`, 0 for a date that has passed; undefined for anything else.
 */
export function parseRetryAfter(value: string | string[] | undefined, nowMs: number): number | undefined {
  const text = (Array.isArray(value) ? value[0] : value)?.trim();
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  // Date.parse takes much more than HTTP dates, "-5" among it.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}
