import { describe, expect, it } from '@jest/globals';
import { resolve } from 'node:path';
import { InvalidSettings } from './errors.js';
import { readSettings, roles } from './settings.js';

const systems = ['alpha', 'beta'];
const read = (env: NodeJS.ProcessEnv = {}) => readSettings(env, systems);

/** The one line with which the start ends. */
function refusal(env: NodeJS.ProcessEnv): string {
  try {
    read(env);
  } catch (error) {
    if (error instanceof InvalidSettings) return error.message;
    throw error;
  }
  throw new Error('The settings were taken');
}

describe('settings', () => {
  it('have a default for everything', () => {
    expect(read()).toEqual({
      host: '127.0.0.1',
      port: 3_000,
      dataDir: resolve('./data'),
      publicUrl: undefined,
      root: undefined,
      roles: new Set(roles),
      logLevel: 'info',
      signingKey: undefined,
      tokens: [],
      workerConcurrency: 64,
      leaseMs: 15_000,
      bodyLimitBytes: 524_288,
      servers: { eventStore: undefined, mongo: undefined, nats: undefined, natsReplicas: 1, s3: undefined },
      webhookSecrets: [],
      webhookAllowCidrs: undefined,
    });
  });

  it('are taken from the environment', () => {
    expect(
      read({
        PORT: '0',
        RUNLEDGER_HOST: '::1',
        RUNLEDGER_DATA_DIR: '/var/lib/x',
        RUNLEDGER_PUBLIC_URL: 'https://runs.example.org/base//',
        RUNLEDGER_ROOT: 'beta',
        RUNLEDGER_ROLES: 'api, worker',
        RUNLEDGER_LOG_LEVEL: 'warn',
        RUNLEDGER_SIGNING_KEY: 'k',
        RUNLEDGER_WORKER_CONCURRENCY: '8',
        RUNLEDGER_LEASE_MS: '5000',
        RUNLEDGER_BODY_LIMIT_BYTES: '2048',
        EVENTSTORE_URL: 'esdb+discover://a:b@db:2113',
        MONGODB_URL: 'mongodb+srv://a:b@db/ledger',
        NATS_URL: 'nats://a:b@n1:4222,n2:4222',
        RUNLEDGER_NATS_REPLICAS: '3',
        S3_URL: 's3://bucket',
        WEBHOOK_SECRET: ' whsec_a  whsec_b ',
        WEBHOOK_ALLOW_CIDRS: '10.0.0.0/8',
      }),
    ).toEqual({
      host: '::1',
      port: 0,
      dataDir: '/var/lib/x',
      publicUrl: 'https://runs.example.org/base',
      root: 'beta',
      roles: new Set(['api', 'worker']),
      logLevel: 'warn',
      signingKey: 'k',
      tokens: [],
      workerConcurrency: 8,
      leaseMs: 5_000,
      bodyLimitBytes: 2_048,
      servers: {
        eventStore: 'esdb+discover://a:b@db:2113',
        mongo: 'mongodb+srv://a:b@db/ledger',
        nats: 'nats://a:b@n1:4222,n2:4222',
        natsReplicas: 3,
        s3: 's3://bucket',
      },
      webhookSecrets: ['whsec_a', 'whsec_b'],
      webhookAllowCidrs: '10.0.0.0/8',
    });
  });

  it('that are empty count as unset, whatever their name', () => {
    const names = [
      'PORT',
      'RUNLEDGER_HOST',
      'RUNLEDGER_ROOT',
      'RUNLEDGER_ROLES',
      'RUNLEDGER_SIGNING_KEY',
      'RUNLEDGER_TYPO',
    ];
    expect(read(Object.fromEntries(names.map((name) => [name, ''])))).toEqual(read());
  });

  it('of others are none of our business', () => {
    expect(read({ PATH: '/bin', RUNLEDGERISH: '1', NODE_ENV: 'production' })).toEqual(read());
  });

  it('cannot be changed once they are read', () => {
    expect(Object.isFrozen(read())).toBe(true);
  });

  it('that nobody knows stop the start, all of them named', () => {
    expect(refusal({ RUNLEDGER_DATADIR: '/x', RUNLEDGER_HOTS: 'y' })).toBe(
      "Unknown setting RUNLEDGER_DATADIR, RUNLEDGER_HOTS: see the README's table",
    );
  });

  it.each([
    ['PORT', '65536'],
    ['PORT', '-1'],
    ['PORT', ' '],
    ['PORT', '80.5'],
    ['PORT', '0x50'],
    ['PORT', 'http'],
    ['RUNLEDGER_PUBLIC_URL', 'runs.example.org'],
    ['RUNLEDGER_PUBLIC_URL', 'ftp://runs.example.org'],
    ['RUNLEDGER_ROOT', 'gamma'],
    ['RUNLEDGER_ROLES', 'api,cook'],
    ['RUNLEDGER_ROLES', ','],
    ['RUNLEDGER_LOG_LEVEL', 'loud'],
    ['RUNLEDGER_WORKER_CONCURRENCY', '0'],
    ['RUNLEDGER_WORKER_CONCURRENCY', '1001'],
    ['RUNLEDGER_BODY_LIMIT_BYTES', '1023'],
    ['RUNLEDGER_LEASE_MS', '999'],
    ['RUNLEDGER_NATS_REPLICAS', '6'],
    ['EVENTSTORE_URL', 'http://db:2113'],
    ['MONGODB_URL', 'db:27017'],
    ['NATS_URL', 'http://n1'],
    ['S3_URL', 'bucket'],
  ])('that do not hold stop the start with one line that names them: %s=%j', (name, value) => {
    const line = refusal({ [name]: value });
    expect(line).toMatch(new RegExp(`^Setting ${name}: .`));
    expect(line).not.toContain('\n');
  });

  it('that are secret are never quoted', () => {
    const secrets = { RUNLEDGER_SIGNING_KEY: 'hunter2-key', WEBHOOK_SECRET: 'hunter2-hook' };
    for (const wrong of [
      { PORT: 'x' },
      { MONGODB_URL: 'http://me:hunter2@db' },
      { RUNLEDGER_ROOT: 'gamma' },
      { RUNLEDGER_NEW: 'hunter2-new' },
    ]) {
      expect(refusal({ ...secrets, ...wrong })).not.toContain('hunter2');
    }
  });
});
