import { Body, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import { CommandBus, QueryBus } from '@nestjs/cqrs';
import {
  ApiAcceptedResponse,
  ApiBody,
  ApiCreatedResponse,
  ApiOkResponse,
  ApiOperation,
  ApiQuery,
} from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { currentContext } from '../../../kernel/request-context.js';
import { Callers, tenantFilter } from '../callers.js';
import { HypershiftController, Refusals, WorkspaceHeaders } from '../hypershift.controller.js';
import { ChangeRun, CreateRun, ReplayRun } from './run.commands.js';
import type { RunChange } from './run.decider.js';
import { GetRun, GetRunLogs, ListRuns } from './run.queries.js';
import * as dto from './runs.dto.js';

const UNKNOWN = 'unknown';

@HypershiftController('runs')
@WorkspaceHeaders()
export class RunsController {
  constructor(
    private readonly commands: CommandBus,
    private readonly queries: QueryBus,
    private readonly callers: Callers,
  ) {}

  @Post()
  @ApiOperation({ summary: 'Create a run; nothing runs until it is started' })
  @ApiBody({ type: dto.CreateRunDto })
  @ApiCreatedResponse({ type: dto.RunIdBody })
  @Refusals(400, 401, 402, 422)
  async create(@Req() request: FastifyRequest, @Body() body: unknown): Promise<dto.RunIdBody> {
    const { tenant } = await this.callers.of(request);
    const { runId } = await this.commands.execute(new CreateRun(tenant, dto.readRunRequest(body, actor())));
    return { run_id: runId };
  }

  @Get()
  @ApiOperation({ summary: "List the workspace's runs, newest first" })
  @ApiQuery({ name: 'tag', required: false })
  @ApiQuery({ name: 'workspace_id', required: false })
  @ApiOkResponse({ type: dto.RunListBody })
  @Refusals(400, 401)
  async list(@Req() request: FastifyRequest, @Query('tag') tag?: string): Promise<dto.RunListBody> {
    const { tenant } = await this.callers.of(request);
    const runs = await this.queries.execute(
      new ListRuns(tenant, typeof tag === 'string' && tag !== '' ? tag : undefined),
    );
    return { runs: runs.map(dto.toRunSummary) };
  }

  @Get(':runId')
  @ApiOkResponse({ type: dto.RunBody })
  @Refusals(401, 404)
  async get(@Req() request: FastifyRequest, @Param('runId') runId: string): Promise<dto.RunBody> {
    const caller = await this.callers.of(request);
    return dto.toRun(await this.queries.execute(new GetRun(runId, tenantFilter(caller))));
  }

  @Post(':runId/start')
  @HttpCode(202)
  @ApiOperation({ summary: 'Start the pipeline of a pending run' })
  @ApiAcceptedResponse({ type: dto.MessageBody })
  @Refusals(400, 401, 404, 422)
  async start(@Req() request: FastifyRequest, @Param('runId') runId: string): Promise<dto.MessageBody> {
    await this.change(request, runId, { type: 'start' });
    return { message: 'Run started' };
  }

  @Post(':runId/approve')
  @HttpCode(200)
  @ApiOperation({ summary: 'Let a run that waits at the gate be deployed' })
  @ApiOkResponse({ type: dto.RunMessageBody })
  @Refusals(400, 401, 404, 422)
  async approve(@Req() request: FastifyRequest, @Param('runId') runId: string): Promise<dto.RunMessageBody> {
    await this.change(request, runId, { type: 'approve', by: actor() ?? UNKNOWN });
    return { message: 'Approved', run_id: runId };
  }

  @Post(':runId/reject')
  @HttpCode(200)
  @ApiOperation({ summary: 'Refuse the deployment of a run that waits at the gate' })
  @ApiOkResponse({ type: dto.RunMessageBody })
  @Refusals(400, 401, 404, 422)
  async reject(@Req() request: FastifyRequest, @Param('runId') runId: string): Promise<dto.RunMessageBody> {
    await this.change(request, runId, { type: 'reject', by: actor() ?? UNKNOWN });
    return { message: 'Rejected', run_id: runId };
  }

  @Post(':runId/rollback')
  @HttpCode(200)
  @ApiOperation({ summary: 'Record a rollback in the audit log; no infrastructure changes' })
  @ApiOkResponse({ type: dto.RollbackBody })
  @Refusals(401, 404, 422)
  async rollBack(@Req() request: FastifyRequest, @Param('runId') runId: string): Promise<dto.RollbackBody> {
    await this.change(request, runId, { type: 'rollBack', by: actor() });
    return { message: 'Rollback recorded (mock)', audit_recorded: true };
  }

  @Post(':runId/replay')
  @ApiOperation({ summary: 'Create a run from the same intent, and start it' })
  @ApiCreatedResponse({ type: dto.RunIdBody })
  @Refusals(401, 402, 404, 422)
  async replay(@Req() request: FastifyRequest, @Param('runId') original: string): Promise<dto.RunIdBody> {
    const tenant = tenantFilter(await this.callers.of(request));
    const { runId } = await this.commands.execute(new ReplayRun(original, tenant, actor()));
    return { run_id: runId };
  }

  @Post(':runId/feedback')
  @HttpCode(200)
  @ApiOperation({ summary: 'Say how the run went' })
  @ApiBody({ type: dto.FeedbackDto })
  @ApiOkResponse({ type: dto.RunMessageBody })
  @Refusals(400, 401, 404, 422)
  async feedback(
    @Req() request: FastifyRequest,
    @Param('runId') runId: string,
    @Body() body: unknown,
  ): Promise<dto.RunMessageBody> {
    const caller = await this.callers.of(request);
    const command = { type: 'giveFeedback', ...dto.readFeedback(body) } as const;
    await this.commands.execute(new ChangeRun(runId, tenantFilter(caller), command));
    return { message: 'Feedback recorded', run_id: runId };
  }

  @Get(':runId/logs')
  @ApiOperation({ summary: "The run's audit log" })
  @ApiOkResponse({ type: dto.RunLogsBody })
  @Refusals(401, 404)
  async logs(@Req() request: FastifyRequest, @Param('runId') runId: string): Promise<dto.RunLogsBody> {
    const caller = await this.callers.of(request);
    const entries = await this.queries.execute(new GetRunLogs(runId, tenantFilter(caller)));
    return { run_id: runId, logs: entries.map(dto.toAuditEntry) };
  }

  private async change(request: FastifyRequest, runId: string, command: RunChange): Promise<void> {
    const tenant = tenantFilter(await this.callers.of(request));
    await this.commands.execute(new ChangeRun(runId, tenant, command));
  }
}

/** HyperShift API: `X-User-Id`, or `X-Actor`. */
function actor(): string | null {
  return currentContext().actor ?? null;
}
