import type { TestServer } from './servers/server-process.mjs';
import { startS3 } from './servers/s3.mjs';
import { unique } from './unique.js';

/** A server that speaks S3's protocol. */
export interface TestS3 {
  /** The server's process, where it is ours to stop: undefined for one that `TEST_S3_URL` names. */
  readonly server: TestServer | undefined;
  /** `S3_URL` of a place that no other test uses: a bucket of its own, or a folder in the bucket of `TEST_S3_URL`. */
  newBucket(): string;
  close(): Promise<void>;
}

/** The server that `TEST_S3_URL` names with its bucket, or else one of our own. */
export async function openTestS3(given = process.env['TEST_S3_URL']): Promise<TestS3> {
  if (given) {
    return { server: undefined, newBucket: () => below(given, unique('test')), close: async () => undefined };
  }
  const server = await startS3();
  return { server, newBucket: () => below(server.url, unique('test')), close: () => server.close() };
}

function below(url: string, name: string): string {
  const whole = new URL(url);
  whole.pathname = `${whole.pathname.replace(/\/$/, '')}/${name}`;
  return whole.href;
}
