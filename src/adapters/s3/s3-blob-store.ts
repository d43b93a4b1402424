import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type GetObjectCommandOutput,
  type HeadObjectCommandOutput,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { LRUCache } from 'lru-cache';
import { assertBlobKey } from '../../kernel/blob-key.js';
import { InvalidSettings, Unavailable } from '../../kernel/errors.js';
import { BlobStore, type BlobInfo, type PutOptions } from '../../kernel/ports/blob-store.js';
import type { Clock } from '../../kernel/ports/clock.js';
import { isChanged, isMissing, isOutOfRange, translated, translatedAtConnect } from './s3-errors.js';
import { locateS3, type S3Location } from './s3-location.js';
import { MEMORY_BYTES, spool, type SpooledContent } from './spooled-content.js';

export interface S3BlobStoreOptions {
  readonly clock: Clock;
  /** The longest that a request may take until it is answered, in ms; six times that for content to stand still. @default 10_000 */
  readonly timeoutMs?: number;
  /** Makes the bucket when it is not there. @default false */
  readonly createBucket?: boolean;
}

/** Facts that S3 does not keep by itself, as metadata of the object. */
const SHA256 = 'runledger-sha256';
const STORED_AT = 'runledger-stored-at';
const EXPIRES_AT = 'runledger-expires-at';
const NEVER = 'never';

const MAX_PARTS = 10_000;
const LOOKED_AT_ONCE = 16;
const PAGE = 1_000;
/** S3 refuses more. */
const MAX_PRESIGNED_MS = 604_800_000;
/** A blob may be replaced between two requests of ours. */
const ATTEMPTS = 10;

/** What S3 tells of an object, with its content or without. */
type Facts = Omit<HeadObjectCommandOutput, '$metadata'>;

/**
 * Blobs as objects of a bucket of S3, or of a server that speaks its protocol. An object's name is the blob's key.
 *
 * The server must keep a key apart from another that goes on behind it with a slash, as S3 does. Servers that make
 * folders of slashes refuse the second of two such keys, or do not list it.
 *
 * What a presigned URL uploads carries no checksum of ours. It is worked out from the content when it is first asked for.
 */
export class S3BlobStore extends BlobStore {
  private readonly checksums = new LRUCache<string, string>({ max: 10_000 });

  private constructor(
    private readonly location: S3Location,
    private readonly clock: Clock,
    private readonly timeoutMs: number,
  ) {
    super();
  }

  /**
   * @param url See `locateS3`.
   * @throws InvalidSettings when there is no such bucket, or the URL is none.
   * @throws Unavailable when the server does not answer. A store that is open finds its server again by itself.
   */
  static async connect(url: string, options: S3BlobStoreOptions): Promise<S3BlobStore> {
    const { clock, timeoutMs = 10_000, createBucket = false } = options;
    const location = locateS3(url, timeoutMs);
    const store = new S3BlobStore(location, clock, timeoutMs);
    try {
      await store.ask((signal) => openBucket(location, createBucket, signal));
    } catch (error) {
      await store.close();
      throw translatedAtConnect(error);
    }
    return store;
  }

  override async put(key: string, content: Readable | Uint8Array, options: PutOptions = {}): Promise<BlobInfo> {
    const { contentType = 'application/octet-stream', expiresAt, maxBytes = Infinity } = options;
    // The stream may fail while nobody reads it yet; reading it then gives the error again.
    if (content instanceof Readable) content.on('error', () => {});
    let spooled: SpooledContent | undefined;
    try {
      assertBlobKey(key);
      const expires = expiresAt === undefined ? null : new Date(expiresAt).toISOString();
      spooled = await spool(content, maxBytes);
      const { sizeBytes, sha256 } = spooled;
      const info = { key, sizeBytes, contentType, sha256, storedAt: this.clock.iso(), expiresAt: expires };
      await this.send(info, spooled);
      return info;
    } catch (error) {
      // Whoever feeds the stream must not wait for a reader that is gone.
      if (content instanceof Readable) content.destroy();
      throw error;
    } finally {
      await spooled?.dispose();
    }
  }

  override async stat(key: string): Promise<BlobInfo | undefined> {
    assertBlobKey(key);
    return available(() => this.look(key));
  }

  override async get(
    key: string,
    range?: { readonly start: number; readonly end: number },
  ): Promise<{ readonly info: BlobInfo; readonly content: Readable } | undefined> {
    assertBlobKey(key);
    return available(async () => {
      const bytes = range && rangeOf(range);
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        const found = bytes === null ? 'nothing of it' : await this.fetch(key, bytes);
        if (found === 'nothing of it') {
          const info = await this.look(key);
          return info && { info, content: Readable.from([]) };
        }
        if (!found) return undefined;
        // Facts and content of one answer belong together, whoever replaces the blob meanwhile.
        const { Body: content, ...head } = found as GetObjectCommandOutput & { Body: Readable };
        const sha256 = this.isOver(head) ? undefined : await this.checksum(key, head);
        if (sha256 !== undefined) return { info: infoOf(key, head, sha256), content };
        content.destroy();
        if (this.isOver(head)) return undefined;
      }
      throw new Unavailable('A blob changes faster than it can be read');
    });
  }

  override async list(
    prefix: string,
    options: { readonly after?: string; readonly limit?: number } = {},
  ): Promise<readonly BlobInfo[]> {
    const { after = '', limit = 1_000 } = options;
    const listed: BlobInfo[] = [];
    if (limit <= 0) return listed;
    await available(async () => {
      for await (const keys of this.keys(prefix, after, limit)) {
        const found = await inGroups(keys, (key) => this.look(key));
        listed.push(...found.filter((info) => info !== undefined));
        if (listed.length >= limit) return;
      }
    });
    return listed.slice(0, limit);
  }

  override async delete(key: string): Promise<void> {
    assertBlobKey(key);
    await available(() => this.remove(key));
  }

  override async sweep(): Promise<number> {
    return available(async () => {
      let removed = 0;
      for await (const keys of this.keys('', '', PAGE)) {
        const heads = await inGroups(keys, async (key) => ({ key, head: await this.head(key) }));
        const over = heads.filter(({ head }) => head && this.isOver(head));
        const gone = await inGroups(over, async ({ key, head }) => this.remove(key, head?.ETag));
        removed += gone.filter(Boolean).length;
      }
      return removed;
    });
  }

  /** @param expiresInMs Rounded down to whole seconds; S3 takes seven days at most. */
  override async presign(method: 'GET' | 'PUT', key: string, expiresInMs: number): Promise<string> {
    assertBlobKey(key);
    if (!Number.isSafeInteger(expiresInMs) || expiresInMs < 1_000 || expiresInMs > MAX_PRESIGNED_MS) {
      throw new RangeError('A presigned URL lasts from 1,000 ms to seven days');
    }
    const command = method === 'GET' ? new GetObjectCommand(this.object(key)) : new PutObjectCommand(this.object(key));
    const options = { expiresIn: Math.floor(expiresInMs / 1_000), signingDate: new Date(this.clock.now()) };
    return available(() => getSignedUrl(this.location.client, command, options));
  }

  override async close(): Promise<void> {
    this.location.client.destroy();
  }

  private object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.location.bucket, Key: this.location.prefix + key };
  }

  /** In one request, or in parts that become an object only when all of them are there. */
  private async send(info: BlobInfo, content: SpooledContent): Promise<void> {
    const { key, sizeBytes, contentType, sha256, storedAt, expiresAt } = info;
    const params: PutObjectCommandInput = {
      ...this.object(key),
      Body: content.body(),
      ContentType: contentType,
      Metadata: { [SHA256]: sha256, [STORED_AT]: storedAt, [EXPIRES_AT]: expiresAt ?? NEVER },
    };
    const { client } = this.location;
    await available(async () => {
      if (sizeBytes <= MEMORY_BYTES) {
        const ChecksumSHA256 = Buffer.from(sha256, 'hex').toString('base64');
        await client.send(new PutObjectCommand({ ...params, ChecksumSHA256 }));
        return;
      }
      const partSize = Math.max(MEMORY_BYTES, Math.ceil(sizeBytes / MAX_PARTS));
      await new Upload({ client, params, partSize, queueSize: 2 }).done();
    });
  }

  private async look(key: string): Promise<BlobInfo | undefined> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const head = await this.head(key);
      if (!head || this.isOver(head)) return undefined;
      const sha256 = await this.checksum(key, head);
      if (sha256 !== undefined) return infoOf(key, head, sha256);
    }
    throw new Unavailable('A blob changes faster than it can be read');
  }

  private async head(key: string): Promise<HeadObjectCommandOutput | undefined> {
    const { client } = this.location;
    try {
      return await this.ask((abortSignal) => client.send(new HeadObjectCommand(this.object(key)), { abortSignal }));
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  private async fetch(key: string, Range?: string): Promise<GetObjectCommandOutput | 'nothing of it' | undefined> {
    try {
      const command = new GetObjectCommand({ ...this.object(key), ...(Range && { Range }) });
      return await this.ask((abortSignal) => this.location.client.send(command, { abortSignal }));
    } catch (error) {
      if (isOutOfRange(error)) return 'nothing of it';
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** @returns undefined when the content is no longer the one that was asked about. */
  private async checksum(key: string, { ETag, LastModified, Metadata }: Facts): Promise<string | undefined> {
    if (Metadata?.[SHA256] !== undefined) return Metadata[SHA256];
    const name = `${ETag} ${LastModified?.getTime()} ${key}`;
    const known = this.checksums.get(name);
    if (known !== undefined) return known;
    const found = await this.fetch(key);
    if (typeof found !== 'object') return undefined;
    const content = found.Body as Readable;
    if (found.ETag !== ETag) {
      content.destroy();
      return undefined;
    }
    const hash = createHash('sha256');
    for await (const chunk of content) hash.update(chunk as Uint8Array);
    const sha256 = hash.digest('hex');
    this.checksums.set(name, sha256);
    return sha256;
  }

  private isOver({ Metadata }: Facts): boolean {
    return Date.parse(Metadata?.[EXPIRES_AT] ?? NEVER) <= this.clock.now(); // never: not a number, and so not past
  }

  /** Keys in byte order, page by page. */
  private async *keys(prefix: string, after: string, pageSize: number): AsyncGenerator<readonly string[]> {
    const { client, bucket: Bucket, prefix: base } = this.location;
    let StartAfter = after === '' ? undefined : base + after;
    for (;;) {
      const command = new ListObjectsV2Command({
        Bucket,
        Prefix: base + prefix,
        MaxKeys: Math.min(pageSize, PAGE),
        EncodingType: 'url', // XML cannot hold every character that a key can
        ...(StartAfter !== undefined && { StartAfter }),
      });
      const page = await this.ask((abortSignal) => client.send(command, { abortSignal }));
      const names = (page.Contents ?? []).map(({ Key = '' }) => (page.EncodingType === 'url' ? decoded(Key) : Key));
      yield names.map((name) => name.slice(base.length));
      if (!page.IsTruncated || names.length === 0) return;
      StartAfter = names.at(-1);
    }
  }

  /** @param IfMatch Leaves the object where it is another one by now. @returns whether it was removed. */
  private async remove(key: string, IfMatch?: string): Promise<boolean> {
    const command = new DeleteObjectCommand({ ...this.object(key), ...(IfMatch !== undefined && { IfMatch }) });
    try {
      await this.ask((abortSignal) => this.location.client.send(command, { abortSignal }));
      return true;
    } catch (error) {
      if (isMissing(error) || isChanged(error)) return false;
      throw error;
    }
  }

  /** Gives up when there is no answer in time. Content that follows the answer has its own time. */
  private async ask<Answer>(request: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.timeoutMs);
    try {
      return await request(late.signal);
    } finally {
      clearTimeout(timer);
    }
  }
}

async function openBucket({ client, bucket }: S3Location, create: boolean, abortSignal: AbortSignal): Promise<void> {
  try {
    await client.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal });
  } catch (error) {
    if (!isMissing(error)) throw error;
    if (!create) throw new InvalidSettings('S3_URL: there is no such bucket');
    await client.send(new CreateBucketCommand({ Bucket: bucket }), { abortSignal });
  }
}

function infoOf(key: string, facts: Facts, sha256: string): BlobInfo {
  const { ContentLength = 0, ContentRange, ContentType, LastModified = new Date(0), Metadata = {} } = facts;
  const expiresAt = Metadata[EXPIRES_AT] ?? NEVER;
  return {
    key,
    // Of a part, the range names the size of the whole: `bytes 2-4/10`.
    sizeBytes: ContentRange === undefined ? ContentLength : Number(ContentRange.split('/')[1]),
    contentType: ContentType ?? 'application/octet-stream',
    sha256,
    storedAt: Metadata[STORED_AT] ?? LastModified.toISOString(),
    expiresAt: expiresAt === NEVER ? null : expiresAt,
  };
}

/** @returns null for a range that holds nothing, whatever the content: S3 would take it for none at all. */
function rangeOf({ start, end }: { readonly start: number; readonly end: number }): string | null {
  const first = Math.max(0, start);
  if (end < first) return null;
  return `bytes=${first}-${Number.isFinite(end) ? end : ''}`;
}

function decoded(name: string): string {
  return decodeURIComponent(name.replaceAll('+', ' '));
}

/** Answers in the order of the questions, of which only so many are asked at once. */
async function inGroups<Item, Result>(items: readonly Item[], ask: (item: Item) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let from = 0; from < items.length; from += LOOKED_AT_ONCE) {
    results.push(...(await Promise.all(items.slice(from, from + LOOKED_AT_ONCE).map(ask))));
  }
  return results;
}

async function available<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translated(error);
  }
}
