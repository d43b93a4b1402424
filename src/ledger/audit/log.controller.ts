import { applyDecorators, Controller, Get, Param, Query, type StreamableFile } from '@nestjs/common';
import { ApiBadRequestResponse, ApiOkResponse, ApiOperation, ApiProduces, ApiQuery, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { Kernel } from '../../kernel/kernel.js';
import type { Caller } from '../access/caller.js';
import { CurrentCaller, Needs } from '../access/needs.js';
import { assertSeesAll } from '../access/whole-ledger.js';
import { LedgerError } from '../ledger-error.js';
import { linesAnswer, logLines, MAX_LINES, streamLines } from '../stored-lines.js';
import { parsed } from '../work/work.dto.js';

const whole = (name: string) =>
  z
    .string(`give ${name} once`)
    .regex(/^\d{1,16}$/, 'a whole number')
    .transform(Number)
    .refine(Number.isSafeInteger, 'a whole number');
const limit = whole('limit')
  .refine((count) => count >= 1 && count <= MAX_LINES, `a whole number from 1 to ${MAX_LINES}`)
  .default(MAX_LINES);
const logQuery = z.strictObject({ after: whole('after').default(0), limit });
const streamQuery = z.strictObject({
  from: whole('from').optional(),
  order: z.enum(['asc', 'desc'], 'asc or desc').default('asc'),
  limit,
});

/** Events as they lie in the log, for those who do not want to trust this server. */
const Stored = (summary: string): MethodDecorator =>
  applyDecorators(
    Needs('read'),
    ApiOperation({
      summary,
      description:
        'JSON Lines: of each event `position`, `stream`, `revision`, `id`, `type`, the texts `data` and `metadata` as ' +
        'they were hashed, and `hash`. The last line is `{"next", "head"}`: where the next page begins (null on the ' +
        'last one), and how far the log is; a page without it was cut off. Pages may be shorter than their limit.',
    }),
    ApiQuery({ name: 'limit', required: false, schema: { type: 'integer', minimum: 1, maximum: MAX_LINES } }),
    ApiProduces('application/x-ndjson'),
    ApiOkResponse({ description: 'JSON Lines', schema: { type: 'string' } }),
    ApiBadRequestResponse({ type: LedgerError }),
  );

/** The log itself, so that anybody can recompute what proves it: `runledger audit verify --url`. */
@Controller('ledger/audit')
@ApiTags('audit')
export class LogController {
  constructor(private readonly kernel: Kernel) {}

  @Get('log')
  @Stored('The stored events of all streams, in the order of the log')
  @ApiQuery({ name: 'after', required: false, schema: { type: 'integer', minimum: 0, default: 0 } })
  async log(@CurrentCaller() caller: Caller, @Query() query: unknown): Promise<StreamableFile> {
    assertSeesAll(caller);
    const { after, limit: count } = parsed(logQuery, query);
    return linesAnswer(logLines(this.kernel.ports.log, after, count));
  }

  @Get('streams/:stream')
  @Stored('The stored events of one stream; none when there is no such stream')
  @ApiQuery({ name: 'from', required: false, description: 'The first revision', schema: { type: 'integer' } })
  @ApiQuery({ name: 'order', required: false, enum: ['asc', 'desc'] })
  async stream(
    @CurrentCaller() caller: Caller,
    @Param('stream') stream: string,
    @Query() query: unknown,
  ): Promise<StreamableFile> {
    assertSeesAll(caller);
    const { from, order, limit: count } = parsed(streamQuery, query);
    return linesAnswer(streamLines(this.kernel.ports.log, stream, from, count, order === 'desc'));
  }
}
