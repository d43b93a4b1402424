import type { RunEvent } from '../../../contracts/hypershift/run.events.js';
import type { Recorded } from '../../kernel/event-catalog.js';
import type { WebhookEndpoint } from '../../kernel/webhooks/endpoint.js';
import type { HypershiftSettings } from './hypershift.settings.js';

/** HyperShift API, "Webhooks": five attempts of at most 10 s, with these pauses between them. */
const SCHEDULE = { timeoutMs: 10_000, pausesMs: [1_000, 2_000, 4_000, 8_000] } as const;

/** The receiver that the operator has configured; undefined when there is none. */
export function hypershiftEndpoint({ webhookUrl, webhookSecrets }: HypershiftSettings): WebhookEndpoint | undefined {
  if (webhookUrl === undefined) return undefined;
  return {
    id: 'default',
    system: 'hypershift',
    url: webhookUrl,
    guarded: false,
    secrets: webhookSecrets,
    schedule: SCHEDULE,
    types: ['run.created', 'run.started', 'run.completed', 'run.failed', 'deploy.succeeded'],
    message(recorded, deliveryId) {
      const said = payloadOf(recorded as Recorded<RunEvent>);
      if (!said) return undefined;
      const { tenant, runId } = (recorded as Recorded<RunEvent>).event.data;
      return {
        event: said.event,
        tenant,
        runId,
        headers: {
          'content-type': 'application/json',
          'x-hypershift-event': said.event,
          'x-hypershift-delivery': deliveryId,
        },
        body: JSON.stringify({ event: said.event, payload: said.payload, ts: recorded.at }),
      };
    },
  };
}

/** HyperShift API, "Webhooks": the payload of each event. A failed run is told as `run.completed` too. */
export function payloadOf({ event }: Recorded<RunEvent>): { event: string; payload: object } | undefined {
  const { runId: run_id, tenant: workspace_id } = event.data;
  switch (event.type) {
    case 'run.created':
      return { event: 'run.created', payload: { run_id, workspace_id, user_intent: event.data.userIntent } };
    case 'run.started':
      return { event: 'run.started', payload: { run_id, workspace_id } };
    case 'run.completed': {
      const { deploymentUrl: deployment_url, durationMs: duration_ms } = event.data;
      return {
        event: 'run.completed',
        payload: { run_id, workspace_id, status: 'completed', deployment_url, duration_ms },
      };
    }
    case 'run.failed': {
      const { error, failedStep: failed_step, durationMs: duration_ms } = event.data;
      return {
        event: 'run.completed',
        payload: { run_id, workspace_id, status: 'failed', deployment_url: null, duration_ms, error, failed_step },
      };
    }
    case 'deploy.succeeded':
      return { event: 'deploy.succeeded', payload: { run_id, deployment_url: event.data.deploymentUrl } };
    default:
      return undefined;
  }
}
