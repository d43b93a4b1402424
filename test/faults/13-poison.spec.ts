import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { verifyLog } from '../../src/kernel/audit/verify.js';
import { CHAIN_START, chainHash } from '../../src/kernel/hash-chain.js';
import { runStream } from '../../src/systems/hypershift/hypershift.streams.js';
import { startApp, type TestApp } from '../support/app.js';
import { report } from '../support/fault-scale.js';
import { Hypershift, instantAgents } from '../support/hypershift.js';
import { allEvents } from '../support/rebuild.js';
import { until } from '../support/until.js';
import { WebhookReceiver } from '../support/webhook-receiver.js';

/** An event as somebody may have written it who does not keep to the contract. */
interface Poison {
  readonly type: string;
  readonly data: string;
  readonly metadata?: string;
}

const METADATA = '{"at":"2026-01-01T00:00:00.000Z","correlationId":"c","schemaVersion":1,"tenant":"ws-default"}';
const text = (value: unknown): string => JSON.stringify(value);
const scope = { system: 'hypershift', tenant: 'ws-default', runId: 'req-poison' };
const created = {
  ...scope,
  codename: null,
  createdBy: null,
  number: 1,
  replayOf: null,
  requireApproval: false,
  tags: [],
  userIntent: { description: 'poison' },
};

/** What nobody can read. */
const unreadable: Record<string, Poison> = {
  'data without its fields': { type: 'run.created', data: '{}' },
  'fields of other types': { type: 'run.started', data: text({ system: 1, tenant: [], runId: {}, by: 7 }) },
  'a schema version of the future': {
    type: 'run.created',
    data: text(created),
    metadata: METADATA.replace('"schemaVersion":1', '"schemaVersion":99'),
  },
  'no metadata': { type: 'run.started', data: text({ ...scope, by: null }), metadata: '{}' },
};

/** What is as its contract says, and yet no view can name its document. */
const unnamable: Record<string, Poison> = {
  'the name of a mark of the kernel': { type: 'run.created', data: text({ ...created, runId: '$serving' }) },
  'a lone surrogate for a name': { type: 'run.created', data: text({ ...created, runId: 'req-\ud800' }) },
};

const stopping = { ...unreadable, ...unnamable };

/** What no view stumbles over: nobody wants it, or it is harmless as it stands. */
const harmless: Record<string, Poison> = {
  'an unknown type': { type: 'run.exploded', data: text(scope) },
  'a prototype as a key': {
    type: 'run.created',
    data: `{"__proto__":{"polluted":true},${text({ ...created, runId: '__proto__' }).slice(1)}`,
  },
  'a constructor as a key': { type: 'run.started', data: text({ ...scope, runId: 'constructor', by: '__proto__' }) },
  'a prototype in an output': {
    type: 'step.completed',
    data: `{"output":{"__proto__":{"polluted":true}},${text({ ...scope, runId: '__proto__', step: 'builder', index: 2 }).slice(1)}`,
  },
  'NUL in its texts': { type: 'run.created', data: text({ ...created, runId: 'req-\u0000', codename: '\u0000' }) },
  'lone surrogates in its texts': { type: 'run.created', data: text({ ...created, codename: '\udfff\ud800' }) },
  'a run id that is too long for a stream': {
    type: 'run.created',
    data: text({ ...created, runId: '\u00e9'.repeat(600) }),
  },
  'metadata of other types': { type: 'run.exploded', data: '{}', metadata: '{"at":1,"tenant":{"__proto__":null}}' },
};

describe('fault 13: poison in the log', () => {
  let service: TestApp;
  let receiver: WebhookReceiver;
  let client: Hypershift;

  beforeEach(async () => {
    receiver = await WebhookReceiver.start();
    const env = { HYPERSHIFT_DEPLOY_TARGET: 'none', WEBHOOK_URL: receiver.url };
    service = await startApp(env, { hypershiftAgents: instantAgents() });
    client = Hypershift.of(service);
    await until('every view serves', () => service.app.kernel.runtime.ready());
  });
  afterEach(async () => {
    await service.close();
    await receiver.close();
  });

  /** Appends past all checks of the kernel, with a hash that holds. @returns the position. */
  async function plant({ type, data, metadata = METADATA }: Poison): Promise<number> {
    const { log } = service.app.kernel.ports;
    const stream = runStream(`planted-${randomUUID()}`);
    const event = { id: randomUUID(), type, data, metadata };
    const sealed = { ...event, hash: chainHash(CHAIN_START, stream, 0, event) };
    return (await log.append(stream, 'none', [sealed])).position;
  }

  const stopped = async (): Promise<string[]> => {
    const status = await service.app.kernel.projector.status();
    return status.filter(({ state }) => state === 'stopped').map(({ name }) => name);
  };

  /** Every view has taken in what is there, or has stopped. */
  async function projected(): Promise<void> {
    await until('every view has read on', async () => {
      const status = await service.app.kernel.projector.status();
      return status.every(({ state, position, head }) => state === 'stopped' || position === head);
    });
  }

  /** A run goes through, with all that it brings about; views that have stopped do not show it. */
  async function worksOn(): Promise<void> {
    const runId = await client.launch();
    await until('its webhooks arrive', () => {
      const told = receiver.accepted.filter(({ body }) => body.includes(runId)).map(({ event }) => event);
      return told.join() === 'run.created,run.started,run.completed';
    });
    await until('every delivery is on record', async () => {
      const events = await allEvents(service.app.kernel.ports.log);
      return events.filter(({ type }) => type === 'webhook.delivered').length === receiver.accepted.length;
    });
  }

  async function metric(name: string, label: string): Promise<number> {
    const body = await (await fetch(`${service.origin}/metrics`)).text();
    const line = body.split('\n').find((each) => each.startsWith(`${name}{`) && each.includes(`"${label}"`));
    return Number(line?.split(' ').at(-1) ?? Number.NaN);
  }

  it.each(Object.entries(stopping))('%s stops the views that want it; all else goes on', async (what, poison) => {
    const position = await plant(poison);
    await projected();
    const names = await stopped();
    expect(names).toContain('hypershift.run');
    expect(names).not.toContain('hypershift.workspace');
    expect(names).not.toContain('hypershift.usage');

    const health = await fetch(`${service.origin}/readyz`);
    const { views } = (await health.json()) as {
      views: Record<string, { state: string; poison?: { position: number } }>;
    };
    expect([health.status, views['hypershift.run']?.state, views['hypershift.run']?.poison?.position]).toEqual([
      200,
      'stopped',
      position,
    ]);
    expect(await metric('runledger_view_stopped', 'hypershift.run')).toBe(1);
    expect(await metric('runledger_view_stopped', 'hypershift.usage')).toBe(0);

    await worksOn();
    const passedOver = await metric('runledger_unreadable_events_total', 'dispatcher');
    expect(passedOver).toBe(what in unreadable ? 1 : Number.NaN);
    expect((await client.get<{ runs: number }>('/usage')).body.runs).toBe(1);
    expect((await client.get('/runs')).headers.get('x-ledger-stale')).toBe('true');

    for (const name of names) expect(await service.app.kernel.projector.skip(name)).toBe(true);
    await projected();
    expect(await stopped()).toEqual([]);
    expect((await client.get<{ runs: unknown[] }>('/runs')).body.runs).toHaveLength(1);
    expect((await verifyLog(service.app.kernel.ports.log)).finding).toBeNull();
    report(13, { poison: 1, 'views stopped': names.length, 'views resumed': names.length });
  });

  it.each(Object.entries(harmless))('%s stops nothing', async (_what, poison) => {
    await plant(poison);
    await projected();
    expect(await stopped()).toEqual([]);
    await worksOn();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
    expect(Object.keys(Object.prototype)).toEqual([]);
    expect((await verifyLog(service.app.kernel.ports.log)).finding).toBeNull();
  });

  it('stops a view that is built again after a loss; nobody else waits for it', async () => {
    await worksOn();
    await plant({ type: 'run.created', data: '{}' });
    await projected();
    const { projector, ports } = service.app.kernel;
    await ports.views.drop(projector.serving('hypershift.run')?.collection ?? '');
    expect((await client.get('/runs/req-any')).status).toBe(503);
    await until(
      'the build stops',
      async () => (await stopped()).includes('hypershift.run') && !projector.serving('hypershift.run'),
    );
    expect((await fetch(`${service.origin}/readyz`)).status).toBe(200);
    expect((await client.get('/usage')).status).toBe(200);
    expect(await projector.skip('hypershift.run')).toBe(true);
    await until('it serves again', () => projector.serving('hypershift.run'));
    expect((await client.get('/runs/req-any')).status).toBe(404);
  });

  it('is where it was after a restart, and all else goes on', async () => {
    for (const poison of Object.values({ ...harmless, ...stopping })) await plant(poison);
    await projected();
    const names = await stopped();
    service = await service.restart();
    client = Hypershift.of(service);
    await projected();
    expect(await stopped()).toEqual(names);
    expect((await fetch(`${service.origin}/readyz`)).status).toBe(200);
    await worksOn();
    let skipped = 0;
    for (const name of names)
      while (await service.app.kernel.projector.skip(name)) {
        skipped += 1;
        await projected();
      }
    expect(await stopped()).toEqual([]);
    report(13, { poison: Object.keys({ ...harmless, ...stopping }).length, skipped });
  });
});
