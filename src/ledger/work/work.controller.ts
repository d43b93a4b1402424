import { Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiQuery, ApiResponse, ApiTags } from '@nestjs/swagger';
import { Kernel } from '../../kernel/kernel.js';
import type { Caller } from '../access/caller.js';
import { CurrentCaller, Needs } from '../access/needs.js';
import { assertSeesAll } from '../access/whole-ledger.js';
import { LedgerError } from '../ledger-error.js';
import { DeadLetters } from './dead-letters.js';
import { deadQuery, DeadJobsBody, DeadOutcomeBody, parsed, WorkBody } from './work.dto.js';

const NOT_FOUND = { status: 404, description: 'There is no such dead letter', type: LedgerError };
const CONFLICT = { status: 409, description: 'Somebody else has just dealt with it', type: LedgerError };

/** The work queue, for those who operate it. */
@Controller('ledger/work')
@ApiTags('ledger')
export class WorkController {
  constructor(
    private readonly kernel: Kernel,
    private readonly letters: DeadLetters,
  ) {}

  @Get()
  @Needs('read')
  @ApiOperation({ summary: 'How much work waits, for how long, runs, and was given up, by kind' })
  @ApiOkResponse({ type: WorkBody })
  async stats(@CurrentCaller() caller: Caller): Promise<WorkBody> {
    assertSeesAll(caller);
    const { queue } = this.kernel.ports;
    const foreign = new Set(this.kernel.foreign.kinds);
    const held = await queue.stats();
    const none = { waiting: 0, delayed: 0, leased: 0, dead: 0, oldestMs: null };
    const idle = [...foreign]
      .filter((kind) => held.every((each) => each.kind !== kind))
      .map((kind) => ({ kind, ...none }));
    const kinds = [...held, ...idle].map((each) => ({ ...each, foreign: foreign.has(each.kind) }));
    return { kinds: kinds.sort((a, b) => (a.kind < b.kind ? -1 : 1)) };
  }

  @Get('dead')
  @Needs('read')
  @ApiOperation({ summary: 'Jobs that were given up' })
  @ApiQuery({ name: 'kind', required: false })
  @ApiQuery({ name: 'limit', required: false, schema: { type: 'integer', minimum: 1, maximum: 1_000, default: 100 } })
  @ApiOkResponse({ type: DeadJobsBody })
  @ApiResponse({ status: 400, description: 'A parameter is not valid, or not known', type: LedgerError })
  async dead(@CurrentCaller() caller: Caller, @Query() query: unknown): Promise<DeadJobsBody> {
    assertSeesAll(caller);
    const { kind, limit } = parsed(deadQuery, query);
    return { jobs: await this.letters.list(kind, limit) };
  }

  @Post('dead/:id/requeue')
  @Needs('operate')
  @HttpCode(200)
  @ApiOperation({ summary: 'Try a job again, its attempts counted anew' })
  @ApiOkResponse({ type: DeadOutcomeBody })
  @ApiResponse(NOT_FOUND)
  @ApiResponse(CONFLICT)
  requeue(@CurrentCaller() caller: Caller, @Param('id') id: string): Promise<DeadOutcomeBody> {
    assertSeesAll(caller);
    return this.letters.requeue(id);
  }

  @Post('dead/:id/discard')
  @Needs('operate')
  @HttpCode(200)
  @ApiOperation({ summary: 'Remove a job for good' })
  @ApiOkResponse({ type: DeadOutcomeBody })
  @ApiResponse(NOT_FOUND)
  @ApiResponse(CONFLICT)
  discard(@CurrentCaller() caller: Caller, @Param('id') id: string): Promise<DeadOutcomeBody> {
    assertSeesAll(caller);
    return this.letters.discard(id);
  }
}
