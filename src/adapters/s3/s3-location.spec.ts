import { describe, expect, it } from '@jest/globals';
import { InvalidSettings } from '../../kernel/errors.js';
import { locateS3 } from './s3-location.js';

async function facts(url: string): Promise<unknown> {
  const { client, bucket, prefix } = locateS3(url, 1_000);
  const { config } = client;
  const endpoint = await config.endpoint?.();
  const at = endpoint && `${endpoint.protocol}//${endpoint.hostname}:${endpoint.port}`;
  return { bucket, prefix, region: await config.region(), at, byPath: config.forcePathStyle };
}

describe('S3_URL', () => {
  it('names a bucket of Amazon’s, a folder in it and its region', async () => {
    expect(await facts('s3://my-bucket/artifacts/v1?region=eu-central-1')).toEqual({
      bucket: 'my-bucket',
      prefix: 'artifacts/v1/',
      region: 'eu-central-1',
      at: undefined,
      byPath: false,
    });
  });

  it('names another server, addressed by path, with credentials', async () => {
    const url = 'http://key:s%2Fecret@127.0.0.1:9000/blobs';
    expect(await facts(url)).toEqual({
      bucket: 'blobs',
      prefix: '',
      region: 'us-east-1',
      at: 'http://127.0.0.1:9000',
      byPath: true,
    });
    const { accessKeyId, secretAccessKey } = await locateS3(url, 1_000).client.config.credentials();
    expect([accessKeyId, secretAccessKey]).toEqual(['key', 's/ecret']);
  });

  it.each(['', 'blobs', 'ftp://host/blobs', 's3://', `s3://b/${'x'.repeat(124)}`, 'https://key:hush@host'])(
    'is refused as %j, without a word of what it holds',
    (url) => {
      expect(() => locateS3(url, 1_000)).toThrow(InvalidSettings);
      expect(() => locateS3(url, 1_000)).not.toThrow(/hush|xxx/);
    },
  );
});
