import { applyDecorators, Body, Controller, HttpCode, Post, Res, type OnModuleDestroy } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { Kernel } from '../../kernel/kernel.js';
import type { Caller } from '../access/caller.js';
import { CurrentCaller, Needs } from '../access/needs.js';
import { assertSeesAll } from '../access/whole-ledger.js';
import { LedgerError } from '../ledger-error.js';
import * as dto from './work.dto.js';

const INVALID = { status: 400, description: 'Something is not valid: nothing has changed', type: LedgerError };

const Report = (summary: string): MethodDecorator =>
  applyDecorators(
    Needs('work'),
    HttpCode(200),
    ApiOperation({ summary }),
    ApiResponse(INVALID),
    ApiResponse({
      status: 409,
      description: 'The claim is lost, or its attempt is over: nothing has changed. Stop, and report nothing more',
      type: LedgerError,
    }),
  );

/** Work for workers from outside, in whatever language. */
@Controller('ledger/work')
@ApiTags('ledger')
export class WorkersController implements OnModuleDestroy {
  private readonly closing = new AbortController();

  constructor(private readonly kernel: Kernel) {}

  /** Whoever waits for work would hold up the stop. */
  onModuleDestroy(): void {
    this.closing.abort();
  }

  @Post('claim')
  @Needs('work')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Take jobs, or wait for some',
    description:
      'A claim lasts `leaseMs` from now, and as long again from each heartbeat. A worker that is silent for longer loses it: the job is given to another, as its next attempt.',
  })
  @ApiBody({ type: dto.ClaimRequestBody })
  @ApiOkResponse({ type: dto.ClaimedBody })
  @ApiResponse(INVALID)
  async claim(
    @CurrentCaller() caller: Caller,
    @Body() body: unknown,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<dto.ClaimedBody> {
    assertSeesAll(caller);
    const request = dto.parsed(dto.claimRequest, body);
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    reply.raw.once('close', leave);
    try {
      const signal = AbortSignal.any([gone.signal, this.closing.signal]);
      // By the token's name too: two workers of different owners may choose the same one.
      const worker = `${caller.name}/${request.worker}`;
      return { jobs: await this.kernel.foreign.claim({ ...request, worker, signal }) };
    } finally {
      reply.raw.off('close', leave);
    }
  }

  @Post('heartbeat')
  @Report('Keep a claim')
  @ApiBody({ type: dto.HeartbeatRequestBody })
  @ApiOkResponse({ type: dto.HeartbeatBody })
  async heartbeat(@CurrentCaller() caller: Caller, @Body() body: unknown): Promise<dto.HeartbeatBody> {
    assertSeesAll(caller);
    const { claim, leaseMs } = dto.parsed(dto.heartbeatRequest, body);
    await this.kernel.foreign.heartbeat(claim, leaseMs);
    return { leaseMs };
  }

  @Post('complete')
  @Report('The job is done: here is what came out')
  @ApiBody({ type: dto.CompleteRequestBody })
  @ApiOkResponse({ type: dto.OutcomeBody })
  async complete(@CurrentCaller() caller: Caller, @Body() body: unknown): Promise<dto.OutcomeBody> {
    assertSeesAll(caller);
    const { claim, output } = dto.parsed(dto.completeRequest, body);
    await this.kernel.foreign.complete(claim, output);
    return { outcome: 'completed' };
  }

  @Post('fail')
  @Report('The job failed: it is tried again, or given up after the last attempt')
  @ApiBody({ type: dto.FailRequestBody })
  @ApiOkResponse({ type: dto.OutcomeBody })
  async fail(@CurrentCaller() caller: Caller, @Body() body: unknown): Promise<dto.OutcomeBody> {
    assertSeesAll(caller);
    const { claim, error, retry, delayMs } = dto.parsed(dto.failRequest, body);
    return this.kernel.foreign.fail(claim, error, retry, delayMs);
  }
}
