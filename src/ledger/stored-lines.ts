import { StreamableFile } from '@nestjs/common';
import { Readable } from 'node:stream';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LogReader, Position, StoredEvent } from '../kernel/ports/event-log.js';
import type { StoredDocument, ViewReader } from '../kernel/ports/view-store.js';

/** The last line of a page. A page without it was cut off on its way. */
export interface PageEnd<Next> {
  /** Where the next page begins; null on the last one. */
  readonly next: Next | null;
}

/** Of a page of the log: how far the log was when the page was begun, too. */
export interface LogPageEnd extends PageEnd<Position> {
  readonly head: Position;
}

/** The most lines on one page, beside its end. */
export const MAX_LINES = 1_000;
/** So much text ends a page: a thousand events may hold a thousand MiB. */
const MAX_CHARACTERS = 4_000_000;
/** Read at once: how large they are is seen only then. */
const PORTION = 100;

/** JSON Lines, as an answer that is sent while it is read. Its beginning is there already: refusals are no part of it. */
export async function linesAnswer(chunks: AsyncGenerator<string>): Promise<StreamableFile> {
  const first = await chunks.next();
  const all = async function* (): AsyncGenerator<string> {
    if (first.done !== true) yield first.value;
    yield* chunks;
  };
  return new StreamableFile(Readable.from(all()), { type: 'application/x-ndjson; charset=utf-8' });
}

/** A page of the whole log, after a position, each event as it lies there. */
export function logLines(log: LogReader, after: Position, limit: number): AsyncGenerator<string> {
  return eventLines(
    log,
    after,
    limit,
    (from, count) => log.readAll(from, { limit: count }),
    ({ position }) => position,
  );
}

/** A page of one stream, from a revision on; rising, or falling where it is read backwards. */
export function streamLines(
  log: LogReader,
  stream: string,
  from: number | undefined,
  limit: number,
  backwards: boolean,
): AsyncGenerator<string> {
  const step = backwards ? -1 : 1;
  const read = async (at: number | undefined, count: number): Promise<readonly StoredEvent[]> => {
    if (at !== undefined && at < 0) return [];
    return log.readStream(stream, { limit: count, backwards, ...(at === undefined ? {} : { from: at }) });
  };
  return eventLines(log, from, limit, read, ({ revision }) => revision + step);
}

async function* eventLines<From>(
  log: LogReader,
  start: From,
  limit: number,
  read: (from: From, count: number) => Promise<readonly StoredEvent[]>,
  placeAfter: (event: StoredEvent) => From & number,
): AsyncGenerator<string> {
  const head = await log.head();
  let from = start;
  let left = limit;
  let characters = 0;
  let next: (From & number) | null = null;
  do {
    const portion = await read(from, Math.min(PORTION, left));
    let lines = '';
    for (const event of portion) {
      lines += `${eventLine(event)}\n`;
      from = next = placeAfter(event);
      left -= 1;
      characters += event.data.length + event.metadata.length;
      if (characters >= MAX_CHARACTERS) break;
    }
    if (portion.length === 0) next = null;
    if (lines !== '') yield lines;
    if (next === null) break;
    // The embedded store reads on this thread: others have their turn in between.
    await nextTurn();
  } while (left > 0 && characters < MAX_CHARACTERS);
  yield `${JSON.stringify({ next, head } satisfies LogPageEnd)}\n`;
}

function eventLine({ position, stream, revision, id, type, data, metadata, hash }: StoredEvent): string {
  return JSON.stringify({ position, stream, revision, id, type, data, metadata, hash });
}

/** A page of a view's documents in the order of their keys, after a place in it. @throws RangeError for no such place */
export async function* documentLines(
  store: ViewReader,
  collection: string,
  after: string | undefined,
  limit: number,
): AsyncGenerator<string> {
  let next = after;
  let left = limit;
  let characters = 0;
  do {
    const page = await store.find(collection, {
      limit: Math.min(PORTION, left),
      ...(next === undefined ? {} : { after: next }),
    });
    const lines = page.documents.map(documentLine).join('');
    next = page.next;
    left -= page.documents.length;
    characters += lines.length;
    if (lines !== '') yield lines;
    await nextTurn();
  } while (next !== undefined && left > 0 && characters < MAX_CHARACTERS);
  yield `${JSON.stringify({ next: next ?? null } satisfies PageEnd<string>)}\n`;
}

function documentLine({ key, position, doc }: StoredDocument): string {
  return `${JSON.stringify({ key, position, doc })}\n`;
}

/** Documents by key, deleted ones included, for as many of the keys as go into one answer. */
export async function documentsOf(
  store: ViewReader,
  collection: string,
  keys: readonly string[],
): Promise<{ readonly documents: readonly StoredDocument[]; readonly lookedUp: number }> {
  const documents: StoredDocument[] = [];
  let lookedUp = 0;
  for (let characters = 0; lookedUp < keys.length && characters < MAX_CHARACTERS;) {
    const portion = keys.slice(lookedUp, lookedUp + PORTION);
    const found = await store.load(collection, portion);
    documents.push(...found);
    lookedUp += portion.length;
    characters += found.reduce((sum, document) => sum + documentLine(document).length, 0);
  }
  return { documents, lookedUp };
}
