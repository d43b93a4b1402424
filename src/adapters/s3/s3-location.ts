import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { InvalidSettings } from '../../kernel/errors.js';

/** Where blobs lie, and the client that reaches it. */
export interface S3Location {
  readonly client: S3Client;
  readonly bucket: string;
  /** What the names of all objects begin with: empty, or ending in a slash. */
  readonly prefix: string;
}

/** A stream may rest for longer than a request may take: the one who reads it may be slow. */
const SILENCE = 6;

/** S3 takes names of 1,024 bytes, and a key may have 900 of them. */
const MAX_PREFIX_BYTES = 124;

const FORM = 's3://bucket/prefix?region=… or https://key:secret@host/bucket/prefix?region=…';

/**
 * Reads `S3_URL`:
 *
 * - `s3://bucket/prefix?region=eu-central-1` is Amazon's, with the credentials that its SDK finds by itself.
 * - `https://key:secret@host:port/bucket/prefix?region=…` is another server, addressed by path. Without a region it is
 *   `us-east-1`; key and secret are percent-encoded, or left out and found as above.
 *
 * @throws InvalidSettings that does not name the URL: it holds a secret.
 */
export function locateS3(text: string, timeoutMs: number): S3Location {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const [bucket = '', ...folders] = url ? pathOf(url) : [];
  if (!url || !/^(s3|https?):$/.test(url.protocol) || bucket === '') throw new InvalidSettings(`S3_URL: ${FORM}`);
  const config: S3ClientConfig = {
    requestHandler: { connectionTimeout: timeoutMs, socketTimeout: timeoutMs * SILENCE },
    // Older servers know none of the newer checksums. We send our own where it counts.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  };
  const region = url.searchParams.get('region');
  if (url.protocol === 's3:') {
    if (region !== null) config.region = region;
  } else {
    config.region = region ?? 'us-east-1';
    config.endpoint = `${url.protocol}//${url.host}`;
    config.forcePathStyle = true;
    if (url.username !== '') {
      const [accessKeyId, secretAccessKey] = [url.username, url.password].map(decodeURIComponent) as [string, string];
      config.credentials = { accessKeyId, secretAccessKey };
    }
  }
  const prefix = folders.map((folder) => `${folder}/`).join('');
  if (Buffer.byteLength(prefix) > MAX_PREFIX_BYTES) throw new InvalidSettings('S3_URL: the prefix is too long');
  return { client: new S3Client(config), bucket, prefix };
}

function pathOf(url: URL): string[] {
  const path = url.pathname.split('/').map(decodeURIComponent);
  return [...(url.protocol === 's3:' ? [url.hostname] : []), ...path].filter((part) => part !== '');
}
