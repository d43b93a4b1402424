import { Agent, type Dispatcher, request } from 'undici';
import { isJsonObject, isNestedDeeper } from './json.js';
import { type StepAgent, type StepContext, StepFailed, type StepInputs, type StepName } from './step-agent.js';

export interface HttpAgentOptions {
  readonly name: StepName;
  /** Base URL; the step's path is appended to it. A trailing `/` does not count. */
  readonly url: string;
  /** Limit of one call with its body, in ms; at most 2,147,483,647. */
  readonly timeoutMs: number;
  /** Holds the connections. @default one of its own */
  readonly dispatcher?: Dispatcher;
}

export const MAX_ANSWER_BYTES = 512 * 1024;
/** Deeper documents overflow the stack of whoever walks through them later. */
export const MAX_DEPTH = 200;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

const paths: Readonly<Record<StepName, string>> = {
  architect: '/architect',
  builder: '/builder',
  sentinel: '/sentinel',
  sre: '/sre/check',
  finops: '/finops',
};

/**
 * A step that a foreign program carries out: one POST, JSON in and out. Redirects are not followed. Nothing is tried
 * twice, because a foreign program may not bear that.
 */
export class HttpAgent implements StepAgent {
  readonly name: StepName;
  private readonly path: string;
  private readonly address: string;
  private readonly timeoutMs: number;
  private readonly dispatcher: Dispatcher;

  constructor({ name, url, timeoutMs, dispatcher = agentConnections() }: HttpAgentOptions) {
    this.name = name;
    this.path = paths[name];
    this.address = addressOf(url, this.path);
    this.timeoutMs = Math.min(timeoutMs, MAX_TIMEOUT_MS);
    this.dispatcher = dispatcher;
  }

  /**
   * @returns The answer as it came; an architect's without the `blueprint_manifest` around it.
   * @throws StepFailed when the program cannot be reached, takes too long, does not answer 2xx, or answers with
   *   something else than JSON of at most 512 KiB and 200 levels. The message names the path.
   */
  async run(inputs: StepInputs, context: StepContext): Promise<unknown> {
    const text = await this.post(JSON.stringify(requestBody(this.name, inputs, context.runId)), context.signal);
    const answer = this.parse(text);
    return outputOf(this.name, answer);
  }

  private async post(body: string, signal: AbortSignal): Promise<string> {
    const timeout = AbortSignal.timeout(this.timeoutMs);
    try {
      const response = await request(this.address, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json' },
        body,
        dispatcher: this.dispatcher,
        signal: AbortSignal.any([signal, timeout]),
      });
      if (response.statusCode < 200 || response.statusCode > 299) {
        // Read to its end if that is near, so that the connection can be used again.
        response.body.dump({ limit: 16_384 }).catch(() => undefined);
        throw this.failed(`returned ${response.statusCode}`);
      }
      return await this.read(response.body);
    } catch (cause) {
      if (cause instanceof StepFailed) throw cause;
      signal.throwIfAborted();
      if (timeout.aborted) throw this.failed(`did not answer within ${this.timeoutMs} ms`, cause);
      throw this.failed(`gave no answer${codeOf(cause)}`, cause);
    }
  }

  private async read(body: Dispatcher.ResponseData['body']): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      // Leaving the loop destroys the body, and with it the connection.
      if (bytes > MAX_ANSWER_BYTES) throw this.failed(`answered with more than ${MAX_ANSWER_BYTES} bytes`);
      chunks.push(chunk);
    }
    return new TextDecoder().decode(Buffer.concat(chunks));
  }

  private parse(text: string): unknown {
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch (cause) {
      // The parser's message quotes the answer, so it stays out of ours.
      throw this.failed('answered with something that is not JSON', cause);
    }
    if (isNestedDeeper(answer, MAX_DEPTH)) throw this.failed(`answered with JSON of more than ${MAX_DEPTH} levels`);
    return answer;
  }

  private failed(problem: string, cause?: unknown): StepFailed {
    return new StepFailed(`Agent ${this.path} ${problem}`, { cause });
  }
}

/**
 * Connections to foreign programs, kept open for one second: many servers close idle ones without a word, and a POST
 * that meets such a closing would fail its run.
 */
export function agentConnections(): Agent {
  // The calls bring their own limits; the built-in ones would cut off an AGENT_TIMEOUT_MS that is longer.
  return new Agent({ keepAliveTimeout: 1_000, headersTimeout: 0, bodyTimeout: 0 });
}

/** Asks `<url>/health`; every answer but a 2xx within `timeoutMs` means `down`. */
export async function probeHealth(url: string, timeoutMs = 3_000): Promise<'ok' | 'down'> {
  try {
    const { statusCode, body } = await request(addressOf(url, '/health'), {
      signal: AbortSignal.timeout(timeoutMs),
      reset: true, // probes are rare: a connection kept for the next one would be stale by then
    });
    body.dump({ limit: 16_384 }).catch(() => undefined);
    return statusCode >= 200 && statusCode < 300 ? 'ok' : 'down';
  } catch {
    return 'down';
  }
}

const addressOf = (url: string, path: string): string => url.replace(/\/$/, '') + path;

/** What the run keeps of an answer: an architect's without the `blueprint_manifest` around it. */
export function outputOf(step: StepName, answer: unknown): unknown {
  const isWrapped = step === 'architect' && isJsonObject(answer) && isJsonObject(answer.blueprint_manifest);
  return isWrapped ? answer.blueprint_manifest : answer;
}

/** What a foreign program is told of a step. */
export function requestBody(step: StepName, inputs: StepInputs, run_id: string): object {
  const { userIntent: user_intent, blueprint: blueprint_manifest = null, buildPlan: build_plan = null } = inputs;
  switch (step) {
    case 'architect':
      return { user_intent };
    case 'builder':
      return { user_intent, blueprint_manifest, run_id };
    case 'sentinel':
      return { blueprint_manifest, build_plan, run_id };
    case 'sre':
      return { deployment_url: inputs.deploymentUrl ?? null, run_id };
    case 'finops':
      return isJsonObject(blueprint_manifest) && blueprint_manifest.infra !== undefined
        ? { blueprint_manifest, infra: blueprint_manifest.infra }
        : { blueprint_manifest };
  }
}

function codeOf(error: unknown): string {
  const code = isJsonObject(error) ? error.code : undefined;
  return typeof code === 'string' ? ` (${code})` : '';
}
