import { applyDecorators, Controller, Delete, Get, HttpCode, Param, Post, Res } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiParam, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import type { Caller } from '../access/caller.js';
import { CurrentCaller, Needs } from '../access/needs.js';
import { assertSeesAll } from '../access/whole-ledger.js';
import { LedgerError } from '../ledger-error.js';
import { OrderBody, ProjectionBody, ProjectionListBody } from './projections.dto.js';
import { Projections } from './projections.js';

const Named = (): MethodDecorator =>
  applyDecorators(
    ApiParam({ name: 'name', example: 'runledger.open-work' }),
    ApiResponse({ status: 404, description: 'There is no such projection', type: LedgerError }),
  );

/** An order of an operator: recorded as an event, and carried out by whichever process folds the view. */
const Order = (summary: string, refused?: string): MethodDecorator =>
  applyDecorators(
    Needs('operate'),
    HttpCode(200),
    Named(),
    ApiOperation({ summary }),
    ApiOkResponse({ description: 'Carried out', type: OrderBody }),
    ApiResponse({ status: 202, description: 'Recorded; whoever folds the view will carry it out', type: OrderBody }),
    ...(refused === undefined ? [] : [ApiResponse({ status: 409, description: refused, type: LedgerError })]),
  );

/** The views of all systems, to look at and to operate. */
@Controller('ledger/projections')
@ApiTags('ledger')
export class ProjectionsController {
  constructor(private readonly projections: Projections) {}

  @Get()
  @Needs('read')
  @ApiOperation({ summary: 'How every projection stands' })
  @ApiOkResponse({ type: ProjectionListBody })
  async list(@CurrentCaller() caller: Caller): Promise<ProjectionListBody> {
    assertSeesAll(caller);
    return { projections: await this.projections.list() };
  }

  @Get(':name')
  @Needs('read')
  @Named()
  @ApiOperation({ summary: 'How one projection stands' })
  @ApiOkResponse({ type: ProjectionBody })
  get(@CurrentCaller() caller: Caller, @Param('name') name: string): Promise<ProjectionBody> {
    assertSeesAll(caller);
    return this.projections.get(name);
  }

  @Post(':name/rebuild')
  @Order('Build it anew from the log, beside the collection that serves, which it then replaces')
  rebuild(
    @CurrentCaller() caller: Caller,
    @Param('name') name: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return answer(reply, caller, () => this.projections.rebuild(name));
  }

  @Post(':name/pause')
  @Order('Hold a rebuild where it is; the serving collection goes on', 'Nothing is rebuilt, or it is paused already')
  pause(@CurrentCaller() caller: Caller, @Param('name') name: string, @Res({ passthrough: true }) reply: FastifyReply) {
    return answer(reply, caller, () => this.projections.pause(name, true));
  }

  @Post(':name/resume')
  @Order('Let a rebuild go on', 'Nothing is rebuilt, or it is not paused')
  resume(
    @CurrentCaller() caller: Caller,
    @Param('name') name: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    return answer(reply, caller, () => this.projections.pause(name, false));
  }

  @Post(':name/skip')
  @Order('Pass over the event that it has stopped at', 'It has not stopped')
  skip(@CurrentCaller() caller: Caller, @Param('name') name: string, @Res({ passthrough: true }) reply: FastifyReply) {
    return answer(reply, caller, () => this.projections.skip(name));
  }

  @Delete(':name/collections/:collection')
  @Order('Remove a collection that is left over', 'It serves, is being built, or belongs to newer code')
  drop(
    @CurrentCaller() caller: Caller,
    @Param('name') name: string,
    @Param('collection') collection: string,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<OrderBody> {
    return answer(reply, caller, () => this.projections.drop(name, collection));
  }
}

async function answer(reply: FastifyReply, caller: Caller, order: () => Promise<OrderBody>): Promise<OrderBody> {
  assertSeesAll(caller);
  const outcome = await order();
  if (!outcome.carriedOut) reply.status(202);
  return outcome;
}
