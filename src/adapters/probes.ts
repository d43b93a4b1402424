import { HeadBucketCommand } from '@aws-sdk/client-s3';
import { MongoClient } from 'mongodb';
import { connect } from 'nats';
import { Unavailable } from '../kernel/errors.js';
import { createLogger } from '../kernel/logger.js';
import type { Clock } from '../kernel/ports/clock.js';
import type { Settings } from '../kernel/settings.js';
import { EventStoreDbEventLog } from './eventstoredb/eventstoredb-event-log.js';
import { translatedAtConnect } from './s3/s3-errors.js';
import { serversOf } from './nats/nats-link.js';
import { locateS3 } from './s3/s3-location.js';

const TIMEOUT_MS = 5_000;

/** What a server said when it was asked who it is. */
export interface Probe {
  /** The variable that names it. */
  readonly setting: string;
  readonly product: string;
  /** Undefined where it cannot be had. */
  readonly version?: string | undefined;
  /** How far its clock is ahead of ours, in ms; undefined where it cannot be had. */
  readonly clockOffsetMs?: number | undefined;
  /** Why it cannot be used; holds no URL, which may hold a password. */
  readonly error?: string;
}

type Found = Pick<Probe, 'version' | 'clockOffsetMs'>;

/** Asks every server that the settings name, all at the same time. */
export async function probeServers({ servers }: Settings, clock: Clock): Promise<Probe[]> {
  const { eventStore, mongo, nats, s3 } = servers;
  const probes = [
    ask('EVENTSTORE_URL', 'EventStoreDB', eventStore, (url) => askEventStore(url, clock)),
    ask('MONGODB_URL', 'MongoDB', mongo, (url) => askMongo(url, clock)),
    ask('NATS_URL', 'NATS', nats, (url) => askNats(url, clock)),
    ask('S3_URL', 'S3', s3, askS3),
  ];
  return (await Promise.all(probes)).filter((probe) => probe !== undefined);
}

async function ask(
  setting: string,
  product: string,
  url: string | undefined,
  question: (url: string) => Promise<Found>,
): Promise<Probe | undefined> {
  if (url === undefined) return undefined;
  try {
    return { setting, product, ...(await question(url)) };
  } catch (error) {
    return { setting, product, error: reasonOf(error) };
  }
}

async function askEventStore(url: string, clock: Clock): Promise<Found> {
  const log = EventStoreDbEventLog.connect(url, { clock, logger: createLogger('silent') });
  const late = new AbortController();
  try {
    const timeout = clock.sleep(TIMEOUT_MS, late.signal).then(() => {
      throw new Unavailable(`no answer within ${TIMEOUT_MS} ms`);
    });
    await Promise.race([log.head(), timeout]);
    return {};
  } finally {
    late.abort();
    await log.close();
  }
}

async function askMongo(url: string, clock: Clock): Promise<Found> {
  const client = new MongoClient(url, {
    serverSelectionTimeoutMS: TIMEOUT_MS,
    connectTimeoutMS: TIMEOUT_MS,
    socketTimeoutMS: TIMEOUT_MS,
  });
  try {
    const admin = client.db('admin');
    const { version } = (await admin.command({ buildInfo: 1 })) as { version?: string };
    const asked = clock.now();
    const { localTime } = (await admin.command({ hello: 1 })) as { localTime?: Date };
    return { version, clockOffsetMs: localTime && offset(localTime.getTime(), asked, clock) };
  } finally {
    await client.close();
  }
}

async function askNats(url: string, clock: Clock): Promise<Found> {
  const connection = await connect({ ...serversOf(url), timeout: TIMEOUT_MS, reconnect: false });
  try {
    const manager = await connection.jetstreamManager({ timeout: TIMEOUT_MS });
    const asked = clock.now();
    // The server tells its time with each stream (2.10), so there has to be one.
    const [stream] = await manager.streams.list().next();
    const told = Date.parse((stream as { ts?: string } | undefined)?.ts ?? '');
    const clockOffsetMs = Number.isNaN(told) ? undefined : offset(told, asked, clock);
    return { version: connection.info?.version, clockOffsetMs };
  } finally {
    await connection.close();
  }
}

async function askS3(url: string): Promise<Found> {
  const { client, bucket } = locateS3(url, TIMEOUT_MS);
  try {
    await client.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal: AbortSignal.timeout(TIMEOUT_MS) });
    // The client takes note of a server's clock when requests would be refused for the difference.
    const { systemClockOffset } = client.config;
    return systemClockOffset === 0 ? {} : { clockOffsetMs: systemClockOffset };
  } catch (error) {
    throw translatedAtConnect(error);
  } finally {
    client.destroy();
  }
}

/** The server looked at its clock somewhere between question and answer. */
function offset(told: number, asked: number, clock: Clock): number {
  return Math.round(told - (asked + clock.now()) / 2);
}

function reasonOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string | number };
  const text = (message ?? String(error)).replace(/\b[\w+]+:\/\/\S+/g, '<url>');
  return code === undefined || text.includes(String(code)) ? text : `${text} (${code})`;
}
