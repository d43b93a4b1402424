import { Failed } from './cli.js';
import type { ServerClient } from './server-client.js';

export const PATH = '/ledger/webhooks';
const LOOK_EVERY_MS = 200;
const PATIENCE_MS = 20_000;

export interface Delivery {
  readonly id: string;
  readonly status: string;
  readonly event: { readonly type: string; readonly position: number } | null;
  readonly retryAt: string | null;
  readonly updatedAt: string;
  readonly attempts: readonly Attempt[];
}

export interface Attempt {
  readonly status: number | null;
  readonly error: string | null;
}

export function pathOf(id: string): string {
  return `${PATH}/${encodeURIComponent(id)}`;
}

/**
 * Sends a test to an endpoint, and waits for the first attempt.
 *
 * @throws Failed when nobody tries it for twenty seconds, or the user breaks off.
 */
export async function tested(
  client: ServerClient,
  id: string,
  signal: AbortSignal,
): Promise<{ readonly delivery: Delivery; readonly attempt: Attempt }> {
  const { delivery } = await client.post<{ delivery: string }>(`${pathOf(id)}/test`, {}, signal);
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const { deliveries } = await client.get<{ deliveries: Delivery[] }>(`${pathOf(id)}/deliveries`, {}, signal);
    const made = deliveries.find((each) => each.id === delivery);
    const attempt = made?.attempts.at(-1);
    if (made && attempt) return { delivery: made, attempt };
    if (Date.now() > until || signal.aborted)
      throw new Failed(`Not tried yet: is there a process with the role dispatcher? Delivery ${delivery}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
