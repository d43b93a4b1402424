import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Lease } from '../../src/kernel/ports/work-queue.js';
import { Deployments } from '../../src/systems/hypershift/deployments/deployments.js';
import { PipelineExecutor } from '../../src/systems/hypershift/runs/pipeline.executor.js';
import { startApp, type TestApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { Luck, report, scaled } from '../support/fault-scale.js';
import { Hypershift, instantAgents, type Run } from '../support/hypershift.js';
import { deliveriesOf } from '../support/hypershift-ledger.js';
import { allEvents } from '../support/rebuild.js';
import { WebhookReceiver } from '../support/webhook-receiver.js';

const KIND = 'hypershift.pipeline';
const RUNS = scaled(10, 200);

describe('fault 6: everything is delivered more than once', () => {
  let service: TestApp;
  let receiver: WebhookReceiver;

  beforeEach(async () => {
    receiver = await WebhookReceiver.start();
  });
  afterEach(async () => {
    await service.close();
    await receiver.close();
  });

  it('a job that is delivered two to five times, also long after it is done, has the effect of one', async () => {
    const luck = new Luck();
    const env = {
      RUNLEDGER_ROLES: 'api,projector,dispatcher',
      HYPERSHIFT_DEPLOY_TARGET: 'none',
      WEBHOOK_URL: receiver.url,
    };
    service = await startApp(env);
    const { kernel } = service.app;
    const { queue, log } = kernel.ports;
    const client = await Hypershift.of(service).workspace();
    await client.patch(`/workspaces/${client.id}/tier`, { tier: 'pro' });
    const options = {
      target: 'none',
      buildsHere: true,
      buildDir: service.dataDir,
      publicUrl: () => service.origin,
    } as const;
    const deployments = new Deployments(kernel.ports.blobs, options);
    const executor = new PipelineExecutor(kernel, instantAgents(), deployments, { stepDelayMs: 0 });
    const signal = new AbortController().signal;
    const execute = ({ job, attempt }: Lease): Promise<void> => executor.execute({ job, attempt, signal });

    const runIds: string[] = [];
    // The last one is delivered once, and shows what the others have to look like.
    for (let run = 0; run <= RUNS; run++) runIds.push(await client.launch());
    const leases: Lease[] = [];
    await eventually(async () => {
      leases.push(...(await queue.lease({ kinds: [KIND], worker: 'test', leaseMs: 60_000, limit: RUNS + 1 })));
      return leases.length === RUNS + 1;
    });
    const once = leases.find(({ job }) => job.group === runIds.at(-1));
    const repeated = leases.filter((lease) => lease !== once);
    const times = repeated.map((lease) => ({ lease, count: luck.whole(2, 5) }));
    await Promise.all(times.flatMap(({ lease, count }) => Array.from({ length: count }, () => execute(lease))));
    if (once) await execute(once);
    const done = await Promise.all(runIds.map((runId) => client.still(runId)));
    const last = (await log.readAll(Infinity, { backwards: true, limit: 1 }))[0]?.position;

    expect(await Promise.all(leases.map((lease) => queue.complete(lease)))).not.toContain(false);
    // The queue has forgotten the ids by now, as a real one does after a while.
    await queue.put(leases.map(({ job }) => job));
    const again = await queue.lease({ kinds: [KIND], worker: 'test', leaseMs: 60_000, limit: RUNS + 1 });
    await Promise.all(again.map(execute));

    expect(again).toHaveLength(RUNS + 1);
    expect(done.map(withoutTimes)).toEqual(done.map(() => withoutTimes(done.at(-1) as Run)));
    expect(await Promise.all(runIds.map((runId) => client.run(runId)))).toEqual(done);
    const late = (await log.readAll(last ?? 0)).filter(({ type }) => !type.startsWith('webhook.'));
    expect(late).toEqual([]);
    const deliveries = times.reduce((sum, { count }) => sum + count, 1) + again.length;
    report(6, { seed: luck.seed, jobs: RUNS + 1, deliveries, 'runs completed': done.length });
  });

  it('a webhook whose cursor is lost is not sent a second time', async () => {
    service = await startApp(
      { HYPERSHIFT_DEPLOY_TARGET: 'none', WEBHOOK_URL: receiver.url },
      { hypershiftAgents: instantAgents() },
    );
    const client = Hypershift.of(service);
    for (let run = 0; run < 5; run++) await client.runThrough();
    await eventually(() => receiver.received.length === 15);
    await service.app.kernel.ports.views.drop('runledger.cursors');
    const restarted = await service.restart();
    service = restarted;
    // What follows is sent only when all that went before has been read again.
    await Hypershift.of(service).runThrough();
    await eventually(() => receiver.received.length >= 18);
    const events = await allEvents(service.app.kernel.ports.log);
    expect(deliveriesOf(events, receiver.received)).toEqual({ expected: 18, problems: [] });
    expect(receiver.received).toHaveLength(18);
    report(6, { 'webhooks after a lost cursor': receiver.received.length, expected: 18 });
  });
});

/** A run as it ended, without what differs from run to run anyway. */
function withoutTimes(run: Run): object {
  const { id: _id, created_at, updated_at, started_at, completed_at, duration_ms, ...rest } = run;
  return {
    ...rest,
    timed: [created_at, updated_at, started_at, completed_at, duration_ms].every((time) => time !== null),
  };
}
