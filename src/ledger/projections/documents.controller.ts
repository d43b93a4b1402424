import { Body, Controller, Get, HttpCode, Param, Post, Query, type StreamableFile } from '@nestjs/common';
import {
  ApiBadRequestResponse,
  ApiBody,
  ApiNotFoundResponse,
  ApiOkResponse,
  ApiOperation,
  ApiProduces,
  ApiProperty,
  ApiQuery,
  ApiTags,
} from '@nestjs/swagger';
import { z } from 'zod';
import { Refused } from '../../kernel/errors.js';
import { Kernel } from '../../kernel/kernel.js';
import type { StoredDocument } from '../../kernel/ports/view-store.js';
import { parseCollection } from '../../kernel/views/view.js';
import type { Caller } from '../access/caller.js';
import { CurrentCaller, Needs } from '../access/needs.js';
import { assertSeesAll } from '../access/whole-ledger.js';
import { LedgerError } from '../ledger-error.js';
import { documentLines, documentsOf, linesAnswer, MAX_LINES } from '../stored-lines.js';
import { parsed } from '../work/work.dto.js';

/** A cursor holds the key of a document, and that may be as long as a URL. */
const MAX_CURSOR = 16_384;
const WHOLE = `a whole number from 1 to ${MAX_LINES}`;
const pageQuery = z.strictObject({
  after: z.string('give after once').min(1).max(MAX_CURSOR).optional(),
  limit: z
    .string('give limit once')
    .regex(/^\d{1,4}$/, WHOLE)
    .transform(Number)
    .refine((count) => count >= 1 && count <= MAX_LINES, WHOLE)
    .default(MAX_LINES),
});
const keysRequest = z.strictObject({ keys: z.array(z.string().min(1)).min(1).max(MAX_LINES) });

export class KeysBody {
  @ApiProperty({ type: [String], minItems: 1, maxItems: MAX_LINES })
  keys!: string[];
}

export class StoredDocumentBody {
  @ApiProperty()
  key!: string;

  @ApiProperty({ type: 'integer', description: 'Of the last event that changed it' })
  position!: number;

  @ApiProperty({ type: Object, nullable: true, additionalProperties: true, description: 'Null where it was deleted' })
  doc!: StoredDocument['doc'];
}

export class DocumentsBody {
  @ApiProperty({ type: [StoredDocumentBody], description: 'Those that are there, in any order' })
  documents!: StoredDocumentBody[];

  @ApiProperty({ type: 'integer', description: 'So many of the keys went into this answer: ask for the others again' })
  lookedUp!: number;
}

/** What the views hold, as it is stored: compared with the log by `runledger replay --url`. */
@Controller('ledger/projections/:name/collections/:collection/documents')
@ApiTags('ledger')
export class DocumentsController {
  constructor(private readonly kernel: Kernel) {}

  @Get()
  @Needs('read')
  @ApiOperation({
    summary: 'The documents of a collection, in the order of their keys',
    description:
      'JSON Lines: of each document `key`, `position` and `doc`. The last line is `{"next"}`: give it as `after` for ' +
      'the next page, null on the last one; a page without it was cut off. Pages may be shorter than their limit.',
  })
  @ApiQuery({ name: 'after', required: false })
  @ApiQuery({ name: 'limit', required: false, schema: { type: 'integer', minimum: 1, maximum: MAX_LINES } })
  @ApiProduces('application/x-ndjson')
  @ApiOkResponse({ description: 'JSON Lines', schema: { type: 'string' } })
  @ApiBadRequestResponse({ type: LedgerError })
  @ApiNotFoundResponse({ description: 'There is no such projection, or no such collection of it', type: LedgerError })
  async page(
    @CurrentCaller() caller: Caller,
    @Param('name') name: string,
    @Param('collection') collection: string,
    @Query() query: unknown,
  ): Promise<StreamableFile> {
    assertSeesAll(caller);
    const { after, limit } = parsed(pageQuery, query);
    await this.assertThere(name, collection);
    try {
      return await linesAnswer(documentLines(this.kernel.ports.views, collection, after, limit));
    } catch (error) {
      if (error instanceof RangeError)
        throw new Refused('invalid', 'after: take it from the last line of another page');
      throw error;
    }
  }

  @Post()
  @Needs('read')
  @HttpCode(200)
  @ApiOperation({ summary: 'Documents of a collection by their keys, deleted ones included' })
  @ApiBody({ type: KeysBody })
  @ApiOkResponse({ type: DocumentsBody })
  @ApiBadRequestResponse({ type: LedgerError })
  @ApiNotFoundResponse({ description: 'There is no such projection, or no such collection of it', type: LedgerError })
  async byKey(
    @CurrentCaller() caller: Caller,
    @Param('name') name: string,
    @Param('collection') collection: string,
    @Body() body: unknown,
  ): Promise<DocumentsBody> {
    assertSeesAll(caller);
    const { keys } = parsed(keysRequest, body);
    await this.assertThere(name, collection);
    const { documents, lookedUp } = await documentsOf(this.kernel.ports.views, collection, keys);
    return { documents: [...documents], lookedUp };
  }

  /** @throws Refused `not_found`: also for collections of the store that hold no documents of a view. */
  private async assertThere(name: string, collection: string): Promise<void> {
    const view = this.kernel.registry.views.find((each) => each.name === name);
    if (!view) throw new Refused('not_found', `There is no projection ${name}`);
    const own = parseCollection(view, collection) && (await this.kernel.ports.views.collections()).includes(collection);
    if (!own) throw new Refused('not_found', `${name} has no collection ${collection}`);
  }
}
