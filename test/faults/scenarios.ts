import type { HypershiftClient } from '../support/hypershift-client.js';
import { until } from '../support/until.js';
import type { WebhookReceiver } from '../support/webhook-receiver.js';

export interface Scene {
  readonly client: HypershiftClient;
  readonly receiver: WebhookReceiver;
  /** Tells this playing of a scenario from all others. */
  readonly tag: string;
}

/** Something that clients do. It goes on through any crash of the server, and resolves when all has come to its end. */
export type Scenario = (scene: Scene) => Promise<void>;

/** A receiver refuses the first POST of each delivery that says so. */
export const REFUSED_FIRST = 'refused at first';

/** Creates and starts without any key: the client cannot know whether a lost answer meant a write. */
const plain: Scenario = async ({ client, receiver, tag }) => {
  const runId = await client.create({ workspace: `ws-${tag}`, description: 'plain', codename: tag });
  await client.command(runId, 'start');
  await client.ended(runId);
  await told(receiver, runId, 'run.completed');
};

const approval: Scenario = async ({ client, receiver, tag }) => {
  const run = { workspace: `ws-${tag}`, description: 'approval', codename: tag, approval: true, key: `create ${tag}` };
  const runId = await client.create(run);
  await client.command(runId, 'start', `start ${tag}`);
  await client.ended(runId);
  await client.command(runId, 'approve', `approve ${tag}`);
  await until('the approved run goes on', async () => (await client.ended(runId)) === 'completed');
  await told(receiver, runId, 'run.completed');
};

/** One run that sentinel vetoes, and one that a human rejects. */
const refusals: Scenario = async ({ client, receiver, tag }) => {
  const workspace = `ws-${tag}`;
  const vetoed = await client.create({ workspace, description: 'veto', codename: `${tag} veto`, key: `veto ${tag}` });
  await client.command(vetoed, 'start');
  await client.ended(vetoed);
  const rejected = await client.create({
    workspace,
    description: 'gate',
    codename: tag,
    approval: true,
    key: `gate ${tag}`,
  });
  await client.command(rejected, 'start', `start ${tag}`);
  await client.ended(rejected);
  await client.command(rejected, 'reject', `reject ${tag}`);
  await told(receiver, rejected, 'run.started');
};

/** A run with a real build that is deployed and checked, and its repetition. */
const deployAndReplay: Scenario = async ({ client, receiver, tag }) => {
  const workspace = `ws-${tag}`;
  const runId = await client.create({ workspace, description: 'deploy a page', codename: tag, key: `create ${tag}` });
  await client.command(runId, 'start', `start ${tag}`);
  await client.ended(runId);
  const page = await client.send({ method: 'GET', path: `/deployments/${runId}/health.json` });
  if (page.status !== 200) client.complaints.push(`the deployment of ${runId} answers ${page.status}`);
  const replay = await client.send({ method: 'POST', path: `/runs/${runId}/replay`, key: `replay ${tag}` });
  await client.ended(replay.json.run_id as string);
  const feedback = {
    method: 'POST',
    path: `/runs/${runId}/feedback`,
    body: { useful: true },
    key: `like ${tag}`,
  } as const;
  await client.send(feedback);
  await told(receiver, runId, 'deploy.succeeded');
  await told(receiver, replay.json.run_id as string, 'deploy.succeeded');
};

const refusedWebhook: Scenario = async ({ client, receiver, tag }) => {
  const run = { workspace: `ws-${tag}`, description: REFUSED_FIRST, codename: tag, key: `create ${tag}` };
  const runId = await client.create(run);
  await told(receiver, runId, 'run.created');
};

/** A workspace, its tier, a key that selects it, a run by that key, and the key's end. */
const keys: Scenario = async ({ client, tag }) => {
  const made = await client.send({ method: 'POST', path: '/workspaces', body: { name: tag }, key: `workspace ${tag}` });
  const workspace = made.json.id as string;
  await client.send({ method: 'PATCH', path: `/workspaces/${workspace}/tier`, body: { tier: 'pro' } });
  const path = `/workspaces/${workspace}/api-keys`;
  const { json: apiKey } = await client.send({ method: 'POST', path, body: { name: tag }, key: `key ${tag}` });
  const headers = { authorization: `Bearer ${apiKey.key}` };
  const body = { user_intent: { description: 'by key' }, codename: tag };
  const run = await client.send({ method: 'POST', path: '/runs', headers, body, key: `run ${tag}` });
  if (run.status === 201) client.codenames.push(tag);
  else client.complaints.push(`a run by key was answered ${run.status} ${run.text}`);
  const gone = await client.send({ method: 'DELETE', path: `${path}/${apiKey.id}` });
  if (gone.status !== 200 && !(gone.status === 404 && gone.sent > 1)) client.complaints.push(`DELETE: ${gone.status}`);
  const used = await client.send({ method: 'GET', path: `/usage`, headers: { 'x-workspace-id': workspace } });
  if (used.json.runs !== 1) client.complaints.push(`usage of ${workspace}: ${used.text}`);
};

export const scenarios: Readonly<Record<string, Scenario>> = {
  plain,
  approval,
  refusals,
  deployAndReplay,
  refusedWebhook,
  keys,
};

/** Waits until the receiver has accepted what it is to be told of a run. */
async function told(receiver: WebhookReceiver, runId: string, event: string): Promise<void> {
  await until(`the receiver hears of ${event} of ${runId}`, () =>
    receiver.received.some((post) => post.event === event && post.status < 300 && post.body.includes(runId)),
  );
}
