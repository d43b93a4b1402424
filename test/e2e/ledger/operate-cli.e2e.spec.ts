import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { startApp, type TestApp } from '../../support/app.js';
import { runCommand } from '../../support/cli.js';
import { eventually } from '../../support/eventually.js';
import { Hypershift } from '../../support/hypershift.js';
import { onStack } from '../../support/stack.js';

const RUN = 'hypershift.run';

interface Listed {
  readonly projections: readonly { name: string; state: string; collection: string; lag: { events: number } }[];
}

let service: TestApp;
beforeEach(async () => {
  service = await startApp();
  await Hypershift.of(service).create();
  await eventually(async () => {
    const { projections } = (await runCommand(['projections', 'list', '--json', ...url()])).json<Listed>();
    return projections.every(({ state, lag }) => state === 'live' && lag.events === 0);
  });
});
afterEach(() => service.close());

const url = (): string[] => ['--url', service.origin];
const dead = async (id: string): Promise<void> => {
  const { queue } = service.app.kernel.ports;
  await queue.put([{ id, kind: 'sample.task', group: 'g', payload: {} }]);
  const [lease] = await queue.lease({ kinds: ['sample.task'], worker: 'a', leaseMs: 60_000 });
  if (!lease) throw new Error('Nothing was leased');
  await queue.bury(lease, 'broken\u001b[2J');
};

describe('runledger projections', () => {
  it('lists how they stand, for people', async () => {
    const { code, stdout } = await runCommand(['projections', 'list', ...url()]);
    expect(code).toBe(0);
    expect(stdout.split('\n')[0]).toMatch(/^projection +state +collection +position +behind +rate +rebuild$/);
    expect(stdout).toMatch(/^hypershift\.run +live +hypershift\.run\.v\d+\.1 +\d+ +- +\d+ +-$/m);
  });

  it('rebuilds one, and waits until it serves', async () => {
    const { code, stdout } = await runCommand(['projections', 'rebuild', RUN, '--wait', ...url()]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^hypershift\.run\.v\d+\.2 serves, folded up to \d+$/)]);
    const ordered = await runCommand(['projections', 'rebuild', RUN, '--json', ...url()]);
    expect(ordered.json()).toMatchObject({ carriedOut: true, projection: { name: RUN } });
  });

  it.each([
    ['what nobody rebuilds', ['pause', RUN], `${RUN} is not being rebuilt`],
    ['what has not stopped', ['skip', RUN], `${RUN} has not stopped at any event`],
    ['a collection that is none', ['drop', RUN, 'x'], `${RUN} has no collection x`],
    ['what is no projection', ['rebuild', 'nobody'], 'There is no projection nobody'],
  ])('says no to %s', async (_, args, message) => {
    const { code, stderr } = await runCommand(['projections', ...args, ...url()]);
    expect([code, stderr]).toEqual([1, expect.stringContaining(message)]);
  });

  it('drops what is left over', async () => {
    await service.app.kernel.ports.views.prepare(`${RUN}.v0.1`, { indexes: [] });
    const { code, stdout } = await runCommand(['projections', 'drop', RUN, `${RUN}.v0.1`, ...url()]);
    expect([code, stdout]).toEqual([0, `Done: ${RUN} is live`]);
    expect(await service.app.kernel.ports.views.collections()).not.toContain(`${RUN}.v0.1`);
  });

  (onStack ? it.skip : it)('works on a data folder that no server uses, and on no other', async () => {
    const data = ['--data', service.dataDir];
    const busy = await runCommand(['projections', 'list', ...data]);
    expect([busy.code, busy.stdout]).toEqual([2, '']);
    await service.app.close();
    const { projections } = (await runCommand(['projections', 'list', '--json', ...data])).json<Listed>();
    expect(projections.map(({ name }) => name)).toEqual(expect.arrayContaining(['runledger.webhook-delivery']));
    const before = projections.find(({ name }) => name === RUN)?.collection;
    const { code, stdout } = await runCommand(['projections', 'rebuild', RUN, ...data]);
    expect([code, stdout]).toEqual([0, expect.stringContaining(`${before?.replace(/1$/, '2')} serves`)]);
    const after = (await runCommand(['projections', 'list', '--json', ...data])).json<Listed>();
    expect(after.projections.find(({ name }) => name === RUN)?.collection).toBe(before?.replace(/1$/, '2'));
    // So that there is something to close.
    service = await service.restart();
  });

  it('says where it looked when nobody answers', async () => {
    const { code, stderr } = await runCommand(['projections', 'list', '--url', 'http://127.0.0.1:9']);
    expect([code, stderr]).toEqual([1, expect.stringContaining('is the server running there?')]);
  });
});

describe('runledger work', () => {
  it('shows what waits, and what was given up', async () => {
    await dead('job-1');
    const stats = await runCommand(['work', 'stats', ...url()]);
    expect([stats.code, stats.stdout]).toEqual([0, expect.stringMatching(/^sample\.task +here +0 +0 +0 +1 +-$/m)]);
    const listed = await runCommand(['work', 'dead', '--kind', 'sample.task', '--limit', '5', ...url()]);
    // What comes from outside moves no cursor.
    expect(listed.stdout).toMatch(/^job-1 +sample\.task +g +1 +broken\\u001b\[2J$/m);
    expect((await runCommand(['work', 'dead', '--json', ...url()])).json()).toMatchObject({ jobs: [{ id: 'job-1' }] });
  });

  it('requeues and discards', async () => {
    await dead('job-1');
    const requeued = await runCommand(['work', 'requeue', 'job-1', ...url()]);
    expect([requeued.code, requeued.stdout]).toEqual([0, 'job-1 is requeued']);
    const again = await runCommand(['work', 'discard', 'job-1', ...url()]);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('There is no dead letter job-1')]);
    await service.app.kernel.ports.queue.cancel('g');
    await dead('job-2');
    const discarded = await runCommand(['work', 'discard', 'job-2', '--json', ...url()]);
    expect(discarded.json()).toEqual({ id: 'job-2', outcome: 'discarded' });
    expect((await runCommand(['work', 'dead', '--json', ...url()])).json()).toEqual({ jobs: [] });
  });
});

describe('runledger worker', () => {
  it('refuses to start without the servers that it would share', async () => {
    const { code, stderr } = await runCommand(['worker'], { NATS_URL: 'nats://127.0.0.1:9' });
    expect([code, stderr]).toEqual([2, expect.stringContaining('set EVENTSTORE_URL, MONGODB_URL.')]);
  });
});
