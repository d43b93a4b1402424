import { z } from 'zod';
import { storedEvent } from '../kernel/audit/verify-bundle.js';
import type { LogReader, Position, ReadAllOptions, ReadStreamOptions, StoredEvent } from '../kernel/ports/event-log.js';
import type { Page, StoredDocument, ViewQuery, ViewReader } from '../kernel/ports/view-store.js';
import { parseCollection, type AnyView } from '../kernel/views/view.js';
import type { LogPageEnd, PageEnd } from '../ledger/stored-lines.js';
import { Failed } from './cli.js';
import type { ServerClient } from './server-client.js';

const PAGE = 1_000;
/** So many keys are looked up at once; a request body holds them, whatever they are. */
const KEYS = 200;
/** A page is some millions of characters long at most: whoever sends more is not to be listened to. */
const MAX_PAGE_CHARACTERS = 64_000_000;

const whole = z.number().int();
const eventEnd: z.ZodType<LogPageEnd> = z.strictObject({ next: whole.nullable(), head: whole });
const documentEnd: z.ZodType<PageEnd<string>> = z.strictObject({ next: z.string().nullable() });
const storedDocument = z.object({
  key: z.string(),
  position: whole,
  doc: z.record(z.string(), z.unknown()).nullable(),
});
const foundDocuments = z.object({ documents: z.array(storedDocument), lookedUp: whole.min(1) });
const listed = z.object({
  projections: z.array(z.object({ name: z.string(), collections: z.array(z.object({ name: z.string() })) })),
});

/** The log of a running server, as it lies there. Whoever reads it believes of it what can be verified. */
export class RemoteLog implements LogReader {
  constructor(
    private readonly server: ServerClient,
    private readonly signal: AbortSignal,
  ) {}

  async readAll(from: Position, { limit = PAGE }: ReadAllOptions = {}): Promise<readonly StoredEvent[]> {
    const query = { after: from, limit: Math.min(limit, PAGE) };
    const { lines: events } = await this.page('/ledger/audit/log', query);
    let before = from;
    for (const { position } of events) {
      // Otherwise whoever reads on from the last of them would never come to an end.
      if (position <= before) throw new Failed('The server does not give its events in the order of their positions');
      before = position;
    }
    return events;
  }

  async readStream(stream: string, options: ReadStreamOptions = {}): Promise<readonly StoredEvent[]> {
    const { from, backwards = false, limit = PAGE } = options;
    const query = { from, order: backwards ? 'desc' : 'asc', limit: Math.min(limit, PAGE) };
    const { lines: events } = await this.page(`/ledger/audit/streams/${encodeURIComponent(stream)}`, query);
    if (events.some((event) => event.stream !== stream))
      throw new Failed('The server gives events of another stream than was asked for');
    return events;
  }

  async head(): Promise<Position> {
    return (await this.page('/ledger/audit/log', { limit: 1 })).end.head;
  }

  private async page(
    path: string,
    query: Readonly<Record<string, string | number | undefined>>,
  ): Promise<{ readonly lines: readonly StoredEvent[]; readonly end: LogPageEnd }> {
    const page = await pageOf(this.server.lines(path, query, MAX_PAGE_CHARACTERS, this.signal), storedEvent, eventEnd);
    if (page.lines.length === 0 && page.end.next !== null)
      throw new Failed('The server gives an empty page, and says that there is more');
    return page;
  }
}

/** What is stored of the views of a running server. */
export class RemoteViews implements ViewReader {
  constructor(
    private readonly server: ServerClient,
    private readonly views: readonly AnyView[],
    private readonly signal: AbortSignal,
  ) {}

  /** Those of views that the server's code knows: what it does not know it does not fold. */
  async collections(): Promise<readonly string[]> {
    const answer = await this.server.get<unknown>('/ledger/projections', {}, this.signal);
    const { projections } = checked(listed, answer);
    return projections.flatMap(({ collections }) => collections.map(({ name }) => name));
  }

  async load(collection: string, keys: readonly string[]): Promise<readonly StoredDocument[]> {
    const found: StoredDocument[] = [];
    for (let at = 0; at < keys.length;) {
      const asked = { keys: keys.slice(at, at + KEYS) };
      const answer = await this.server.post<unknown>(this.pathOf(collection), asked, this.signal);
      const { documents, lookedUp } = checked(foundDocuments, answer);
      found.push(...documents);
      at += lookedUp;
    }
    return found;
  }

  /** In the order of the keys, and without any condition. */
  async find(collection: string, { limit = PAGE, after }: ViewQuery): Promise<Page> {
    const query = { after, limit: Math.min(limit, PAGE) };
    const lines = this.server.lines(this.pathOf(collection), query, MAX_PAGE_CHARACTERS, this.signal);
    const { lines: documents, end } = await pageOf(lines, storedDocument, documentEnd);
    return { documents, ...(end.next === null ? {} : { next: end.next }) };
  }

  private pathOf(collection: string): string {
    const view = this.views.find((each) => parseCollection(each, collection) !== undefined);
    const [name, own] = [view?.name ?? '', collection].map(encodeURIComponent);
    return `/ledger/projections/${name}/collections/${own}/documents`;
  }
}

/** The lines of a page, up to the one that ends it. @throws Failed for a page that was cut off, or is none. */
async function pageOf<Line, End>(
  texts: AsyncIterable<string>,
  line: z.ZodType<Line>,
  end: z.ZodType<End>,
): Promise<{ readonly lines: Line[]; readonly end: End }> {
  const lines: Line[] = [];
  let last: string | undefined;
  for await (const text of texts) {
    if (last !== undefined) lines.push(checked(line, parse(last)));
    last = text;
  }
  const ended = end.safeParse(last === undefined ? undefined : parse(last));
  if (!ended.success) throw new Failed('The answer of the server was cut off on its way: try again');
  return { lines, end: ended.data };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Failed('The answer of the server is no JSON, or was cut off on its way', { cause });
  }
}

function checked<Value>(shape: z.ZodType<Value>, value: unknown): Value {
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Failed(`The server answers what was not asked for: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
}
