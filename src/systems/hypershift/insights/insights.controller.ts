import { Get, Query, Req } from '@nestjs/common';
import { QueryBus } from '@nestjs/cqrs';
import { ApiOkResponse, ApiOperation, ApiQuery } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Callers } from '../callers.js';
import { HypershiftController, Refusals, WorkspaceHeaders } from '../hypershift.controller.js';
import * as dto from './insights.dto.js';
import { GetSlo, GetUsage, ListOutcomes } from './insights.queries.js';
import { readDays } from './slo.js';

@HypershiftController('')
@WorkspaceHeaders()
export class InsightsController {
  constructor(
    private readonly queries: QueryBus,
    private readonly callers: Callers,
  ) {}

  @Get('usage')
  @ApiOperation({ summary: 'Runs of the present month, and how many are allowed' })
  @ApiOkResponse({ type: dto.UsageBody })
  @Refusals(400, 401)
  async usage(@Req() request: FastifyRequest): Promise<dto.UsageBody> {
    const { tenant } = await this.callers.of(request);
    return this.queries.execute(new GetUsage(tenant));
  }

  @Get('observability/outcomes')
  @ApiOkResponse({ type: dto.OutcomesBody })
  @Refusals(400, 401)
  async outcomes(@Req() request: FastifyRequest): Promise<dto.OutcomesBody> {
    const { tenant } = await this.callers.of(request);
    const outcomes = await this.queries.execute(new ListOutcomes(tenant));
    return { workspace_id: tenant, outcomes: outcomes.map(dto.toOutcome) };
  }

  @Get('observability/slo')
  @ApiOperation({ summary: 'Success rate and average duration of the last days' })
  @ApiQuery({ name: 'days', required: false, description: '1 to 30', example: 7 })
  @ApiOkResponse({ type: dto.SloBody })
  @Refusals(400, 401)
  async slo(@Req() request: FastifyRequest, @Query('days') days?: string): Promise<dto.SloBody> {
    const { tenant } = await this.callers.of(request);
    return this.queries.execute(new GetSlo(tenant, readDays(days)));
  }
}
