import { resolve } from 'node:path';
import { z } from 'zod';
import { parseTokens, type AccessToken } from './access-tokens.js';
import { InvalidSettings } from './errors.js';

/** Names that other parts of the process read for themselves, and that must not stop the start. */
const OURS = /^RUNLEDGER_/;
/** Of the command line, which may share its environment with the service. */
const CLIENT: ReadonlySet<string> = new Set(['RUNLEDGER_URL', 'RUNLEDGER_TOKEN']);

/** Digits alone: `Number` would take blanks for 0, and other spellings too. */
const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, 'not a whole number')
    .transform(Number)
    .pipe(z.number().min(min).max(max));
const text = z.string().min(1);
/** A URL that may hold a password: of one that will not do, nothing but the schemes that would is told. */
const server = (...schemes: readonly string[]) =>
  text.refine((value) => schemes.some((scheme) => value.startsWith(`${scheme}://`)), {
    error: `begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
  });

const schema = z.object({
  /** Where to listen. 0 takes a free port. */
  PORT: whole(0, 65_535).default(3000),
  RUNLEDGER_HOST: text.default('127.0.0.1'),
  /** Everything that is stored lies below this folder. */
  RUNLEDGER_DATA_DIR: text.default('./data'),
  /** The URL under which clients reach the server, without a trailing slash. Default: `http://<host>:<port>`. */
  RUNLEDGER_PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** One system that is also mounted at `/`, for clients that know no base path. */
  RUNLEDGER_ROOT: text.optional(),
  /** What this process does, separated by commas. */
  RUNLEDGER_ROLES: text.default('api,projector,dispatcher,worker'),
  RUNLEDGER_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  /** Ed25519 private key (PKCS #8, PEM or base64) for checkpoints. Default: a file in the data folder. */
  RUNLEDGER_SIGNING_KEY: text.optional(),
  /** Who may use `/ledger`: a JSON array of tokens, or the path of a file that holds one. */
  RUNLEDGER_TOKENS: text.optional(),
  /** Jobs that the workers of this process run at the same time. */
  RUNLEDGER_WORKER_CONCURRENCY: whole(1, 1_000).default(64),
  /** After so many ms of silence a process counts as gone, and others do what it had taken on. */
  RUNLEDGER_LEASE_MS: whole(1_000, 600_000).default(15_000),
  /** Largest request body in bytes, where a system sets no limit of its own. */
  RUNLEDGER_BODY_LIMIT_BYTES: whole(1_024, 104_857_600).default(524_288),
  /** EventStoreDB that holds the log. Default: the embedded store. */
  EVENTSTORE_URL: server('esdb', 'esdb+discover').optional(),
  /** MongoDB that holds the views. Default: the embedded store. */
  MONGODB_URL: server('mongodb', 'mongodb+srv').optional(),
  /** NATS with JetStream that carries work and events. Default: the embedded store, and this process. */
  NATS_URL: server('nats', 'tls').optional(),
  /** Nodes of a NATS cluster that keep each stream made here. */
  RUNLEDGER_NATS_REPLICAS: whole(1, 5).default(1),
  /** Bucket that holds artifacts. Default: files in the data folder. */
  S3_URL: server('s3', 'http', 'https').optional(),
  /** Standard Webhooks secret(s), separated by blanks: webhooks configured by environment are signed with each. */
  WEBHOOK_SECRET: text.optional(),
  /** Networks that webhook endpoints set by API may reach although they are not public. */
  WEBHOOK_ALLOW_CIDRS: text.optional(),
});

export const roles = ['api', 'projector', 'dispatcher', 'worker'] as const;
export type Role = (typeof roles)[number];

export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly dataDir: string;
  readonly publicUrl: string | undefined;
  readonly root: string | undefined;
  readonly roles: ReadonlySet<Role>;
  readonly logLevel: string;
  readonly signingKey: string | undefined;
  /** Empty: `/ledger` answers on this machine only. */
  readonly tokens: readonly AccessToken[];
  readonly workerConcurrency: number;
  readonly leaseMs: number;
  readonly bodyLimitBytes: number;
  readonly servers: {
    readonly eventStore: string | undefined;
    readonly mongo: string | undefined;
    readonly nats: string | undefined;
    readonly natsReplicas: number;
    readonly s3: string | undefined;
  };
  readonly webhookSecrets: readonly string[];
  readonly webhookAllowCidrs: string | undefined;
}

/** An empty variable counts as unset, here and in every system's own settings. */
export function withoutEmpty(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => (entry[1] ?? '') !== ''));
}

/**
 * Reads the settings of the service itself. Systems read their own variables in the same way.
 *
 * @param systems Names that `RUNLEDGER_ROOT` may have.
 * @throws InvalidSettings with one line that names the variable, and never its value where it may be a secret.
 */
export function readSettings(env: NodeJS.ProcessEnv, systems: readonly string[]): Settings {
  const given = withoutEmpty(env);
  const unknown = Object.keys(given).filter((name) => OURS.test(name) && !CLIENT.has(name) && !(name in schema.shape));
  if (unknown.length > 0) throw new InvalidSettings(`Unknown setting ${unknown.join(', ')}: see the README's table`);
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new InvalidSettings(`Setting ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
  }
  const value = parsed.data;
  if (value.RUNLEDGER_ROOT !== undefined && !systems.includes(value.RUNLEDGER_ROOT)) {
    throw new InvalidSettings(`Setting RUNLEDGER_ROOT: one of ${systems.join(', ')}`);
  }
  return Object.freeze({
    host: value.RUNLEDGER_HOST,
    port: value.PORT,
    dataDir: resolve(value.RUNLEDGER_DATA_DIR),
    publicUrl: value.RUNLEDGER_PUBLIC_URL?.replace(/\/+$/, ''),
    root: value.RUNLEDGER_ROOT,
    roles: parseRoles(value.RUNLEDGER_ROLES),
    logLevel: value.RUNLEDGER_LOG_LEVEL,
    signingKey: value.RUNLEDGER_SIGNING_KEY,
    tokens: parseTokens(value.RUNLEDGER_TOKENS),
    workerConcurrency: value.RUNLEDGER_WORKER_CONCURRENCY,
    leaseMs: value.RUNLEDGER_LEASE_MS,
    bodyLimitBytes: value.RUNLEDGER_BODY_LIMIT_BYTES,
    servers: {
      eventStore: value.EVENTSTORE_URL,
      mongo: value.MONGODB_URL,
      nats: value.NATS_URL,
      natsReplicas: value.RUNLEDGER_NATS_REPLICAS,
      s3: value.S3_URL,
    },
    webhookSecrets: (value.WEBHOOK_SECRET ?? '').split(/\s+/).filter((secret) => secret !== ''),
    webhookAllowCidrs: value.WEBHOOK_ALLOW_CIDRS,
  });
}

function parseRoles(value: string): ReadonlySet<Role> {
  const wanted = value.split(',').map((role) => role.trim());
  const wrong = wanted.find((role) => !(roles as readonly string[]).includes(role));
  if (wrong !== undefined)
    throw new InvalidSettings(`Setting RUNLEDGER_ROLES: ${wrong} is none of ${roles.join(', ')}`);
  return new Set(wanted as Role[]);
}
