import { Controller, Get, Header, Headers, Param, Query, Req, Res, UsePipes } from '@nestjs/common';
import { ApiHeader, ApiOkResponse, ApiOperation, ApiParam, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Refused } from '../../kernel/errors.js';
import { Kernel } from '../../kernel/kernel.js';
import type { Caller } from '../access/caller.js';
import { CurrentCaller, Needs } from '../access/needs.js';
import { LedgerError } from '../ledger-error.js';
import { ledgerQuery } from '../query.js';
import { EventFeed } from './event-feed.js';
import type { EventCriteria } from './event-filter.js';
import { EventPages, type EventPage, type StreamPage } from './event-pages.js';
import * as dto from './events.dto.js';

const JSON_TYPE = 'application/json; charset=utf-8';
/** After how many ms a client connects again by itself. */
const RETRY_MS = 1_000;
const INVALID = { status: 400, description: 'A parameter is not valid, or not known', type: LedgerError };

/** Everything that happened, to read and to listen to. */
@Controller('ledger')
@UsePipes(ledgerQuery)
@ApiTags('ledger')
export class EventsController {
  constructor(
    private readonly kernel: Kernel,
    private readonly pages: EventPages,
    private readonly feed: EventFeed,
  ) {}

  @Get('events')
  @Needs('read')
  @Header('content-type', JSON_TYPE)
  @ApiOperation({
    summary: 'Events of all systems, page by page',
    description:
      'Found in the log itself, which a request looks through for a bounded part: a page may hold fewer events than `limit`, or none, and `next` goes on from there. There are more exactly as long as `next` is not null.',
  })
  @ApiOkResponse({ type: dto.EventPageBody })
  @ApiResponse(INVALID)
  async list(@Query() query: dto.EventPageQuery, @CurrentCaller() caller: Caller): Promise<string> {
    const { order = 'asc', limit = dto.DEFAULT_LIMIT, cursor } = query;
    const page = await this.pages.list(dto.filterOf(query, caller), order, limit, cursor);
    return pageText(page, { position: page.position });
  }

  @Get('events/stream')
  @Needs('read')
  @ApiOperation({
    summary: 'Events as they are recorded, as Server-Sent Events',
    description:
      'Each message is one event in JSON, its id the position. After a break, `Last-Event-ID` (or `after`) goes on without a gap; an event may come twice, and is known by its `id`. Without either the stream begins with what is recorded from now on, or with `from`. A comment and the present position come every 15 s. Whoever does not take what is sent for 30 s is disconnected.',
  })
  @ApiHeader({ name: 'Last-Event-ID', required: false, description: 'The last id received: goes before `after`' })
  @ApiProduces('text/event-stream')
  @ApiOkResponse({
    description: 'The stream; it has no end',
    content: { 'text/event-stream': { schema: { type: 'string' } } },
  })
  @ApiResponse(INVALID)
  async stream(
    @Query() query: dto.EventFilterQuery,
    @CurrentCaller() caller: Caller,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
    @Headers('last-event-id') lastEventId?: string,
  ): Promise<void> {
    const resumed = dto.positionOf('Last-Event-ID', lastEventId === '' ? undefined : lastEventId);
    const filter = dto.filterOf(query, caller, resumed);
    const start = await this.startOf(filter.criteria);
    // From here on the answer is written by hand: it has no end that anybody would wait for.
    reply.hijack();
    reply.raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-correlation-id': request.ledger?.correlationId ?? '',
    });
    if (request.method === 'HEAD') return void reply.raw.end();
    // Whoever is cut off before the first event goes on from here.
    reply.raw.write(`retry: ${RETRY_MS}\nid: ${start}\n\n`);
    await this.feed.serve(reply.raw, filter, start);
  }

  @Get('streams/:stream')
  @Needs('read')
  @Header('content-type', JSON_TYPE)
  @ApiOperation({ summary: 'The events of one stream, page by page' })
  @ApiParam({ name: 'stream', description: '`<system>.<aggregate>-<id>`' })
  @ApiOkResponse({ type: dto.StreamPageBody })
  @ApiResponse(INVALID)
  @ApiResponse({ status: 404, description: 'There is no such stream for the caller', type: LedgerError })
  async streamPage(
    @Param('stream') stream: string,
    @Query() query: dto.PageQuery,
    @CurrentCaller() caller: Caller,
  ): Promise<string> {
    const { order = 'asc', limit = dto.DEFAULT_LIMIT, cursor } = query;
    return pageText(await this.pages.stream(stream, caller, order, limit, cursor));
  }

  /** Where a stream of events begins. @throws Refused `invalid` for a place that the log has not reached. */
  private async startOf(criteria: EventCriteria): Promise<number> {
    const head = await this.kernel.ports.log.head();
    if (criteria.after !== undefined) {
      if (criteria.after > head)
        throw new Refused('invalid', `The log ends at ${head}, before the position to go on from`);
      return criteria.after;
    }
    if (criteria.fromMs === undefined) return head;
    return (await this.pages.narrow(criteria)).after;
  }
}

/** The events are JSON already: they are put in as they are. */
function pageText({ events, next, previous }: EventPage | StreamPage, more: object = {}): string {
  const tail = JSON.stringify({ next, previous, ...more });
  return `{"events":[${events.map(({ json }) => json).join(',')}],${tail.slice(1)}`;
}
