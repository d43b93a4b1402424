import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { UserIntentDto } from '../runs/runs.dto.js';

export class WhatIfDto {
  @ApiProperty({ type: UserIntentDto, description: 'Left out, the whole body is taken as the intent.' })
  user_intent!: UserIntentDto;
  @ApiPropertyOptional({ example: 'add a postgres database' })
  addition?: string;
}

export class WhatIfBody {
  @ApiProperty()
  estimatedMonthlyCost!: number;
  @ApiProperty({ example: 'USD' })
  currency!: string;
  @ApiProperty({ example: 'low' })
  riskLevel!: string;
  @ApiProperty()
  message!: string;
}

export class ServiceBody {
  @ApiProperty({ example: 'orchestrator' })
  service!: string;
  @ApiProperty({ example: '1.0.0' })
  version!: string;
}

export class HealthBody {
  @ApiProperty({ example: 'ok' })
  status!: string;
  @ApiProperty({ example: 'orchestrator' })
  service!: string;
}

export class StatusBody extends HealthBody {
  @ApiProperty({ type: String, nullable: true })
  last_deploy!: string | null;
}

const agent = { enum: ['ok', 'down'] };

export class AgentHealthBody {
  @ApiProperty(agent)
  architect!: string;
  @ApiProperty(agent)
  builder!: string;
  @ApiProperty(agent)
  sentinel!: string;
  @ApiProperty(agent)
  sre!: string;
  @ApiProperty(agent)
  finops!: string;
}

export class FleetHealthBody {
  @ApiProperty({ example: 'ok' })
  orchestrator!: string;
  @ApiProperty({ type: AgentHealthBody })
  agents!: AgentHealthBody;
}
