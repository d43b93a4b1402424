import { isJsonObject } from './json.js';
import type { StepAgent, StepContext, StepInputs } from './step-agent.js';

/** One request to the deployment. */
export interface Check {
  /** Relative to the deployment's URL. */
  readonly path: string;
  /** HTTP status; null when no answer came. */
  readonly status: number | null;
  /** How long it took, in whole ms. */
  readonly ms: number;
  readonly ok: boolean;
}

export interface HealthReport {
  /** Advice for people: `required` when the deployment says it is not well, `recommended` when it is slow or empty. */
  readonly rollbackAction: 'none' | 'recommended' | 'required';
  readonly incidents: readonly { readonly title: string }[];
  readonly checks: readonly Check[];
}

export interface SreOptions {
  /** @default the global `fetch` */
  readonly fetch?: typeof fetch;
  /** Limit of one request with its body, in ms. @default 10_000 */
  readonly timeoutMs?: number;
  /** A request that takes longer is an incident, in ms. @default 2_000 */
  readonly slowMs?: number;
}

const HEALTH = 'health.json';
const INDEX = 'index.html';
/** Enough of a page to know that there is one, and more than a health document needs. */
const MAX_BODY_BYTES = 65_536;

/** Asks a fresh deployment how it is. A deployment that does not answer is a finding, not a failure of the step. */
export class Sre implements StepAgent {
  readonly name = 'sre';
  private readonly fetch: typeof fetch;
  private readonly timeoutMs: number;
  private readonly slowMs: number;

  constructor({ fetch = globalThis.fetch, timeoutMs = 10_000, slowMs = 2_000 }: SreOptions = {}) {
    this.fetch = fetch;
    this.timeoutMs = timeoutMs;
    this.slowMs = slowMs;
  }

  /** Without a deployment there is nothing to check, and the report is empty. */
  async run({ deploymentUrl }: StepInputs, { signal }: StepContext): Promise<HealthReport> {
    if (deploymentUrl === null || deploymentUrl === undefined) return report([], this.slowMs);
    const base = deploymentUrl.endsWith('/') ? deploymentUrl : `${deploymentUrl}/`;
    const checks = await Promise.all([
      this.check(base, HEALTH, saysOk, signal),
      this.check(base, INDEX, (body) => body.trim() !== '', signal),
    ]);
    signal.throwIfAborted();
    return report(checks, this.slowMs);
  }

  private async check(
    base: string,
    path: string,
    isGood: (body: string) => boolean,
    signal: AbortSignal,
  ): Promise<Check> {
    const begin = performance.now();
    const elapsed = (): number => Math.round(performance.now() - begin);
    let status: number | null = null;
    try {
      const response = await this.fetch(base + path, {
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.timeoutMs)]),
      });
      status = response.status;
      const body = await startOf(response);
      return { path, status, ms: elapsed(), ok: response.ok && isGood(body) };
    } catch {
      return { path, status, ms: elapsed(), ok: false };
    }
  }
}

/** Draws the conclusions from the checks. */
export function report(checks: readonly Check[], slowMs: number): HealthReport {
  const bad = checks.filter(({ ok }) => !ok);
  const slow = checks.filter(({ ok, ms }) => ok && ms > slowMs);
  const incidents = [
    ...bad.map(({ path, status }) => ({ title: `${path} ${problemOf(status)}` })),
    ...slow.map(({ path, ms }) => ({ title: `${path} took ${ms} ms` })),
  ];
  const rollbackAction = bad.some(({ path }) => path === HEALTH)
    ? 'required'
    : incidents.length > 0
      ? 'recommended'
      : 'none';
  return { rollbackAction, incidents, checks };
}

function problemOf(status: number | null): string {
  if (status === null) return 'did not answer';
  return status >= 200 && status < 300 ? 'answered without the expected content' : `answered ${status}`;
}

function saysOk(body: string): boolean {
  try {
    const health: unknown = JSON.parse(body);
    return isJsonObject(health) && health.status === 'ok';
  } catch {
    return false;
  }
}

async function startOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    bytes += (chunk as Uint8Array).length;
    if (bytes >= MAX_BODY_BYTES) break;
  }
  return text;
}
