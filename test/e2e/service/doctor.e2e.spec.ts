import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkClock, checkLag, checkNode } from '../../../src/cli/doctor-checks.js';
import {
  checkDuties,
  checkEndpoints,
  checkProjection,
  checkVersion,
  checkWork,
} from '../../../src/cli/doctor-server.js';
import { createApp } from '../../../src/app.js';
import { startApp, type TestApp } from '../../support/app.js';
import { eventually } from '../../support/eventually.js';
import { runCommand, type CommandOutcome } from '../../support/cli.js';
import { onStack } from '../../support/stack.js';

interface Finding {
  readonly check: string;
  readonly status: string;
  readonly found: string;
  readonly advice?: string;
}

const findingsOf = (outcome: CommandOutcome): readonly Finding[] =>
  outcome.json<{ findings: readonly Finding[] }>().findings;
const finding = (outcome: CommandOutcome, check: string): Finding | undefined =>
  findingsOf(outcome).find((each) => each.check === check);
const doctor = (env: NodeJS.ProcessEnv, ...args: string[]): Promise<CommandOutcome> =>
  runCommand(['doctor', '--json', ...args], env);

const anotherKey = (): string =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

describe('runledger doctor on a data folder', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'runledger-doctor-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const serveOnce = async (): Promise<void> => {
    const app = await createApp({ PORT: '0', RUNLEDGER_LOG_LEVEL: 'silent', RUNLEDGER_DATA_DIR: folder });
    await app.listen();
    await app.close();
  };

  it('finds nothing wrong before the first start, and leaves the folder as it is', async () => {
    const place = join(folder, 'not', 'yet');
    const outcome = await doctor({}, '--data', place);
    expect(outcome.code).toBe(0);
    expect(finding(outcome, 'data folder')?.found).toBe(`${place} is made at the first start`);
    expect(finding(outcome, 'signing key')?.found).toBe('there is none yet: the first start makes one');
    expect(findingsOf(outcome).map(({ check }) => check)).toEqual([
      'node',
      'settings',
      'data folder',
      'disk',
      'signing key',
    ]);
  });

  it('knows the key that signed, and how far the views are', async () => {
    await serveOnce();
    const outcome = await doctor({}, '--data', folder);
    expect(outcome.code).toBe(0);
    expect(finding(outcome, 'lock')?.found).toBe('no service has the data folder open');
    expect(finding(outcome, 'signing key')?.found).toBe('signed the newest checkpoint');
    expect(findingsOf(outcome).filter(({ check }) => check.startsWith('view ')).length).toBeGreaterThan(3);
  });

  it('finds that another key signed before, and that the key is lost', async () => {
    await serveOnce();
    const other = await doctor({ RUNLEDGER_SIGNING_KEY: anotherKey() }, '--data', folder);
    expect([other.code, finding(other, 'signing key')]).toMatchObject([
      1,
      {
        status: 'problem',
        found: 'another key signed the newest checkpoint',
        advice: expect.stringContaining('Put back'),
      },
    ]);
    await rm(join(folder, 'signing-key.pem'));
    const lost = await doctor({}, '--data', folder);
    expect([lost.code, finding(lost, 'signing key')?.found]).toEqual([1, 'it is missing, and the log has checkpoints']);
  });

  it('finds a key that is none, without showing it', async () => {
    const outcome = await doctor({ RUNLEDGER_SIGNING_KEY: 'c2VjcmV0LW9mLW1pbmU=' }, '--data', folder);
    expect(outcome.code).toBe(1);
    expect(finding(outcome, 'signing key')?.found).toMatch(/holds no Ed25519 private key/);
    expect(outcome.stdout).not.toContain('c2VjcmV0');
  });

  it('finds that the place of the folder is a file', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    const outcome = await doctor({}, '--data', file);
    expect([outcome.code, finding(outcome, 'data folder')?.found]).toEqual([1, `${file} is no folder`]);
  });

  it('stops at settings that do not hold, and names the variable', async () => {
    const outcome = await doctor({ RUNLEDGER_LEASE_MS: 'long', RUNLEDGER_DATA_DIR: folder });
    expect([outcome.code, finding(outcome, 'settings')]).toMatchObject([
      1,
      { status: 'problem', found: expect.stringContaining('RUNLEDGER_LEASE_MS') },
    ]);
  });

  it('names servers that do not answer, without their passwords', async () => {
    const env = {
      RUNLEDGER_DATA_DIR: folder,
      EVENTSTORE_URL: 'esdb://admin:planted@127.0.0.1:1?tls=false&maxDiscoverAttempts=1',
      MONGODB_URL: 'mongodb://admin:planted@127.0.0.1:1/x?serverSelectionTimeoutMS=200',
      NATS_URL: 'nats://admin:planted@127.0.0.1:1',
      S3_URL: 'http://admin:planted@127.0.0.1:1/bucket',
    };
    const outcome = await doctor(env);
    expect(outcome.code).toBe(1);
    for (const product of ['EventStoreDB', 'MongoDB', 'NATS', 'S3'])
      expect(finding(outcome, product)).toMatchObject({
        status: 'problem',
        advice: expect.stringContaining('_URL right'),
      });
    expect(outcome.stdout + outcome.stderr).not.toContain('planted');
  });
});

describe('runledger doctor --url', () => {
  let service: TestApp;
  beforeAll(async () => {
    service = await startApp();
  });
  afterAll(() => service.close());

  it('asks a running service for everything that it tells', async () => {
    const outcome = await eventually(async () => {
      const seen = await doctor({}, '--url', service.origin);
      return finding(seen, 'server')?.found === 'ready' ? seen : undefined;
    });
    expect(outcome.code).toBe(0);
    expect(finding(outcome, 'token')?.found).toBe('local: read, operate, work');
    expect(finding(outcome, 'clock of the server')?.status).toBe('ok');
    expect(finding(outcome, 'version')).toMatchObject({ status: 'ok', found: expect.stringMatching(/^\d+\.\d+\.\d+/) });
    expect(finding(outcome, 'duties')?.found).toMatch(/^all \d+ are done by somebody$/);
    expect(finding(outcome, 'dead letters')?.found).toBe('none');
    expect(finding(outcome, 'endpoints')?.found).toBe('0, and none fails');
    expect(findingsOf(outcome).filter(({ check }) => check.startsWith('view ')).length).toBeGreaterThan(3);
  });

  (onStack ? it.skip : it)('leaves a folder alone that a service has open', async () => {
    const outcome = await doctor({}, '--data', service.dataDir);
    expect([outcome.code, finding(outcome, 'lock')?.found]).toEqual([0, expect.stringContaining('with --url')]);
  });

  it('says where nobody answers', async () => {
    const outcome = await doctor({}, '--url', 'http://127.0.0.1:9');
    expect([outcome.code, finding(outcome, 'server')]).toMatchObject([
      1,
      { status: 'problem', found: expect.stringContaining('does not answer') },
    ]);
  });

  it('shows people one line for each, and what to do', async () => {
    const { stdout } = await runCommand(['doctor', '--url', 'http://127.0.0.1:9']);
    expect(stdout).toMatch(/^ok {6}node: 24\.\S+\nPROBLEM server: .*\n {8}Start it, or correct --url$/);
  });

  it('compares clocks with a server that is an hour behind', async () => {
    const server: Server = createServer((_, response) => {
      response.sendDate = false;
      response.setHeader('date', new Date(Date.now() - 3_600_000).toUTCString());
      response.end('{"status":"ready","views":{}}');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const outcome = await doctor({}, '--url', `http://127.0.0.1:${port}`);
    expect(finding(outcome, 'clock of the server')).toMatchObject({
      status: 'problem',
      found: expect.stringMatching(/ s behind this machine$/),
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('runledger doctor --url, of a service where much is amiss', () => {
  let service: TestApp;
  beforeAll(async () => {
    const tokens = [
      { name: 'reader', token: 'r', scopes: ['read'] },
      { name: 'acme', token: 'a', scopes: ['read'], tenants: ['acme'] },
      { name: 'worker', token: 'w', scopes: ['work'] },
    ];
    service = await startApp({ RUNLEDGER_ROLES: 'api', RUNLEDGER_TOKENS: JSON.stringify(tokens) });
  });
  afterAll(() => service.close());
  const asked = (token: string): Promise<CommandOutcome> => doctor({ RUNLEDGER_TOKEN: token }, '--url', service.origin);

  it('finds what nobody does, and what was given up', async () => {
    const { queue } = service.app.kernel.ports;
    await queue.put([{ id: 'job-1', kind: 'sample.task', group: 'g', payload: {} }]);
    const [lease] = await queue.lease({ kinds: ['sample.task'], worker: 'a', leaseMs: 60_000, waitMs: 10_000 });
    if (!lease) throw new Error('Nothing was leased');
    await queue.bury(lease, 'broken');
    const outcome = await asked('r');
    expect(outcome.code).toBe(1);
    expect(finding(outcome, 'duties')).toMatchObject({
      status: 'problem',
      found: expect.stringMatching(/runledger\.runs@\d+ is free/),
      advice: expect.stringMatching(/role dispatcher and projector \(RUNLEDGER_ROLES\)/),
    });
    expect(finding(outcome, 'dead letters')).toMatchObject({ status: 'warning', found: '1 of sample.task' });
  });

  it.each([
    ['a', 'acme: read, for acme'],
    ['w', 'worker: work'],
  ])('says what it cannot see with the token %s', async (token, found) => {
    const outcome = await asked(token);
    expect(finding(outcome, 'token')?.found).toBe(found);
    expect(finding(outcome, 'operation')).toMatchObject({
      status: 'warning',
      advice: 'Give a token with the scope read, for all tenants',
    });
    expect(finding(outcome, 'duties')).toBeUndefined();
  });

  it('finds that the token is none', async () => {
    const outcome = await asked('nobody');
    expect([outcome.code, finding(outcome, 'token')]).toMatchObject([1, { status: 'problem' }]);
    expect(findingsOf(outcome).map(({ check }) => check)).not.toContain('operation');
  });
});

const duty = { role: 'projector', name: 'v@1', holder: null, here: false, since: null, until: null } as const;
const projection = {
  name: 'v',
  version: 1,
  state: 'live' as const,
  collection: 'v.v1.1',
  position: 7,
  head: 7,
  lag: { events: 0, exact: true, seconds: 0 },
  rate: null,
  errors: [],
  rebuild: null,
  collections: [],
};
const stop = { collection: 'v.v1.1', position: 7, eventId: 'e', stream: 's', error: 'no' };
const kind = { kind: 'k', foreign: false, waiting: 0, delayed: 0, leased: 0, dead: 0, oldestMs: null };
const endpoint = (disabled: string | null, failingSince: string | null) =>
  ({
    id: 'we_1',
    disabled: disabled === null ? null : { reason: disabled, at: '2026-01-30T12:00:00Z' },
    health: { failingSince },
  }) as Parameters<typeof checkEndpoints>[0][number];

describe('a finding', () => {
  it.each([
    [checkNode('24.1.0'), 'ok'],
    [checkNode('20.19.0'), 'problem'],
    [checkClock('clock', -999), 'ok'],
    [checkClock('clock', 1_000), 'warning'],
    [checkClock('clock', -60_000), 'problem'],
    [checkLag('v', 9_999), 'ok'],
    [checkLag('v', 10_000), 'warning'],
    [checkVersion('0.0.0'), 'warning'],
    [checkDuties([{ ...duty, state: 'held' }]), 'ok'],
    [checkDuties([{ ...duty, state: 'silent' }]), 'warning'],
    [checkDuties([{ ...duty, state: 'free' }]), 'problem'],
    [checkProjection(projection), 'ok'],
    [checkProjection({ ...projection, lag: { events: 10_000, exact: false, seconds: 9 } }), 'warning'],
    [checkProjection({ ...projection, state: 'paused' }), 'warning'],
    [checkProjection({ ...projection, state: 'stopped', errors: [stop] }), 'problem'],
    [checkWork([kind])[0] as Finding, 'ok'],
    [checkWork([{ ...kind, dead: 2 }])[0] as Finding, 'warning'],
    [checkEndpoints([])[0] as Finding, 'ok'],
    [checkEndpoints([endpoint('operator', null)])[0] as Finding, 'ok'],
    [checkEndpoints([endpoint('failing', null)])[0] as Finding, 'warning'],
    [checkEndpoints([endpoint(null, '2026-01-30T12:00:00Z')])[0] as Finding, 'warning'],
  ])('%j is %s', (found, status) => {
    expect([found.status, found.advice === undefined]).toEqual([status, status === 'ok']);
  });
});
