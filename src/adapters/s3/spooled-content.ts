import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { TooLarge, Unavailable } from '../../kernel/errors.js';

/** Content of which everything is known before any of it is sent. */
export interface SpooledContent {
  readonly sizeBytes: number;
  /** In hex. */
  readonly sha256: string;
  /** The whole content where it is small, else a stream of it. */
  body(): Uint8Array | Readable;
  dispose(): Promise<void>;
}

/** Larger content is kept in a temporary file. */
export const MEMORY_BYTES = 8_388_608;

/**
 * Takes content in, to memory or to a temporary file. An object's facts are sent before its content and cannot be
 * changed after it; so its checksum must be known by then.
 *
 * @throws TooLarge above `maxBytes`.
 * @throws Unavailable when the temporary file cannot be written. Errors of the stream are thrown as they are.
 */
export async function spool(content: Readable | Uint8Array, maxBytes: number): Promise<SpooledContent> {
  const hash = createHash('sha256');
  const chunks: Uint8Array[] = [];
  let file: TemporaryFile | undefined;
  let sizeBytes = 0;
  try {
    for await (const chunk of content instanceof Readable ? content : [content]) {
      const bytes = chunk instanceof Uint8Array ? chunk : Buffer.from(chunk as string);
      sizeBytes += bytes.byteLength;
      if (sizeBytes > maxBytes) throw new TooLarge(`The content exceeds ${maxBytes} bytes`, maxBytes);
      hash.update(bytes);
      if (sizeBytes > MEMORY_BYTES) file ??= await TemporaryFile.create();
      chunks.push(bytes);
      // The first time, everything that came before goes along.
      if (file) await file.write(chunks.splice(0));
    }
    await file?.finish();
  } catch (error) {
    await file?.remove();
    throw error;
  }
  const written = file;
  return {
    sizeBytes,
    sha256: hash.digest('hex'),
    body: () => written?.read() ?? Buffer.concat(chunks),
    dispose: async () => written?.remove(),
  };
}

class TemporaryFile {
  private constructor(
    private readonly folder: string,
    private readonly handle: FileHandle,
  ) {}

  static async create(): Promise<TemporaryFile> {
    return usable(async () => {
      const folder = await mkdtemp(join(tmpdir(), 'runledger-blob-'));
      return new TemporaryFile(folder, await open(join(folder, 'content'), 'wx', 0o600));
    });
  }

  async write(chunks: readonly Uint8Array[]): Promise<void> {
    await usable(async () => {
      for (const chunk of chunks) await this.handle.writeFile(chunk); // goes on from where the last one ended
    });
  }

  async finish(): Promise<void> {
    await usable(() => this.handle.close());
  }

  read(): Readable {
    return createReadStream(join(this.folder, 'content'), { highWaterMark: 1_048_576 });
  }

  async remove(): Promise<void> {
    await this.handle.close().catch(() => undefined);
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function usable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Unavailable('The folder for temporary files cannot be used', { cause: error });
  }
}
