import { InvalidSettings, Unavailable } from '../../kernel/errors.js';

interface S3Failure extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $response?: { readonly headers?: Readonly<Record<string, string | undefined>> };
}

/** S3 refuses requests that are signed for a time further away than 15 minutes; the SDK corrects what is above 5. */
const MAX_SKEW_MS = 300_000;

/** What an error of the SDK is to callers: `Unavailable` where trying again later is right, else itself. */
export function translated(error: unknown): unknown {
  if (!(error instanceof Error) || !isPassing(error)) return error;
  return new Unavailable(`The blob store cannot be used: ${error.name} ${error.message}`.trim(), { cause: error });
}

/** The same for the first request of all, where a refusal is the setting's fault. */
export function translatedAtConnect(error: unknown): unknown {
  const status = statusOf(error) ?? 0;
  if (status === 401 || status === 403) return new InvalidSettings('S3_URL: the bucket is closed to these credentials');
  if (status === 301) return new InvalidSettings('S3_URL: the bucket is in another region');
  return translated(error);
}

/** Whether there is no such object, or no such upload. */
export function isMissing(error: unknown): boolean {
  return statusOf(error) === 404;
}

/** Whether the object is no longer the one that was meant. */
export function isChanged(error: unknown): boolean {
  return statusOf(error) === 412;
}

/** Whether the range begins behind the end. */
export function isOutOfRange(error: unknown): boolean {
  return statusOf(error) === 416;
}

function isPassing(error: S3Failure): boolean {
  const status = statusOf(error);
  if (status !== undefined && ((status >= 500 && status !== 501) || status === 408 || status === 429)) return true;
  if (['TimeoutError', 'AbortError', 'RequestTimeout', 'SlowDown'].includes(error.name)) return true;
  // The SDK learns the server's time from the refusal, and signs what comes next for it. Of several requests that are
  // refused at once it repeats only the first.
  if (status === 403 && isSkewed(error)) return true;
  // What the SDK has tried and got no answer to at all.
  return status === undefined && error.$metadata !== undefined && error.name !== 'CredentialsProviderError';
}

/** Whether the refusal may be about the time: an answer to HEAD has no body that would say so. */
function isSkewed({ name, $response }: S3Failure): boolean {
  const serverTime = Date.parse($response?.headers?.['date'] ?? '');
  return name === 'RequestTimeTooSkewed' || Math.abs(serverTime - Date.now()) > MAX_SKEW_MS;
}

function statusOf(error: unknown): number | undefined {
  return (error as S3Failure | undefined)?.$metadata?.httpStatusCode;
}
