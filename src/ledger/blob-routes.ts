import type { IncomingMessage } from 'node:http';
import { posix } from 'node:path';
import { finished, PassThrough } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { TooLarge } from '../kernel/errors.js';
import type { BlobInfo, BlobStore, PutOptions } from '../kernel/ports/blob-store.js';
import type { PresignedUrls } from '../kernel/presigned-url.js';

export interface BlobRoutesOptions {
  readonly store: BlobStore;
  readonly urls: PresignedUrls;
  /** Refuses larger uploads with 413. @default no limit */
  readonly maxBytes?: number;
}

/**
 * Serves presigned URLs: `GET` streams a blob, `PUT` stores one, with the URL as the only credential. 403 for a URL that
 * we did not sign or that is for the other method, 410 for an expired one, 404 when there is no blob.
 *
 * A Fastify plugin and no Nest controller, because bodies must reach the store as streams: the content type parsers of
 * the application read them into memory. Register it on the application's Fastify instance, before it listens:
 *
 *     await app.getHttpAdapter().getInstance().register(registerBlobRoutes, { store, urls });
 *
 * Errors other than those above go to the error handler of the instance.
 */
export async function registerBlobRoutes(fastify: FastifyInstance, options: BlobRoutesOptions): Promise<void> {
  const { store, urls, maxBytes } = options;
  const route = `${urls.path}*`;

  await fastify.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null)); // the handler reads `request.raw`

    scope.get(route, { exposeHeadRoute: false, config: { presigned: true } }, async (request, reply) => {
      const key = authorize(urls, request, reply);
      if (key === undefined) return reply;
      const found = await store.get(key);
      if (!found) return refuse(reply, 404, 'NOT_FOUND', 'There is no such blob');
      return reply.headers(contentHeaders(found.info)).send(found.content);
    });

    scope.put(route, { config: { presigned: true } }, async (request, reply) => {
      const key = authorize(urls, request, reply);
      if (key === undefined) return reply;
      const contentType = request.headers['content-type'];
      const put: PutOptions = { ...(contentType && { contentType }), ...(maxBytes !== undefined && { maxBytes }) };
      const content = detachable(request.raw);
      try {
        const info = await store.put(key, content, put);
        return await reply.header('etag', etag(info)).send('');
      } catch (error) {
        request.raw.unpipe(content).resume(); // lets the client finish sending, and read the answer
        if (error instanceof TooLarge) return refuse(reply, 413, 'TOO_LARGE', error.message);
        throw error;
      }
    });
  });
}

/** A body that a store may give up without taking the connection down before the answer. Fails when the body fails. */
function detachable(body: IncomingMessage): PassThrough {
  const content = new PassThrough();
  // The body may break off before the store has begun to read; the store is told when it does.
  content.on('error', () => {});
  finished(body, { writable: false }, (error) => void (error && content.destroy(error)));
  return body.pipe(content);
}

/** The key that the request's URL gives access to; undefined once the request has been refused. */
function authorize(urls: PresignedUrls, request: FastifyRequest, reply: FastifyReply): string | undefined {
  // The URL as it came: the router has decoded its own copy.
  const verdict = urls.verify(request.method, request.raw.url ?? '');
  if (verdict.result === 'ok') return verdict.key;
  if (verdict.result === 'expired') refuse(reply, 410, 'EXPIRED', 'The URL has expired');
  else refuse(reply, 403, 'INVALID_SIGNATURE', 'The URL is not valid for this request');
  return undefined;
}

function refuse(reply: FastifyReply, status: number, error: string, message: string): FastifyReply {
  return reply.code(status).send({ error, message });
}

/** Artifacts come from anybody, so a browser may save them but neither show nor run them. */
function contentHeaders(info: BlobInfo): Record<string, string | number> {
  const printable = /^[\x20-\x7e]+$/.test(info.contentType);
  return {
    'content-type': printable ? info.contentType : 'application/octet-stream',
    'content-length': info.sizeBytes,
    etag: etag(info),
    'x-content-type-options': 'nosniff',
    'content-disposition': `attachment; filename*=UTF-8''${encodeFilename(posix.basename(info.key))}`,
    'cache-control': 'private, no-cache',
  };
}

function etag({ sha256 }: BlobInfo): string {
  return `"${sha256}"`;
}

/** RFC 8187: encodeURIComponent leaves these four as they are. */
function encodeFilename(name: string): string {
  return encodeURIComponent(name).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
