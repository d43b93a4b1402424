import { Controller, Get } from '@nestjs/common';
import { ApiOkResponse, ApiOperation, ApiProperty, ApiTags } from '@nestjs/swagger';
import type { DutyStatus } from '../../kernel/duty-board.js';
import { Kernel } from '../../kernel/kernel.js';
import { roles, type Role } from '../../kernel/settings.js';
import { version } from '../../version.js';
import type { Caller } from '../access/caller.js';
import { CurrentCaller, Needs } from '../access/needs.js';
import { assertSeesAll } from '../access/whole-ledger.js';
import { endpointDuty } from '../webhooks/endpoint-watcher.js';
import { endpointDecider, ENDPOINTS_STREAM } from '../webhooks/endpoint.decider.js';

const STATES = ['held', 'silent', 'free'] as const;

export class DutyBody implements DutyStatus {
  @ApiProperty({ enum: ['projector', 'dispatcher'], description: 'The role whose processes share it' })
  role!: DutyStatus['role'];

  @ApiProperty({ example: 'sample.thing@2', description: 'A view with its version, or an effect' })
  name!: string;

  @ApiProperty({
    enum: STATES,
    description:
      '`free`: nobody does it; `silent`: its lease was not renewed in time, and unless clocks differ its holder has died: another process takes it soon',
  })
  state!: DutyStatus['state'];

  @ApiProperty({ type: String, nullable: true, description: 'The process that does it, or did it last' })
  holder!: string | null;

  @ApiProperty({ description: 'Whether the process that answers is the one' })
  here!: boolean;

  @ApiProperty({ type: String, format: 'date-time', nullable: true, description: "By the holder's clock" })
  since!: string | null;

  @ApiProperty({
    type: String,
    format: 'date-time',
    nullable: true,
    description: "By the holder's clock, unless it is renewed; null where this process shares with no other",
  })
  until!: string | null;
}

export class DutyListBody {
  @ApiProperty({ description: 'The process that answers' })
  process!: string;

  @ApiProperty({ example: '0.1.0', description: 'Of its code' })
  version!: string;

  @ApiProperty({ enum: roles, isArray: true, description: 'What it does' })
  roles!: Role[];

  @ApiProperty({ type: [DutyBody] })
  duties!: DutyBody[];
}

/** Who does what, among the processes of a service. */
@Controller('ledger/duties')
@ApiTags('ledger')
export class DutiesController {
  constructor(private readonly kernel: Kernel) {}

  @Get()
  @Needs('read')
  @ApiOperation({ summary: 'Which process folds which view, and which brings about which effect' })
  @ApiOkResponse({ type: DutyListBody })
  async list(@CurrentCaller() caller: Caller): Promise<DutyListBody> {
    assertSeesAll(caller);
    const { duties, settings, streams } = this.kernel;
    const { endpoints } = await streams.read(endpointDecider, ENDPOINTS_STREAM);
    const enabled = [...endpoints.values()].filter(({ disabled }) => disabled === null);
    const further = enabled.map(({ id }) => ({ role: 'dispatcher', name: endpointDuty(id) }) as const);
    return { process: duties.member, version, roles: [...settings.roles], duties: await duties.list(further) };
  }
}
