import { Body, Get, HttpCode, Post } from '@nestjs/common';
import { ApiBody, ApiOkResponse, ApiOperation } from '@nestjs/swagger';
import { LAST_DEPLOY, lastDeployView } from '../../../../projections/hypershift/last-deploy.view.js';
import { Refused } from '../../../kernel/errors.js';
import { Kernel } from '../../../kernel/kernel.js';
import { fleetHealth } from '../agents/fleet-health.js';
import type { UserIntent } from '../agents/step-agent.js';
import { estimate } from '../agents/what-if.js';
import { HypershiftController, Refusals } from '../hypershift.controller.js';
import { HypershiftOptions } from '../hypershift.options.js';
import { isObject, readIntent } from '../runs/runs.dto.js';
import * as dto from './service.dto.js';

const SERVICE = 'orchestrator';

@HypershiftController('')
export class ServiceController {
  constructor(
    private readonly kernel: Kernel,
    private readonly options: HypershiftOptions,
  ) {}

  @Get()
  @ApiOkResponse({ type: dto.ServiceBody })
  root(): dto.ServiceBody {
    return { service: SERVICE, version: '1.0.0' };
  }

  @Get('health')
  @ApiOkResponse({ type: dto.HealthBody })
  health(): dto.HealthBody {
    return { status: 'ok', service: SERVICE };
  }

  @Get('status')
  @ApiOkResponse({ type: dto.StatusBody })
  async status(): Promise<dto.StatusBody> {
    const { lastDeployTime } = this.options.settings;
    const last = lastDeployTime ?? (await this.kernel.views.get(lastDeployView, LAST_DEPLOY))?.at ?? null;
    return { status: 'operational', service: SERVICE, last_deploy: last };
  }

  @Post('what-if')
  @HttpCode(200)
  @ApiOperation({ summary: 'Estimate what a run of this intent would cost; nothing is recorded' })
  @ApiBody({ type: dto.WhatIfDto })
  @ApiOkResponse({ type: dto.WhatIfBody })
  @Refusals(400, 422)
  async whatIf(@Body() body: unknown): Promise<dto.WhatIfBody> {
    const addition = isObject(body) && typeof body['addition'] === 'string' ? body['addition'] : undefined;
    return estimate(this.options.agents, intentOf(body), addition);
  }

  @Get('fleet-health')
  @ApiOperation({ summary: 'Whether the agents answer' })
  @ApiOkResponse({ type: dto.FleetHealthBody })
  async fleetHealth(): Promise<dto.FleetHealthBody> {
    return { orchestrator: 'ok', agents: await fleetHealth(this.options.settings.agentUrls) };
  }
}

/** HyperShift API, "what-if": a bad intent is refused without details. */
function intentOf(body: unknown): UserIntent {
  try {
    return readIntent(body) as UserIntent;
  } catch (error) {
    if (error instanceof Refused) throw new Refused('invalid', error.message);
    throw error;
  }
}
